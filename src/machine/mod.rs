//! Machines: how guest environments differ.
//!
//! A [`Machine`] says which instructions are legal, how memory looks, and what a system instruction does. The engines are
//! generic over it and ask it only on slow paths. A machine must not know which engine runs it. This module must not know
//! any machine: each stands in a module of its own, and `machines.rs` lists them.

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

/// How a system instruction ends that was carried out.
#[derive(Debug)]
pub(crate) enum Flow {
    /// At the next instruction.
    Next,
    /// Elsewhere, and other rules may hold there.
    Jump(u32),
    /// The program ends.
    Exit(End),
}

/// How a program ends.
#[derive(Debug)]
pub(crate) enum End {
    /// For good, with this code.
    Exited(u32),
    /// Until it is resumed, with this code.
    Paused(u32),
    /// In a way that the machine has no meaning for.
    Failed(Box<dyn MachineError>),
}

/// What a machine grants before a slice is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SliceGrant {
    /// Steps that may begin before the machine is asked again.
    pub(crate) steps: u64,
    /// Whether the machine did something.
    pub(crate) acted: bool,
}

/// What a machine reaches of the caller's world: streams, a host.
pub(crate) trait Surroundings: Sized + Send {
    /// User cycles that the surroundings allow, where they have a limit of their own.
    fn limit_cycles(&self) -> Option<u64> {
        None
    }

    /// Sets the limit on output, where the surroundings count it and not the machine.
    fn set_limit_output(&mut self, _bytes: Option<u64>) {}

    /// Flushes all streams. One that fails keeps no other from it.
    fn flush(&mut self) -> Result<(), StepError>;

    /// The process has forked and this is the child. An error ends the run: something that it needs stayed in the parent.
    fn enter_child(&mut self) -> Result<(), StepError> {
        Ok(())
    }

    /// The same for two engines, of which the second hears what the first hears; and what is known of their output.
    fn split(self) -> (Self, Self, Streams);
}

/// What a machine does in a session with the caller's settings.
pub(crate) struct Settled<'env, M: Machine> {
    /// What the machine reaches while it runs.
    pub(crate) surroundings: M::Surroundings<'env>,
    /// Who takes what a run makes beside rows.
    pub(crate) takers: M::Takers<'env>,
}

/// What a machine is given: its context with its own surroundings.
pub(crate) type Context<'env, M> = ExecutionContext<<M as Machine>::Surroundings<'env>>;

/// A guest environment.
pub(crate) trait Machine: Sized + Send + 'static {
    /// Its name.
    const KIND: MachineKind;
    /// The column of the instruction table that holds here.
    const VARIANT: Variant;

    /// The names of its modes, the least privileged first.
    const MODES: &'static [&'static str];

    /// The rules of each of its modes.
    const RULES: &'static [Rules];

    /// How rows and effects of this machine move a replay on.
    const REPLAY: ReplayRules;

    /// Whether it counts cycles, so that they can have a limit.
    const COUNTS_CYCLES: bool;

    /// Whether a trap may go on in a handler of the guest's, without a step.
    const HANDLES_TRAPS: bool;

    /// What a caller can set.
    type Settings<'env>;

    /// What it reaches while it runs.
    type Surroundings<'env>: Surroundings;

    /// Who takes what a run makes beside rows.
    type Takers<'env>;

    /// What a session came to, as the machine counts it.
    type Report: Any;

    /// Makes surroundings of a caller's settings, or refuses settings that make no sense.
    fn settle<'env>(settings: Self::Settings<'env>) -> Result<Settled<'env, Self>, Error>;

    /// Hands what a run makes beside rows to its takers. Where nobody takes anything, that is `run` itself.
    fn hand_over<'env>(program: &Program, takers: Self::Takers<'env>, run: Box<dyn Run + 'env>) -> Box<dyn Run + 'env>;

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
        surroundings: &Self::Surroundings<'_>,
        vm: &mut HartState<'_>,
        budget: &mut Budget,
    ) -> Result<Self, Error>;

    /// The slow path of every access: called when the page's state does not allow it without help or the address is
    /// misaligned. `Ok` means that it may happen in this step, which need not be the next one; stores into pages with code
    /// are the engine's business. What it costs beyond its step is taken from the slice, which it may use up: the step is
    /// done all the same.
    fn access(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, Self>,
        step: u64,
        address: u32,
        access: Access,
    ) -> Result<(), StepError>;

    /// What [`Machine::access`] would take from the slice for an access that native code may do itself afterwards; none
    /// where that is the interpreter's business. Changes nothing.
    fn price(&self, vm: &HartState<'_>, address: u32, access: Access) -> Option<u64>;

    /// Called after a store for which [`Machine::access`] was asked, with the word in memory. Whether the engine must look
    /// before the next step.
    fn stored(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>, address: u32) -> bool;

    /// Whether native code keeps to what holds now. If not, the interpreter does everything.
    fn allows_native(&self, vm: &HartState<'_>) -> bool;

    /// Called before a slice is opened for at least one more step: does what is due between two steps. How many steps may
    /// begin before it is called again, at least one, and whether anything was done that native code must not be in the
    /// middle of.
    fn between(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<SliceGrant, StepError>;

    /// Carries out an instruction of class System. On an error nothing has happened, except that the pages it
    /// needs may count already.
    fn system(&mut self, op: Op, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<Flow, StepError>;

    /// A step cannot be done for this reason. `Ok` if the program goes on at the context's pc, and that was no step.
    fn refused(
        &mut self,
        error: StepError,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, Self>,
    ) -> Result<(), StepError>;

    /// What the session came to so far, if the machine has more to say than the engine.
    fn report(&self, _: &HartState<'_>, _: &Context<'_, Self>) -> Option<Self::Report> {
        None
    }

    /// The program has ended and `end` was called; makes it go on, if it only paused. Whether it does.
    fn resume(&mut self, _: &mut HartState<'_>, _: &mut Context<'_, Self>) -> bool {
        false
    }

    /// Called once after the program's last step.
    fn end(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, Self>) -> Result<(), StepError>;
}
