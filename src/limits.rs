//! Limits of a run, and the handle that cancels one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Limits of a run; `None` means no limit. The limits on steps, memory, output and cycles stop every engine at the same
/// step.
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
    /// Step k runs only if k is below this limit. A program that ends after exactly this many steps stays within it.
    pub steps: Option<u64>,
    /// Bytes of memory: distinct 1 KiB guest pages, mapped at load or touched later.
    pub memory_bytes: Option<u64>,
    /// Bytes written to stdout and stderr together.
    ///
    /// On machine `r0vm` the limit covers all of the caller's streams and the kernel's own messages. The error is then
    /// [`Error::Machine`](crate::Error::Machine) of kind `output-limit`, and the run can continue after it, too. A host
    /// supplied by the caller does its own counting.
    pub output_bytes: Option<u64>,
    /// User cycles of a session on machine `r0vm`, or of its part after a pause; reaching them is an error. If the host
    /// has a limit too, the session starts with the lower one. Machine `bare` counts no cycles and rejects this limit.
    pub cycles: Option<u64>,
    /// Time spent running. The run stops at some step boundary soon after; which one is not deterministic.
    pub time: Option<Duration>,
}

impl Limits {
    /// Sets no limit.
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

/// Cancels a run from another thread and reports its progress. All clones are one handle.
/// [`Env::cancel_handle`](crate::Env::cancel_handle) passes a handle of the caller's own to a session.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    steps: AtomicU64,
}

impl CancelHandle {
    /// Asks the run to stop at the next slice, sink call, host call or compilation: after a million steps at most.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns the steps that the session had done at its last slice boundary. While the session runs, that is a
    /// million steps ago at most.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// Publishes the progress between two slices, and returns whether a stop was requested. The call withdraws the
    /// request, so that the session can continue.
    pub(crate) fn take(&self, steps: u64) -> bool {
        self.0.steps.store(steps, Ordering::Relaxed);
        self.0.cancelled.load(Ordering::Relaxed) && self.0.cancelled.swap(false, Ordering::Relaxed)
    }
}
