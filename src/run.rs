//! A run in progress, whatever its machine and engine: the interface that a session needs.
//!
//! Machines are resolved statically below this line and look alike above it. Nothing here makes decisions.

use std::any::Any;
use std::time::Duration;

use tachy_runtime::Vm;

use crate::error::{Error, Location};
use crate::limits::{CancelHandle, Limits};
use crate::machine_kind::MachineKind;
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{Replay, Sink};

/// Something that can run and be inspected between two steps.
pub(crate) trait Run: Send {
    /// Runs until the program ends, step `until` is reached, or something fails.
    fn run(&mut self, until: u64, limits: &Limits, cancel: &CancelHandle, sink: &mut dyn Sink)
    -> Result<Status, Error>;

    /// Returns whether the program has ended, or its next step can never be done.
    fn is_over(&self) -> bool;

    /// Returns whether a failure has left work for the next run.
    fn owes(&self) -> bool;

    /// Resumes a paused program; returns whether it was paused.
    fn resume(&mut self) -> bool;

    /// Returns the machine's own report about the run so far, if it makes one.
    fn report(&self) -> Option<Box<dyn Any>>;

    /// Returns the current state.
    fn state(&self) -> &dyn State;
}

/// A hart between two steps.
pub(crate) trait State {
    fn machine(&self) -> MachineKind;
    fn vm(&self) -> &Vm;
    fn location(&self) -> Location;
    /// How the program ended or paused, if it has.
    fn exit(&self) -> Option<Status>;
    fn exit_code(&self) -> Option<u32>;
    fn spent(&self) -> Duration;
    fn stats(&self) -> Stats;
    /// Whether a trap may continue in one of the guest's handlers, without a step.
    fn handles_traps(&self) -> bool;
    /// The current state as a replay, which follows rows from here up to step `until`.
    fn replay(&self, until: u64) -> Replay;
}
