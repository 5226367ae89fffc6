//! Limits of a run, and the handle that cancels one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What a run may use; `None` is no limit. Steps, memory, output and cycles stop every engine at the same step.
///
/// ```
/// use tachy::Limits;
///
/// let limits = Limits::none().steps(1_000_000).memory_bytes(16 << 20);
/// assert_eq!((limits.steps, limits.cycles), (Some(1_000_000), None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// Step k runs only if k is below this. A program that ends in exactly this many steps has not reached it.
    pub steps: Option<u64>,
    /// Bytes of memory: distinct 1 KiB guest pages, mapped at load or touched first later.
    pub memory_bytes: Option<u64>,
    /// Bytes written to stdout and stderr together; on machine `r0vm` to all of the caller's streams, and what its kernel
    /// says: then the error is [`Error::Host`](crate::Error::Host), of kind `output-limit`, and the run can go on as well. A
    /// host of the caller's own counts for itself.
    pub output_bytes: Option<u64>,
    /// User cycles of a session on machine `r0vm`, or of its part after a pause; reaching them is an error. Where its host
    /// has a limit too, the session begins with the lower one. Machine `bare` counts no cycles and refuses this.
    pub cycles: Option<u64>,
    /// Time spent running. Seen at some step boundary soon after: where is not deterministic.
    pub time: Option<Duration>,
}

impl Limits {
    /// No limit.
    pub const fn none() -> Limits {
        Limits { steps: None, memory_bytes: None, output_bytes: None, cycles: None, time: None }
    }

    /// Sets [`Limits::steps`].
    pub fn steps(self, steps: impl Into<Option<u64>>) -> Limits {
        Limits { steps: steps.into(), ..self }
    }

    /// Sets [`Limits::memory_bytes`].
    pub fn memory_bytes(self, bytes: impl Into<Option<u64>>) -> Limits {
        Limits { memory_bytes: bytes.into(), ..self }
    }

    /// Sets [`Limits::output_bytes`].
    pub fn output_bytes(self, bytes: impl Into<Option<u64>>) -> Limits {
        Limits { output_bytes: bytes.into(), ..self }
    }

    /// Sets [`Limits::cycles`].
    pub fn cycles(self, cycles: impl Into<Option<u64>>) -> Limits {
        Limits { cycles: cycles.into(), ..self }
    }

    /// Sets [`Limits::time`].
    pub fn time(self, time: impl Into<Option<Duration>>) -> Limits {
        Limits { time: time.into(), ..self }
    }
}

/// Cancels a run from another thread, and sees how far it has come. Clones are for the same session; one of a caller's
/// own is given to a session by [`Env::cancel_handle`](crate::Env::cancel_handle).
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    steps: AtomicU64,
}

impl CancelHandle {
    /// Asks the run to stop at the next slice, sink call, host call or compilation: a million steps at most.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Steps that the session had done when it was last between two slices: a million steps ago at most, while it runs.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// Between two slices: says how far the run is, and whether it was asked to stop. The question withdraws the
    /// request, so that the session can go on.
    pub(crate) fn take(&self, steps: u64) -> bool {
        self.0.steps.store(steps, Ordering::Relaxed);
        self.0.cancelled.load(Ordering::Relaxed) && self.0.cancelled.swap(false, Ordering::Relaxed)
    }
}
