//! What native code asks the engine while it runs: whether an access may happen, and for more steps or an empty row
//! buffer. It must not know how native code was entered or what comes of it.

use tachy_runtime::{
    Access, Assist, BetweenSlices, HartState, Left, PageState, ProcessNumber, Slot, Verdict, enter, page_of,
};

use super::{Control, Ended, Hart, Shared, Stats, next_slice};
use crate::interpreter::{DecodedPages, Tier};
use crate::jit::{Reached, RegionTransitions, SessionCode, region_and_index};
use crate::machine::{Context, Machine};

/// The engine's side of native code's questions.
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
    /// Whether a slice was opened for native code since it was entered.
    pub(super) granted: bool,
    /// The region that native code left for to be merged with others, by its entry.
    pub(super) merge: Option<u32>,
    /// Why the run must end, if native code was told so.
    pub(super) ended: Option<Ended>,
}

impl<M: Machine> AssistHost<'_, '_, '_, M> {
    /// Whether regions are gone between too often, and one of the last two can be merged with others.
    fn wants_merge(&mut self, vm: &HartState<'_>) -> bool {
        // Those that entered native code are none from region to region.
        let transfers = (self.stats.transfers + vm.transfers()).saturating_sub(self.stats.entries + 1);
        // Where there is no room or no credit for it, that is no reason to look more rarely.
        if self.transitions.are_frequent(vm.steps(), transfers) && self.native.can_translate(vm.steps()) {
            self.merge = vm.transfer_pcs().into_iter().find(|&pc| self.native.may_merge(pc));
            if self.merge.is_none() {
                self.transitions.tire();
            }
        }
        self.merge.is_some()
    }

    /// Whether native code may do these accesses: all of them or none.
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
            // What one access pays the next one on the same page need not.
            let is_paid = |before: &Reached| {
                page_of(address_of(vm, before)) == page_of(address)
                    && (!is_store || matches!(before.access, Access::Store(_)))
            };
            if own != 0 && !accesses.iter().take(index).any(is_paid) {
                price = price.saturating_add(own);
            }
        }
        // Where the rest of the block no longer fits once all is paid, the interpreter does these steps and stops where
        // the slice then ends.
        if price > vm.slice_left() {
            return Verdict::Stop;
        }
        for reached in accesses {
            let (address, access) = (address_of(vm, reached), reached.access);
            let step = vm.steps() + reached.ahead as u64;
            // The interpreter will meet a error again and say what it is. What was granted before it costs nothing then.
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
            // Every group is published before its code is.
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
        // In a child of a fork, native code of the parent's is left at once.
        let is_child = self.process != ProcessNumber::current();
        match opened {
            // Native code must not be in the middle of a region when page states change under it.
            Ok(false) if vm.slice_left() >= steps as u64 && !is_child && !self.wants_merge(vm) => Verdict::Continue,
            Ok(_) => Verdict::Stop,
            Err(ended) => {
                self.ended = Some(ended);
                Verdict::Stop
            }
        }
    }
}
