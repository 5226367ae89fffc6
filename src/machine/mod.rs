//! Machines: how guest environments differ.
//!
//! A [`Machine`] defines which instructions are legal, how memory looks, and what a system instruction does. The
//! engines are generic over it and call it only on slow paths. A machine must not know which engine runs it. This
//! module must not know any machine: each has a module of its own, and `machines.rs` lists them.

mod context;
mod step_error;

use std::any::Any;

use tachy_runtime::{Access, HartState};

use crate::error::{Error, MachineError};
use crate::isa::{Op, Variant};
use crate::machine_kind::MachineKind;
use crate::overhear::Streams;
use crate::program::Program;
use crate::rules::Rules;
use crate::run::Run;
use crate::trace::ReplayRules;

pub(crate) use context::{Budget, ExecutionContext, load_bytes, store_bytes};
pub(crate) use step_error::StepError;

/// How an executed system instruction continues.
#[derive(Debug)]
pub(crate) enum Flow {
    /// At the next instruction.
    Next,
    /// Elsewhere, possibly under other rules.
    Jump(u32),
    /// The program ends.
    Exit(End),
}

/// How a program ends.
#[derive(Debug)]
pub(crate) enum End {
    /// It exited for good, with this code.
    Exited(u32),
    /// It paused with this code, until it is resumed.
    Paused(u32),
    /// It ended in a way that has no meaning on this machine.
    Failed(Box<dyn MachineError>),
}

/// The machine's grant for the next slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SliceGrant {
    /// Steps that may begin before the machine is called again.
    pub(crate) steps: u64,
    /// Whether the machine did something.
    pub(crate) acted: bool,
}

/// The parts of the caller's world that a machine uses: streams, a host.
pub(crate) trait Surroundings: Sized + Send {
    /// Returns the user cycles that the environment allows, if it has a limit of its own.
    fn limit_cycles(&self) -> Option<u64> {
        None
    }

    /// Sets the limit on output, if the environment counts it and not the machine.
    fn set_limit_output(&mut self, _bytes: Option<u64>) {}

    /// Flushes all streams, even if one of them fails.
    fn flush(&mut self) -> Result<(), StepError>;

    /// Called in the child after a fork. An error ends the run: something that the run needs stayed in the parent.
    fn enter_child(&mut self) -> Result<(), StepError> {
        Ok(())
    }

    /// Splits the environment for two engines, of which the second hears what the first hears. Also returns what is
    /// known of their output.
    fn split(self) -> (Self, Self, Streams);
}

/// The caller's settings, divided by their use in a session.
pub(crate) struct Settled<'env, M: Machine> {
    /// What the machine uses while it runs.
    pub(crate) surroundings: M::Surroundings<'env>,
    /// Receivers of what a run produces besides rows.
    pub(crate) takers: M::Takers<'env>,
}

/// The context of a machine, with its own environment.
pub(crate) type Context<'env, M> = ExecutionContext<<M as Machine>::Surroundings<'env>>;

/// A guest environment.
pub(crate) trait Machine: Sized + Send + 'static {
    /// Its name.
    const KIND: MachineKind;
    /// The column of the instruction table that applies here.
    const VARIANT: Variant;

    /// The names of its modes, the least privileged first.
    const MODES: &'static [&'static str];

    /// The rules of each of its modes.
    const RULES: &'static [Rules];

    /// How rows and effects of this machine advance a replay.
    const REPLAY: ReplayRules;

    /// Whether it counts cycles, so that they can be limited.
    const COUNTS_CYCLES: bool;

    /// Whether a trap may continue in one of the guest's handlers, without a step.
    const HANDLES_TRAPS: bool;

    /// The settings that a caller can make.
    type Settings<'env>;

    /// What it uses while it runs.
    type Surroundings<'env>: Surroundings;

    /// Receivers of what a run produces besides rows.
    type Takers<'env>;

    /// The machine's own report of a session.
    type Report: Any;

    /// Turns a caller's settings into an environment, or rejects invalid settings.
    fn settle<'env>(settings: Self::Settings<'env>) -> Result<Settled<'env, Self>, Error>;

    /// Wraps `run` so that it hands what it produces besides rows to `takers`. Without any taker, returns `run` itself.
    fn hand_over<'env>(program: &Program, takers: Self::Takers<'env>, run: Box<dyn Run + 'env>) -> Box<dyn Run + 'env>;

    /// Returns the index of the current mode.
    fn mode(&self) -> usize;

    /// Returns the current rules.
    #[expect(clippy::indexing_slicing, reason = "a mode is the index of its rules")]
    fn rules(&self) -> &'static Rules {
        &Self::RULES[self.mode()]
    }

    /// Fills memory, page states, registers and pc with the program's initial state.
    fn boot(
        program: &Program,
        surroundings: &Self::Surroundings<'_>,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
    ) -> Result<Self, Error>;

    /// Handles the slow path of every access. It is called if the page's state does not allow the access without help,
    /// or if the address is misaligned.
    ///
    /// `Ok` means that the access may happen in step `step`, which need not be the next one. Stores into pages with
    /// code are the engine's responsibility. The price of the access beyond its step is taken from the slice, and may
    /// exhaust it: the step is done all the same.
    fn access(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, Self>,
        step: u64,
        address: u32,
        access: Access,
    ) -> Result<(), StepError>;

    /// Returns what [`Machine::access`] would take from the slice for an access that native code may then do itself.
    /// Returns `None` if the interpreter has to do the access. Changes nothing.
    fn price(&self, vm: &HartState<'_>, address: u32, access: Access) -> Option<u64>;

    /// Called after a store for which [`Machine::access`] was called, with the word in memory. Returns whether the
    /// engine must check something before the next step.
    fn stored(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>, address: u32) -> bool;

    /// Returns whether native code respects the current rules. If not, the interpreter does everything.
    fn allows_native(&self, vm: &HartState<'_>) -> bool;

    /// Called before a slice is opened for at least one more step: does the pending work between two steps.
    ///
    /// Returns how many steps may begin before the next call, at least one. Also returns whether it did anything that
    /// must not happen while native code is in the middle of a region.
    fn between(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<SliceGrant, StepError>;

    /// Executes an instruction of class System. After an error nothing has happened, except that the pages it needs may
    /// already count.
    fn system(&mut self, op: Op, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<Flow, StepError>;

    /// Called when a step cannot be done for this reason. Returns `Ok` if the program continues at the context's pc;
    /// that was no step.
    fn refused(
        &mut self,
        error: StepError,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, Self>,
    ) -> Result<(), StepError>;

    /// Returns the machine's report so far, if it adds to the engine's.
    fn report(&self, _: &HartState<'_>, _: &Context<'_, Self>) -> Option<Self::Report> {
        None
    }

    /// Resumes a program that has ended and for which `end` was called, if it is only paused. Returns whether it was.
    fn resume(&mut self, _: &mut HartState<'_>, _: &mut Context<'_, Self>) -> bool {
        false
    }

    /// Called once after the program's last step.
    fn end(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<(), StepError>;
}
