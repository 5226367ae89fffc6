//! Machine `r0vm`: RISC Zero's R0VM 3.0. It matches RISC Zero's own executor in every step and every cycle.
//!
//! R0VM differs from other machines in four ways. Each of its two modes has a register bank, which is also memory. Its
//! x0 is an ordinary register. Pages cost cycles at their first touch and first write in a segment. Segments end at an
//! exact cycle. A step is one cycle. Further cycles are taken from the slice, so that the engines stop where the
//! segment ends.
//!
//! This file holds the permissions and the answers to the engines, and must not know how engines work. Costs are in
//! `paging` and `memory`, registers in `banks`, the ends of segments in `segments`, system instructions in `calls`.
//! Source: the crate risc0-circuit-rv32im 4.0.5.

mod accelerators;
mod banks;
mod bigint;
mod calls;
mod io;
mod memory;
mod paging;
mod segments;
mod sha2;

use tachy_runtime::{Access, HartState, PageState, page_of};

use crate::error::{BootError, Cause, Error};
use crate::isa::{Op, Variant};
use crate::machine::{Budget, Context, Flow, Machine, Settled, SliceGrant, StepError};
use crate::machine_kind::MachineKind;
use crate::program::Program;
use crate::risc0::handover::{Handover, Takers};
use crate::risc0::host::HostOutput;
use crate::risc0::layout::*;
use crate::risc0::replay::REPLAY;
use crate::risc0::surroundings::{HostSurroundings, Settings};
use crate::risc0::{CallCount, Digest, Exit, Report};
use crate::rules::Rules;
use crate::run::Run;
use crate::trace::ReplayRules;

use banks::Banks;
use calls::ECALL_NAMES;
use memory::UndoLog;
use paging::Paging;
use segments::{Segment, Totals};

pub use bigint::BigIntError;

/// Accesses of user mode without an assist. The engines' own bits are those of machine mode.
const USER_READ: PageState = PageState(0x10);
const USER_WRITE: PageState = PageState(0x20);
const USER_FETCH: PageState = PageState(0x40);
/// The page is already counted.
const COUNTED: PageState = PageState(0x80);

/// Index of each mode in [`R0vm::RULES`].
const USER: usize = 0;
const MACHINE: usize = 1;

/// State of machine `r0vm`; see the module.
pub(crate) struct R0vm {
    /// The mode word: 0 is user mode, anything else machine mode.
    mode: u32,
    banks: Banks,
    paging: Paging,
    segment: Segment,
    totals: Totals,
    /// The step at which the session began, or continued after a pause. Cycles are counted from here.
    first_step: u64,
    /// Cycles of system instructions beyond their steps since then.
    extra_cycles: u64,
    /// Counts of machine ecalls, by a7.
    calls: [CallCount; ECALL_NAMES.len()],
    /// What undoes the stores of the current machine ecall.
    undo: UndoLog,
    /// Big-integer programs that the guest has called.
    programs: bigint::Programs,
    /// Room for the next evaluation of one.
    scratch: bigint::Scratch,
    /// The host's answer to a read that a limit then stopped. The host is not asked again.
    answer: Option<Vec<u8>>,
    /// Address of the user's last ecall or trap.
    user_pc: u32,
    /// a0 and a1 of the program's termination.
    terminated: Option<(u32, u32)>,
    /// The eight output words of the termination.
    output: Option<[u32; 8]>,
    /// The results that the library's host had at the end.
    left: Option<HostOutput>,
}

impl Machine for R0vm {
    const KIND: MachineKind = MachineKind::R0vm;
    const VARIANT: Variant = Variant::R0vm;
    const MODES: &'static [&'static str] = &["user", "machine"];
    const RULES: &'static [Rules] = &[
        Rules {
            variant: Variant::R0vm,
            read: USER_READ,
            write: USER_WRITE,
            fetch: USER_FETCH,
            fetch_range: Some((LOWEST, KERNEL_START - 1)),
            shunt: true,
        },
        Rules {
            variant: Variant::R0vm,
            read: PageState::READ,
            write: PageState::WRITE,
            fetch: PageState::FETCH,
            fetch_range: Some((LOWEST, MACHINE_BANK - 1)),
            shunt: true,
        },
    ];

    const REPLAY: ReplayRules = REPLAY;
    const COUNTS_CYCLES: bool = true;
    const HANDLES_TRAPS: bool = true;

    type Settings<'env> = Settings<'env>;
    type Surroundings<'env> = HostSurroundings<'env>;
    type Takers<'env> = Takers<'env>;
    type Report = Report;

    fn settle<'env>(settings: Self::Settings<'env>) -> Result<Settled<'env, Self>, Error> {
        settings.settle()
    }

    fn hand_over<'env>(program: &Program, takers: Takers<'env>, run: Box<dyn Run + 'env>) -> Box<dyn Run + 'env> {
        Box::new(Handover::new(program, takers, run))
    }

    fn mode(&self) -> usize {
        if self.mode == 0 { USER } else { MACHINE }
    }

    fn boot(
        program: &Program,
        surroundings: &HostSurroundings<'_>,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
    ) -> Result<R0vm, Error> {
        memory::fill(program, vm, budget)?;
        let pc = vm.word(SUSPEND_PC);
        if pc < LOWEST {
            return Err(Error::Boot {
                machine: MachineKind::R0vm,
                reason: BootError::StartsTooLow { pc, lowest: LOWEST },
            });
        }
        let mode = vm.word(SUSPEND_MODE);
        vm.set_pc(pc);
        Ok(R0vm {
            mode,
            banks: Banks::read(vm, mode != 0),
            paging: Paging::new()?,
            segment: Segment::new(&surroundings.segments)?,
            totals: Totals::default(),
            first_step: 0,
            extra_cycles: 0,
            calls: Default::default(),
            undo: UndoLog::default(),
            programs: bigint::Programs::default(),
            scratch: bigint::Scratch::default(),
            answer: None,
            user_pc: 0,
            terminated: None,
            output: None,
            left: None,
        })
    }

    fn access(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        step: u64,
        address: u32,
        access: Access,
    ) -> Result<(), StepError> {
        let (fault, misaligned) = match access {
            Access::Load(_) => (Cause::LoadFault, Cause::LoadMisaligned),
            Access::Store(_) => (Cause::StoreFault, Cause::StoreMisaligned),
            Access::Fetch => (Cause::FetchFault, Cause::InstructionMisaligned),
        };
        if !self.may_touch(address) {
            return Err(StepError::Trap(fault, address));
        }
        let page = page_of(address);
        if self.banks.is_active(address) {
            self.banks.write_out(vm);
        }
        // The page comes in before the alignment check. A program can reach a misaligned pc and run there.
        self.page_in(vm, context, step, page)?;
        if access != Access::Fetch && !address.is_multiple_of(access.align_bytes()) {
            return Err(StepError::Trap(misaligned, address));
        }
        if matches!(access, Access::Store(_)) {
            self.page_out(vm, context, step, page)?;
        }
        Ok(())
    }

    fn price(&self, vm: &HartState<'_>, address: u32, access: Access) -> Option<u64> {
        let page = page_of(address);
        // Native code may access the other mode's registers in memory, as a kernel does, but not its own. Code in the
        // page of the registers is fetched word by word.
        let is_own = self.banks.is_active(address) || (page == SYSTEM_PAGE && access == Access::Fetch);
        if !self.may_touch(address) || is_own || !address.is_multiple_of(access.align_bytes()) {
            return None;
        }
        debug_assert!(vm.page_state(address).0 != 0 || !self.paging.is_loaded(page));
        let write = if matches!(access, Access::Store(_)) { self.paging.dirty_cycles(page) } else { 0 };
        Some((self.paging.load_cycles(page) + write) as u64)
    }

    fn stored(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>, address: u32) -> bool {
        let is_register = self.banks.is_active(address);
        if is_register {
            let before = vm.registers();
            self.banks.read_back(vm);
            context.record_registers(vm, &before);
        }
        is_register
    }

    // Native code assumes that x0 is 0. Only a program that stores into the bank itself can change x0.
    fn allows_native(&self, vm: &HartState<'_>) -> bool {
        vm.register(tachy_runtime::Slot::x(0)) == 0
    }

    fn between(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<SliceGrant, StepError> {
        self.between_steps(vm, context)
    }

    fn system(&mut self, op: Op, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<Flow, StepError> {
        let before = context.effects.len();
        let done = match (op, self.mode) {
            (Op::Ebreak, _) => Err(StepError::Trap(Cause::Breakpoint, vm.pc())),
            (Op::Mret, _) => self.return_to_user(vm, context),
            (_, 0) => self.user_ecall(vm, context),
            _ => self.machine_ecall(vm, context),
        };
        match &done {
            // A trap is recorded once it is known whether it has a handler.
            Ok(_) | Err(StepError::Trap(..)) => {}
            // The step may be repeated under another limit, so only the paging that it paid for persists.
            Err(error) if error.is_limit() => context.keep_page_effects(before),
            Err(_) => context.record_instruction(vm, before),
        }
        done
    }

    fn refused(
        &mut self,
        error: StepError,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<(), StepError> {
        match error {
            StepError::Trap(cause, address) => self.trap(cause, address, vm, context),
            other => Err(other),
        }
    }

    fn report(&self, vm: &HartState<'_>, context: &Context<'_, R0vm>) -> Option<Report> {
        let own = context.surroundings.host.own();
        Some(Report {
            earlier: Vec::new(),
            steps: vm.steps() - self.first_step,
            input: context.surroundings.segments.input,
            povw: context.surroundings.segments.povw,
            segments: self.totals.segments,
            user_cycles: self.user_cycles(vm),
            paging_cycles: self.totals.paging_cycles,
            reserved_cycles: self.totals.reserved_cycles,
            total_cycles: self.totals.total_cycles,
            each: self.totals.each.clone(),
            exit: self.terminated.map(|(a0, _)| Exit::new(a0)),
            output: self.output.map(Digest),
            ecalls: ECALL_NAMES.into_iter().zip(self.calls).collect(),
            journal: self.left.as_ref().and_then(|left| left.journal.clone()),
            assumptions: self.left.as_ref().map_or(Vec::new(), |left| left.assumptions.clone()),
            keccaks: self.left.as_ref().map_or(Vec::new(), |left| left.keccaks.clone()),
            syscalls: own.map_or(Vec::new(), |host| {
                host.counts().map(|(name, count)| (name.to_owned(), count.calls, count.bytes)).collect()
            }),
            roots: None,
        })
    }

    fn resume(&mut self, vm: &mut HartState<'_>, _: &mut Context<'_, R0vm>) -> bool {
        if !matches!(self.terminated.map(|(a0, _)| Exit::new(a0)), Some(Exit::Paused(_))) {
            return false;
        }
        self.begin_part(vm);
        true
    }

    fn end(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<(), StepError> {
        let committed = self.output.is_some_and(|output| output != [0; 8]);
        self.left = context.surroundings.host.own_mut().map(|host| host.finish(committed));
        self.last_segment(vm, context)
    }
}

impl R0vm {
    /// Returns whether an instruction may fetch, load or store at `address` in the current mode.
    fn may_touch(&self, address: u32) -> bool {
        address >= LOWEST && (self.mode != 0 || address < KERNEL_START)
    }
}
