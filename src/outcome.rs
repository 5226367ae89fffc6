//! The result of a session, once its memory is no longer needed. It must not know how a session runs.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::error::Location;
use crate::stats::Stats;
use crate::status::Status;

/// The result of a session. [`Session::finish`](crate::Session::finish), [`Executor::run`](crate::Executor::run) and
/// [`Executor::trace`](crate::Executor::trace) return it.
#[derive(Debug)]
pub struct Outcome {
    pub(crate) status: Option<Status>,
    pub(crate) location: Location,
    pub(crate) registers: [u32; 32],
    pub(crate) time: Duration,
    pub(crate) stats: Stats,
    pub(crate) machine_report: MachineReport,
}

/// The machine's own report, if it makes one.
pub(crate) struct MachineReport(pub(crate) Option<Box<dyn Any>>);

impl fmt::Debug for MachineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MachineReport").field(&self.0.is_some()).finish()
    }
}

impl Outcome {
    /// Returns how the program ended or paused, or [`Status::Reached`] if it can continue. Returns `None` if an error
    /// ended it, such as a trap.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// Returns the code with which the program ended or paused.
    pub fn exit_code(&self) -> Option<u32> {
        match self.status {
            Some(Status::Exited { code } | Status::Paused { code }) => Some(code),
            Some(Status::Reached) | None => None,
        }
    }

    /// Returns the number of steps done.
    pub fn steps(&self) -> u64 {
        self.location.step
    }

    /// Returns the last location of the session.
    pub fn location(&self) -> Location {
        self.location
    }

    /// Returns x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.registers
    }

    /// Returns the time spent running.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Returns counters about how the session ran.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
