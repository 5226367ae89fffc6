//! A run under way, whatever the machine and the engine: what a session needs of it.
//!
//! Machines are resolved statically below this line and are all alike above it. Nothing here decides anything.

use std::any::Any;
use std::time::Duration;

use tachy_runtime::Vm;

use crate::error::{Error, Location};
use crate::limits::{CancelHandle, Limits};
use crate::machine_kind::MachineKind;
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{Replay, Sink};

/// Something that can be run, and looked at between two steps.
pub(crate) trait Run: Send {
    /// Runs until the program ends, step `until` is reached, or something goes wrong.
    fn run(&mut self, until: u64, limits: &Limits, cancel: &CancelHandle, sink: &mut dyn Sink)
    -> Result<Status, Error>;

    /// Whether the program has ended, or its next step can never be done.
    fn is_over(&self) -> bool;

    /// Whether a failure has left something undone that the next run does.
    fn owes(&self) -> bool;

    /// Makes a program go on that only paused; whether it does.
    fn resume(&mut self) -> bool;

    /// What it came to so far: the machine's own report, if it makes one.
    fn report(&self) -> Option<Box<dyn Any>>;

    /// Where it stands.
    fn state(&self) -> &dyn State;
}

/// A hart between two steps.
pub(crate) trait State {
    fn machine(&self) -> MachineKind;
    fn vm(&self) -> &Vm;
    fn location(&self) -> Location;
    /// How the program ended or paused, once it has.
    fn exit(&self) -> Option<Status>;
    fn exit_code(&self) -> Option<u32>;
    fn spent(&self) -> Duration;
    fn stats(&self) -> Stats;
    /// Whether a trap may go on in a handler of the guest's, without a step.
    fn handles_traps(&self) -> bool;
    /// The state now, to follow rows from here up to step `until`.
    fn replay(&self, until: u64) -> Replay;
}
