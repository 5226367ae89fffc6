//! Ctrl-C: the first one ends a run between two steps, so that it can still tell how far it came; the second one ends
//! everything at once.
//!
//! The handler is the program's, never the library's. Whoever started us with the signal ignored has it ignored.

use std::process;
use std::sync::{Mutex, Once, PoisonError};

use tachy::CancelHandle;

use super::failure::INTERRUPTED;

/// The run that a first Ctrl-C ends.
static RUN: Mutex<Option<CancelHandle>> = Mutex::new(None);

/// From now on Ctrl-C is for this run.
pub(super) fn watch(run: CancelHandle) {
    static HANDLER: Once = Once::new();
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
    // Without a handler, Ctrl-C does what it does to any program.
    HANDLER.call_once(|| drop(ctrlc::try_set_handler(interrupted)));
}

/// A handle for sessions that are yet to begin, which Ctrl-C cancels from now on: the one that runs then, or else the next.
pub(super) fn handle() -> CancelHandle {
    let handle = CancelHandle::default();
    watch(handle.clone());
    handle
}

/// Whether Ctrl-C has come since a run was watched.
pub(super) fn has_come() -> bool {
    RUN.lock().unwrap_or_else(PoisonError::into_inner).is_none()
}

fn interrupted() {
    match RUN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(run) => run.cancel(),
        None => process::exit(INTERRUPTED.into()),
    }
}
