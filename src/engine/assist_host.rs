//! The engine's answers to running native code: whether it may access memory, and more steps or an empty row buffer. It
//! must not know how native code was entered or what follows.

use tachy_runtime::{
    Access, Assist, BetweenSlices, HartState, Left, PageState, ProcessNumber, Slot, Verdict, enter, page_of,
};

use super::{Control, Ended, Hart, Shared, Stats, next_slice};
use crate::interpreter::{DecodedPages, Tier};
use crate::jit::{Reached, RegionTransitions, SessionCode, region_and_index};
use crate::machine::{Context, Machine};

/// The engine's side of the assists.
pub(super) struct AssistHost<'a, 'env, 'control, M: Machine> {
    pub(super) machine: &'a mut M,
    pub(super) context: &'a mut Context<'env, M>,
    pub(super) pages: &'a mut DecodedPages,
    pub(super) native: &'a SessionCode,
    pub(super) transitions: &'a mut RegionTransitions,
    pub(super) control: &'a mut Control<'control>,
    pub(super) stats: &'a mut Stats,
    /// The process that entered native code.
    pub(super) process: ProcessNumber,
    /// Whether a slice was opened since native code was entered.
    pub(super) granted: bool,
    /// The entry of the region that native code left so that it can be merged with others.
    pub(super) merge: Option<u32>,
    /// Why the run must end, if native code had to stop for it.
    pub(super) ended: Option<Ended>,
}

impl<M: Machine> AssistHost<'_, '_, '_, M> {
    /// Returns whether control moves between regions too often, and one of the last two regions can be merged with
    /// others.
    fn wants_merge(&mut self, vm: &HartState<'_>) -> bool {
        // Transfers that entered native code do not lead from region to region.
        let transfers = (self.stats.transfers + vm.transfers()).saturating_sub(self.stats.entries + 1);
        // A lack of room or credit for a merge is no reason to check less often.
        if self.transitions.are_frequent(vm.steps(), transfers) && self.native.can_translate(vm.steps()) {
            self.merge = vm.transfer_pcs().into_iter().find(|&pc| self.native.may_merge(pc));
            if self.merge.is_none() {
                self.transitions.tire();
            }
        }
        self.merge.is_some()
    }

    /// Decides whether native code may do these accesses: all of them or none.
    fn grant(&mut self, vm: &mut HartState<'_>, accesses: &[Reached], steps: u32) -> Verdict {
        self.stats.access_assists += 1;
        let address_of = |vm: &HartState<'_>, reached: &Reached| match reached.register {
            0 => reached.offset,
            register => vm.register(Slot::x(register)).wrapping_add(reached.offset),
        };
        let mut price = steps as u64;
        for (index, reached) in accesses.iter().enumerate() {
            let (address, access) = (address_of(vm, reached), reached.access);
            let is_store = matches!(access, Access::Store(_));
            if is_store && vm.page_state(address).contains(PageState::CODE) && self.native.contains(address) {
                return Verdict::Stop;
            }
            let Some(own) = self.machine.price(vm, address, access) else { return Verdict::Stop };
            // If one access has paid for a page, the next one on the same page need not.
            let is_paid = |before: &Reached| {
                page_of(address_of(vm, before)) == page_of(address)
                    && (!is_store || matches!(before.access, Access::Store(_)))
            };
            if own != 0 && !accesses.iter().take(index).any(is_paid) {
                price = price.saturating_add(own);
            }
        }
        // If the rest of the block no longer fits after paying, the interpreter does these steps and stops at the
        // slice's new end.
        if price > vm.slice_left() {
            return Verdict::Stop;
        }
        for reached in accesses {
            let (address, access) = (address_of(vm, reached), reached.access);
            let step = vm.steps() + reached.ahead as u64;
            // The interpreter will run into an error again and report it. Accesses granted before the error cost
            // nothing then.
            if self.machine.access(vm, self.context, step, address, access).is_err() {
                return Verdict::Stop;
            }
            if matches!(access, Access::Store(_)) && vm.page_state(address).contains(PageState::CODE) {
                self.pages.forget(address);
            }
        }
        Verdict::Continue
    }
}

impl<M: Machine> Hart<'_, M> {
    /// Runs native code from the context's pc until it leaves.
    pub(super) fn run_native(&mut self, control: &mut Control<'_>) -> Result<(), Ended> {
        let Hart { vm, machine, context, shared, transitions, stats, .. } = self;
        let Shared { pages, native: natives, .. } = &mut **shared;
        let Some(native) = &*natives else { return Ok(()) };
        let Some(code) = native.code() else { return Ok(()) };
        let (granted, merge, ended) = Default::default();
        let (entered, before) = (vm.pc(), vm.steps());
        let process = ProcessNumber::current();
        let mut host =
            AssistHost { machine, context, pages, native, transitions, control, stats, process, granted, merge, ended };
        let left = enter(vm, code, &mut host).map_err(|error| Ended::Internal(error.to_string()))?;
        let (merge, ended) = (host.merge, host.ended);
        if let Some(native) = natives {
            let vm = &mut vm.state();
            native.ran(entered, vm.steps() - before);
            if let Some(from) = vm.take_jump_pc() {
                native.jumped(from, vm.pc());
            }
            if let Some(pc) = merge {
                transitions.pay(native.merge(pc, vm, pages));
            }
        }
        stats.entries += 1;
        stats.deopts += (left == Left::Stopped) as u64;
        stats.transfers += vm.state().take_transfers();
        ended.map_or(Ok(()), Err)
    }
}

impl<M: Machine> Assist for AssistHost<'_, '_, '_, M> {
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, access: Access, steps: u32) -> Verdict {
        self.grant(vm, &[Reached { ahead: 0, register: 0, offset: address, access }], steps)
    }

    fn access_group(&mut self, vm: &mut HartState<'_>, group: u32, steps: u32) -> Verdict {
        let (region, index) = region_and_index(group);
        let groups = self.native.groups(region);
        match groups.as_ref().and_then(|groups| groups.get(index)) {
            Some(accesses) => self.grant(vm, accesses, steps),
            // Every group is published before its code.
            None => {
                self.ended = Some(Ended::Internal(format!("code asks about access group {index} of region {region}")));
                Verdict::Stop
            }
        }
    }

    fn refill(&mut self, vm: &mut BetweenSlices<'_>, steps: u32) -> Verdict {
        self.stats.refill_assists += 1;
        if self.control.alternate_engines && std::mem::replace(&mut self.granted, true) {
            return Verdict::Stop;
        }
        let opened = next_slice(vm, self.machine, self.context, self.control);
        if self.control.alternate_engines && opened.is_ok() {
            vm.open_slice(vm.slice_left().min(steps as u64));
        }
        // A child of a fork leaves its parent's native code at once.
        let is_child = self.process != ProcessNumber::current();
        match opened {
            // Native code must not be in the middle of a region when page states change.
            Ok(false) if vm.slice_left() >= steps as u64 && !is_child && !self.wants_merge(vm) => Verdict::Continue,
            Ok(_) => Verdict::Stop,
            Err(ended) => {
                self.ended = Some(ended);
                Verdict::Stop
            }
        }
    }
}
