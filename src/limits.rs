//! Limits of a run, and the handle that cancels one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a run may use; `None` is no limit. Steps, memory and output stop every engine at the same step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Step k runs only if k is below this. A program that ends in exactly this many steps has not reached it.
    pub steps: Option<u64>,
    /// Bytes of memory: distinct 1 KiB guest pages, mapped at load or touched first later.
    pub memory_bytes: Option<u64>,
    /// Bytes written to stdout and stderr together.
    pub output_bytes: Option<u64>,
    /// Time spent running. Seen at some step boundary soon after: where is not deterministic.
    pub time: Option<Duration>,
}

/// Cancels a run from another thread. Clones cancel the same session.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<AtomicBool>);

impl CancelHandle {
    /// Asks the run to stop at the next slice, sink call, host call or compilation: a million steps at most.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to; the question withdraws the request, so that the session can go on.
    pub(crate) fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}
