//! Tests that count resources of the whole process: threads, mappings, descriptors and memory. Other tests would
//! disturb the counts, so these have their own process, and run one at a time.

#[path = "../../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

mod background;
mod code_memory;
mod executors;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test runs. The next test may start when the guard is dropped, even after a failure.
fn turn() -> MutexGuard<'static, ()> {
    static PROCESS: Mutex<()> = Mutex::new(());
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}
