//! The caller's code as a run calls it: streams, hosts, sinks and callbacks, any of which may panic.
//!
//! A panic that unwinds through a step skips whatever undoes the step. Here it becomes a value, which takes the way of
//! every other failure and goes on unwinding when the run is over and the session is as it should be.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::trace::SinkError;

/// A panic of the caller's code, on its way to the caller.
#[derive(Debug)]
pub(crate) struct Panic(Box<dyn Any + Send>);

impl Panic {
    /// Goes on unwinding.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.0)
    }
}

/// Calls code of the caller's.
pub(crate) fn call<R>(code: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Panic)
}

/// Why a sink or a callback took no more.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It said so.
    Error(SinkError),
    /// It panicked.
    Panic(Panic),
}

/// Calls a sink or a callback of the caller's.
pub(crate) fn give(code: impl FnOnce() -> Result<(), SinkError>) -> Result<(), Failed> {
    call(code).map_err(Failed::Panic)?.map_err(Failed::Error)
}
