//! Why a step cannot be done, as a machine reports it to the engine.

use crate::callers::Panic;
use crate::error::{Cause, MachineError, StreamName};
use crate::invariant::BrokenInvariant;

/// Why a step cannot be done. The engine adds pc, step and instruction.
#[derive(Debug)]
pub(crate) enum StepError {
    /// The guest trapped; the address is the one concerned.
    Trap(Cause, u32),
    /// The memory limit does not allow another page.
    MemoryLimit,
    /// The output limit does not allow this write.
    OutputLimit,
    /// A stream failed.
    Stream(StreamName, std::io::Error),
    /// The guest panicked: its message, and the address of its own call that reported it.
    GuestPanic(String, u32),
    /// The limit on cycles was reached.
    CycleLimit {
        /// Cycles used.
        used: u64,
        /// The maximum.
        limit: u64,
    },
    /// The machine cannot execute the step, for a reason of its own.
    Machine(Box<dyn MachineError>),
    /// A receiver of the machine's products has stopped the run, and knows why.
    Stopped,
    /// An invariant of Tachy does not hold: a bug in Tachy.
    Internal(BrokenInvariant),
    /// The caller's code panicked.
    Panic(Panic),
}

impl StepError {
    /// Returns whether the step can be done under another limit, or once the caller's code works. Until then it stays
    /// undone.
    pub(crate) fn is_limit(&self) -> bool {
        match self {
            StepError::MemoryLimit
            | StepError::OutputLimit
            | StepError::CycleLimit { .. }
            | StepError::Stream(..)
            | StepError::Stopped
            | StepError::Panic(_) => true,
            StepError::Machine(error) => error.is_limit(),
            StepError::Trap(..) | StepError::GuestPanic(..) | StepError::Internal(_) => false,
        }
    }

    /// Returns the first of several failures, or a panic if there is one: the caller must see that.
    pub(crate) fn first(results: impl IntoIterator<Item = Result<(), StepError>>) -> Result<(), StepError> {
        let mut failures: Vec<StepError> = results.into_iter().filter_map(Result::err).collect();
        let shown = failures.iter().position(|failure| matches!(failure, StepError::Panic(_))).unwrap_or(0);
        match failures.is_empty() {
            true => Ok(()),
            false => Err(failures.swap_remove(shown)),
        }
    }
}

impl From<Panic> for StepError {
    fn from(panic: Panic) -> StepError {
        StepError::Panic(panic)
    }
}

impl From<BrokenInvariant> for StepError {
    fn from(broken: BrokenInvariant) -> StepError {
        StepError::Internal(broken)
    }
}

impl<E: MachineError> From<E> for StepError {
    fn from(error: E) -> StepError {
        StepError::Machine(Box::new(error))
    }
}
