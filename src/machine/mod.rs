//! Machines: what differs between guest environments.
//!
//! A [`Machine`] says which instructions are legal, what memory looks like, and what a system instruction does. The
//! engines are generic over it and ask it only on slow paths. A machine must not know which engine runs.

mod bare;
mod world;

use std::fmt;

use tachy_runtime::{Access, HartState};

use crate::callers::Panic;
use crate::error::{Cause, Error};
use crate::isa::{Op, Variant};
use crate::program::Program;
use crate::risc0::Report;
use crate::risc0::host::HostError;
use crate::rules::Rules;
use crate::surroundings::Surroundings;

pub(crate) use crate::risc0::{BigIntError, R0vm};
pub(crate) use bare::Bare;
pub(crate) use world::{Budget, World};

/// The machines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MachineKind {
    /// Any static RV32IM program with a handful of Linux system calls.
    #[default]
    Bare,
    /// RISC Zero's R0VM 3.0, step for step and cycle for cycle.
    R0vm,
}

impl MachineKind {
    /// The column of the instruction table that holds on this machine.
    pub fn variant(self) -> Variant {
        match self {
            MachineKind::Bare => Bare::VARIANT,
            MachineKind::R0vm => R0vm::VARIANT,
        }
    }

    /// Where this machine puts a program's stack: its first address and one past its last. `None` where the program
    /// chooses.
    pub fn stack(self) -> Option<(u32, u32)> {
        match self {
            MachineKind::Bare => Some((bare::STACK_TOP - bare::STACK_BYTES, bare::STACK_TOP)),
            MachineKind::R0vm => None,
        }
    }
}

impl fmt::Display for MachineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MachineKind::Bare => "bare",
            MachineKind::R0vm => "r0vm",
        })
    }
}

/// Why a step cannot be done. The engine adds pc, step and instruction.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The guest did something that traps; the address is the one concerned.
    Trap(Cause, u32),
    /// The memory limit does not allow another page.
    MemoryLimit,
    /// The output limit does not allow this write.
    OutputLimit,
    /// A stream failed.
    Stream(&'static str, std::io::Error),
    /// The machine has no meaning for this: what was wrong, and the word that says how.
    Illegal(&'static str, u32),
    /// The host refused.
    Host(Box<HostError>),
    /// The guest panicked: its words, and the address of its own call that said them.
    GuestPanic(String, u32),
    /// A big-integer ecall does not make sense.
    BigInt(BigIntError),
    /// The limit on cycles was reached.
    CycleLimit {
        /// Cycles used.
        used: u64,
        /// The most that may be.
        limit: u64,
    },
    /// An instruction took more cycles than a segment of this base-2 logarithm has.
    SegmentTooSmall(u32),
    /// No more segments are taken in this run. Whoever takes them knows why.
    Segments,
    /// Code of the caller's panicked.
    Panic(Panic),
}

impl Refusal {
    /// Whether the step can be done under another limit, or if the caller's code does better. It is undone until then.
    pub(crate) fn is_limit(&self) -> bool {
        match self {
            Refusal::MemoryLimit
            | Refusal::OutputLimit
            | Refusal::CycleLimit { .. }
            | Refusal::Stream(..)
            | Refusal::Segments
            | Refusal::Panic(_) => true,
            Refusal::Host(error) => matches!(**error, HostError::OutputLimit { .. }),
            _ => false,
        }
    }

    /// The host refused for this reason.
    pub(crate) fn host(error: HostError) -> Refusal {
        Refusal::Host(Box::new(error))
    }

    /// The first of several failures, or a panic if there is one: the caller must see that.
    pub(crate) fn first(results: impl IntoIterator<Item = Result<(), Refusal>>) -> Result<(), Refusal> {
        let mut failures: Vec<Refusal> = results.into_iter().filter_map(Result::err).collect();
        let shown = failures.iter().position(|failure| matches!(failure, Refusal::Panic(_))).unwrap_or(0);
        match failures.is_empty() {
            true => Ok(()),
            false => Err(failures.swap_remove(shown)),
        }
    }
}

impl From<Panic> for Refusal {
    fn from(panic: Panic) -> Refusal {
        Refusal::Panic(panic)
    }
}

/// How a system instruction ends when it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// At the next instruction.
    Next,
    /// Elsewhere, and other rules may hold there.
    Jump(u32),
    /// The program ends.
    Exit(End),
}

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// For good, with this code.
    Exited(u32),
    /// Until it is resumed, with this code.
    Paused(u32),
    /// In a way that has no meaning: the word that it gave.
    Unknown(u32),
}

/// What a machine says between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Between {
    /// Steps that may begin before the machine is asked again.
    pub(crate) steps: u64,
    /// Whether something was done.
    pub(crate) acted: bool,
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Bare {}
    impl Sealed for super::R0vm {}
}

/// A guest environment.
pub(crate) trait Machine: sealed::Sealed + Send + 'static {
    /// Its name.
    const KIND: MachineKind;
    /// The column of the instruction table that holds here.
    const VARIANT: Variant;

    /// The rules of each of its modes.
    const RULES: &'static [Rules];

    /// Index of the mode it is in.
    fn mode(&self) -> usize;

    /// The rules that hold now.
    #[expect(clippy::indexing_slicing, reason = "a mode is the index of its rules")]
    fn rules(&self) -> &'static Rules {
        &Self::RULES[self.mode()]
    }

    /// Fills memory, page states, registers and pc with what the program finds at its first step.
    fn boot(
        program: &Program,
        env: &Surroundings<'_>,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
    ) -> Result<Self, Error>
    where
        Self: Sized;

    /// The slow path of every access: called when the page's state does not allow it without help or the address is
    /// misaligned. `Ok` means that it may happen in this step, which need not be the next one; stores into pages with code
    /// are the engine's business. What it costs beyond its step is taken from the slice, which it may use up: the step is
    /// done all the same.
    fn access(
        &mut self,
        vm: &mut HartState<'_>,
        world: &mut World<'_>,
        step: u64,
        address: u32,
        access: Access,
    ) -> Result<(), Refusal>;

    /// What [`Machine::access`] would take from the slice for an access that native code may do itself afterwards; none
    /// where that is the interpreter's business. Changes nothing.
    fn price(&self, vm: &HartState<'_>, address: u32, access: Access) -> Option<u64>;

    /// Called after a store for which [`Machine::access`] was asked, with the word in memory. Whether the engine must look
    /// before the next step.
    fn stored(&mut self, vm: &mut HartState<'_>, world: &mut World<'_>, address: u32) -> bool;

    /// Whether native code keeps to what holds now. If not, the interpreter does everything.
    fn allows_native(&self, vm: &HartState<'_>) -> bool;

    /// Called before a slice is opened for at least one more step: does what is due between two steps. How many steps may
    /// begin before it is called again, at least one, and whether anything was done that native code must not be in the
    /// middle of.
    fn between(&mut self, vm: &mut HartState<'_>, world: &mut World<'_>) -> Result<Between, Refusal>;

    /// Carries out an instruction of class System. On a refusal nothing has happened but that pages it needs may count already.
    fn system(&mut self, op: Op, vm: &mut HartState<'_>, world: &mut World<'_>) -> Result<Flow, Refusal>;

    /// A step cannot be done for this reason. `Ok` if the program goes on at the context's pc, and that was no step.
    fn refused(&mut self, refusal: Refusal, vm: &mut HartState<'_>, world: &mut World<'_>) -> Result<(), Refusal>;

    /// What a session on R0VM came to so far; none on other machines.
    fn report(&self, _: &HartState<'_>, _: &World<'_>) -> Option<Report> {
        None
    }

    /// The program has ended and `end` was called; makes it go on, if it only paused. Whether it does.
    fn resume(&mut self, _: &mut HartState<'_>, _: &mut World<'_>) -> bool {
        false
    }

    /// Called once after the program's last step.
    fn end(&mut self, vm: &mut HartState<'_>, world: &mut World<'_>) -> Result<(), Refusal>;
}
