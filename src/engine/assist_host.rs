//! The engine's answers to running native code: whether it may access memory, more steps or an empty row buffer, and
//! the outcome of a system instruction. It must not know how native code was entered or what follows.

use tachy_runtime::{
    Access, Assist, BetweenSlices, HartState, Interpret, Left, PageState, Proceed, ProcessNumber, Slot, Stepping,
    Verdict, enter, page_of,
};

use super::{Control, Ended, Hart, Shared, Stats, next_slice};
use crate::interpreter::{DecodedPages, Leave, Tier, forget_written, system_step};
use crate::jit::{Reached, RegionTransitions, SessionCode, region_and_index};
use crate::machine::{Context, Flow, Machine, StepError};

/// The largest number of modes that a machine has.
const MODES: usize = 2;

/// The engine's side of the assists.
pub(super) struct AssistHost<'a, 'env, 'control, M: Machine> {
    pub(super) machine: &'a mut M,
    pub(super) context: &'a mut Context<'env, M>,
    pub(super) pages: &'a mut DecodedPages,
    pub(super) native: &'a SessionCode,
    /// Index of the mode whose code runs.
    pub(super) mode: usize,
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
    /// The outcome of the last system instruction, if the engine has to handle it.
    pub(super) leave: Option<Leave>,
}

impl<M: Machine> AssistHost<'_, '_, '_, M> {
    /// Returns whether control moves between regions too often, and one of the last two regions can be merged with
    /// others.
    fn wants_merge(&mut self, vm: &HartState<'_>) -> bool {
        // Transfers that entered native code do not lead from region to region.
        let transfers = (self.stats.transfers + vm.transfers()).saturating_sub(self.stats.entries + 1);
        // A lack of room or credit for a merge is no reason to check less often.
        if self.transitions.are_frequent(vm.steps(), transfers) && self.native.can_translate(self.mode, vm.steps()) {
            self.merge = vm.transfer_pcs().into_iter().find(|&pc| self.native.may_merge(self.mode, pc));
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
    /// Runs native code from the context's pc until it leaves. Returns the outcome of a system instruction, if the engine
    /// has to handle it.
    pub(super) fn run_native(&mut self, control: &mut Control<'_>) -> Result<Option<Leave>, Ended> {
        const { assert!(M::MODES.len() <= MODES) };
        let Hart { vm, machine, context, shared, transitions, stats, .. } = self;
        let Shared { pages, native: natives, .. } = &mut **shared;
        let Some(native) = &*natives else { return Ok(None) };
        let mode = machine.mode();
        let Some(code) = native.code(mode) else { return Ok(None) };
        let codes: [_; MODES] = std::array::from_fn(|mode| native.code(mode).unwrap_or(code));
        let (granted, merge, ended, leave) = Default::default();
        let (entered, before) = (vm.pc(), vm.steps());
        let process = ProcessNumber::current();
        let mut host = AssistHost {
            machine,
            context,
            pages,
            native,
            mode,
            transitions,
            control,
            stats,
            process,
            granted,
            merge,
            ended,
            leave,
        };
        let left = enter(vm, &codes, mode, &mut host).map_err(|error| Ended::Internal(error.to_string()))?;
        let AssistHost { mode, merge, ended, leave, .. } = host;
        if let Some(native) = natives {
            forget_written(context, pages, native);
            let vm = &mut vm.state();
            native.ran(entered, vm.steps() - before, mode);
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
        ended.map_or(Ok(leave), Err)
    }
}

impl<M: Machine> Assist for AssistHost<'_, '_, '_, M> {
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, access: Access, steps: u32) -> Verdict {
        self.grant(vm, &[Reached { ahead: 0, register: 0, offset: address, access }], steps)
    }

    fn access_group(&mut self, vm: &mut HartState<'_>, group: u32, steps: u32) -> Verdict {
        let (region, index) = region_and_index(group);
        let groups = self.native.groups(self.mode, region);
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

    fn system(&mut self, vm: &mut BetweenSlices<'_>) -> Proceed {
        let step = SystemStep { machine: &mut *self.machine, context: &mut *self.context, pages: &mut *self.pages };
        match vm.interpret(step) {
            // The interpreter does it, or finds the slice at its end.
            None => return Proceed::Stop,
            Some(Ok(Flow::Next | Flow::Jump(_))) => {}
            Some(Ok(Flow::Exit(end))) => self.leave = Some(Leave::Exit(end)),
            Some(Err(error)) => self.leave = Some(Leave::Refused(error)),
        }
        self.mode = self.machine.mode();
        // A child of a fork leaves its parent's native code at once.
        let stops = self.leave.is_some()
            || !self.context.code_written.is_empty()
            || self.context.effects_full()
            || self.control.alternate_engines
            || self.process != ProcessNumber::current()
            || !self.machine.allows_native(vm);
        if stops { Proceed::Stop } else { Proceed::In(self.mode) }
    }
}

/// An interpreter that does a system instruction, if the hart stands before one.
struct SystemStep<'a, 'env, M: Machine> {
    machine: &'a mut M,
    context: &'a mut Context<'env, M>,
    pages: &'a mut DecodedPages,
}

impl<M: Machine> Interpret for SystemStep<'_, '_, M> {
    type Output = Option<Result<Flow, StepError>>;

    fn run<const ROWS: bool>(self, hart: &mut Stepping<'_, ROWS>) -> Self::Output {
        system_step(hart, self.machine, self.context, self.pages)
    }
}
