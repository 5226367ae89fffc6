//! Tests that count what the whole process has: its threads, mappings, descriptors and memory. Any other test would be
//! counted with them, so they have a process of their own, and each test in it takes its turn.

#[path = "../../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

mod background;
mod code_memory;
mod executors;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test runs. The next test may start when the guard is dropped, also by a test that failed.
fn turn() -> MutexGuard<'static, ()> {
    static PROCESS: Mutex<()> = Mutex::new(());
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}
