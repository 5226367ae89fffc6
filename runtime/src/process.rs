//! Identifies the current process, and holds values that belong to the process that made them.
//!
//! A child of `fork` has a copy of all memory, but only the thread that forked. In the child, locks that another thread
//! held stay locked forever, channels have no other end, and data that another thread was changing is half changed. So
//! code that shares anything with a thread first checks whether it is still in the process that made it. This file must
//! not know what the values are.

use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::map::{Mapping, system_page_bytes};

/// Distinguishes a process from its ancestors, even if the system gives them the same process id, as it does to the
/// first process of each namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessNumber(u64);

impl ProcessNumber {
    /// Returns the number of this process. It takes a load from memory if the system can clear memory in a child (Linux
    /// since 4.14), and a system call otherwise.
    pub fn current() -> ProcessNumber {
        /// A child inherits a copy of this counter, so it takes a number that none of its ancestors has.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let Some(mark) = mark() else { return ProcessNumber(std::process::id().into()) };
        ProcessNumber(match mark.load(Ordering::Relaxed) {
            0 => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                match mark.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => number,
                    Err(earlier) => earlier,
                }
            }
            number => number,
        })
    }
}

#[cfg(test)]
impl ProcessNumber {
    /// Returns a number that belongs to no process.
    pub(crate) fn other() -> ProcessNumber {
        ProcessNumber(u64::MAX)
    }
}

/// Returns a word that is 0 again in each child; `None` if the system does not offer that.
fn mark() -> Option<&'static AtomicU64> {
    /// This is no `OnceLock`: if another thread forks while one is filling it, it stays locked in the child.
    static MARK: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    static NONE: AtomicU64 = AtomicU64::new(0);
    let mut found = MARK.load(Ordering::Acquire);
    if found.is_null() {
        let mapping = cleared_in_children();
        let made = mapping.as_ref().map_or(ptr::from_ref(&NONE).cast_mut(), |mapping| mapping.start().cast().as_ptr());
        found = match MARK.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // The mapping lives as long as the process.
                mem::forget(mapping);
                made
            }
            Err(earlier) => earlier,
        };
    }
    // SAFETY: it points to `NONE` or to the beginning of a page that is readable and writable, zero at first, and never
    // unmapped.
    let word: &'static AtomicU64 = unsafe { &*found };
    (!ptr::eq(word, &NONE)).then_some(word)
}

/// Returns a page that is zero in a child, if the system supports that.
fn cleared_in_children() -> Option<Mapping> {
    let mapping = Mapping::reserve(system_page_bytes()).ok()?;
    mapping.allow_read_write(0, system_page_bytes()).ok()?;
    mapping.clear_in_children().then_some(mapping)
}

/// A value of the process that made it. A child of a fork can read it but never drops it there: other threads may have
/// been changing what it leads to, and its threads cannot be waited for.
#[derive(Debug)]
pub struct ProcessLocal<T> {
    value: ManuallyDrop<T>,
    process: ProcessNumber,
}

impl<T> ProcessLocal<T> {
    /// Creates a value of this process.
    pub fn new(value: T) -> ProcessLocal<T> {
        ProcessLocal { value: ManuallyDrop::new(value), process: ProcessNumber::current() }
    }

    /// Returns whether this is a child of the process that made the value.
    #[inline]
    pub fn is_foreign(&self) -> bool {
        self.process != ProcessNumber::current()
    }
}

impl<T> Deref for ProcessLocal<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for ProcessLocal<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for ProcessLocal<T> {
    fn drop(&mut self) {
        if !self.is_foreign() {
            // SAFETY: the value is dropped only here, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_process_is_itself() {
        assert_eq!(ProcessNumber::current(), ProcessNumber::current());
        let elsewhere = std::thread::spawn(ProcessNumber::current).join().expect("it does not panic");
        assert_eq!(elsewhere, ProcessNumber::current());
    }

    #[test]
    fn values_of_another_process_are_kept() {
        let shared = Arc::new(());
        drop(ProcessLocal::new(shared.clone()));
        assert_eq!(Arc::strong_count(&shared), 1);
        let mut value = ProcessLocal::new(shared.clone());
        assert!(!value.is_foreign());
        value.process = ProcessNumber::other();
        assert!(value.is_foreign());
        drop(value);
        assert_eq!(Arc::strong_count(&shared), 2);
    }
}
