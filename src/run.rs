//! A run under way, whatever the machine and the engine: what a session needs of it.
//!
//! Machines are resolved statically below this line and are all alike above it. Nothing here decides anything.

use std::time::Duration;

use tachy_runtime::Vm;

use crate::engine::Hart;
use crate::error::{Error, Place};
use crate::limits::{CancelHandle, Limits};
use crate::machine::{Machine, MachineKind};
use crate::risc0::{Records, Report};
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::{Replay, Sink};

/// Something that can be run, and looked at between two steps.
pub(crate) trait Run: Send {
    /// Runs until the program ends, step `until` is reached, or something goes wrong.
    fn run(&mut self, until: u64, limits: &Limits, cancel: &CancelHandle, sink: &mut dyn Sink)
    -> Result<Status, Error>;

    /// Has records of segments sent there in the next run.
    fn set_records(&mut self, records: Option<Records>);

    /// Whether the program has ended, or its next step can never be done.
    fn is_over(&self) -> bool;

    /// Whether a failure has left something undone that the next run does.
    fn owes(&self) -> bool;

    /// Makes a program go on that only paused; whether it does.
    fn resume(&mut self) -> bool;

    /// Where it stands.
    fn state(&self) -> &dyn State;
}

/// A hart between two steps.
pub(crate) trait State {
    fn machine(&self) -> MachineKind;
    fn vm(&self) -> &Vm;
    fn place(&self) -> Place;
    fn exit_code(&self) -> Option<u32>;
    fn spent(&self) -> Duration;
    fn stats(&self) -> Stats;
    fn report(&self) -> Option<Report>;
}

impl<M: Machine> Run for Hart<'_, M> {
    fn run(
        &mut self,
        until: u64,
        limits: &Limits,
        cancel: &CancelHandle,
        sink: &mut dyn Sink,
    ) -> Result<Status, Error> {
        Hart::run(self, until, limits, cancel, sink)
    }

    fn set_records(&mut self, records: Option<Records>) {
        Hart::set_records(self, records);
    }

    fn is_over(&self) -> bool {
        Hart::is_over(self)
    }

    fn owes(&self) -> bool {
        Hart::owes(self)
    }

    fn resume(&mut self) -> bool {
        Hart::resume(self)
    }

    fn state(&self) -> &dyn State {
        self
    }
}

impl<M: Machine> State for Hart<'_, M> {
    fn machine(&self) -> MachineKind {
        M::KIND
    }

    fn vm(&self) -> &Vm {
        &self.vm
    }

    fn place(&self) -> Place {
        Hart::place(self)
    }

    fn exit_code(&self) -> Option<u32> {
        Hart::exit_code(self)
    }

    fn spent(&self) -> Duration {
        Hart::spent(self)
    }

    fn stats(&self) -> Stats {
        Hart::stats(self)
    }

    fn report(&self) -> Option<Report> {
        Hart::report(self)
    }
}

/// The state now, to follow rows from here up to step `until`.
pub(crate) fn replay(state: &dyn State, until: u64) -> Replay {
    let place = state.place();
    Replay::new(state.machine().variant(), place.step, place.pc, state.vm().registers(), until)
}
