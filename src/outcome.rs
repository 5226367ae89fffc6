//! What a session came to, when nobody needs its memory any more. It must not know how a session runs.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::error::Location;
use crate::stats::Stats;
use crate::status::Status;

/// What a session came to. [`Session::finish`](crate::Session::finish) gives it, and so do
/// [`Executor::run`](crate::Executor::run) and [`Executor::trace`](crate::Executor::trace).
#[derive(Debug)]
pub struct Outcome {
    pub(crate) status: Status,
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
    /// How the session ended, or that it can go on.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The code the program ended or paused with.
    pub fn exit_code(&self) -> Option<u32> {
        match self.status {
            Status::Exited { code } | Status::Paused { code } => Some(code),
            Status::Reached => None,
        }
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.location.step
    }

    /// Where the session stood at last.
    pub fn location(&self) -> Location {
        self.location
    }

    /// x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.registers
    }

    /// Time spent running.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// How the session ran.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
