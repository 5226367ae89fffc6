//! Anonymous memory from the operating system, owned and returned.

mod limit;

use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use thiserror::Error;

pub use limit::MemoryLimit;

/// The operating system refused memory.
#[derive(Debug, Error)]
#[error("the system refused to {action} {bytes} bytes of memory; {limit}")]
pub struct MapError {
    /// The refused request: "reserve", "protect" or "allocate".
    pub action: &'static str,
    /// Size of the request.
    pub bytes: usize,
    /// The limit that was hit, if it could be identified.
    pub limit: MemoryLimit,
    /// The system's answer.
    #[source]
    pub source: std::io::Error,
}

impl MapError {
    /// Creates the error of an allocator that could not provide `bytes` bytes.
    pub fn allocation(bytes: usize) -> MapError {
        let source = std::io::ErrorKind::OutOfMemory.into();
        // Large allocations are mappings of their own, and writable at once.
        let limit = match MemoryLimit::of_refusal(&source, bytes, true) {
            MemoryLimit::Unknown => MemoryLimit::of_refusal(&source, bytes, false),
            limit => limit,
        };
        MapError { action: "allocate", bytes, limit, source }
    }

    fn of(action: &'static str, bytes: usize, source: std::io::Error) -> MapError {
        let limit = MemoryLimit::of_refusal(&source, bytes, action == "reserve");
        MapError { action, bytes, limit, source }
    }
}

/// Returns the size of the system's pages, the unit of protection: 4, 16 or 64 KiB.
pub(crate) fn system_page_bytes() -> usize {
    rustix::param::page_size()
}

/// A private anonymous mapping, at first without access, unmapped when dropped.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory owned by this value; no part of it belongs to a thread.
unsafe impl Send for Mapping {}
// SAFETY: a shared Mapping gives out only its address.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves `bytes` (a multiple of the system's page) without any access.
    pub(crate) fn reserve(bytes: usize) -> Result<Mapping, MapError> {
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        }
        .map_err(|errno| MapError::of("reserve", bytes, errno.into()))?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| MapError::of("reserve", bytes, std::io::ErrorKind::OutOfMemory.into()))?;
        let mapping = Mapping { start, bytes };
        mapping.refuse_huge_pages();
        mapping.lock_what_is_touched();
        Ok(mapping)
    }

    /// Turns off huge pages. Otherwise the system could provide 2 MiB for the first byte touched, and a guest that
    /// touches one page in each would use two thousand times its limit.
    fn refuse_huge_pages(&self) {
        #[cfg(target_os = "linux")]
        {
            use rustix::mm::{Advice, madvise};
            // SAFETY: the range is this mapping, and the advice changes nothing that a program could observe.
            let advised = unsafe { madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxNoHugepage) };
            // A system that does not know huge pages uses none.
            let _ = advised;
        }
    }

    /// Makes the system lock pages when they are touched.
    ///
    /// In a process that locks all future memory (`mlockall`), the system would otherwise fill the whole reservation as
    /// soon as it becomes writable.
    fn lock_what_is_touched(&self) {
        #[cfg(target_os = "linux")]
        {
            use rustix::io::Errno;
            use rustix::mm::{MlockFlags, MsyncFlags, mlock_with, msync, munlock};
            let start = self.start.as_ptr().cast();
            // SAFETY: the range is this mapping. It has no file, so nothing is written or invalidated; the call only
            // reports whether the memory is locked.
            let told = unsafe { msync(start, self.bytes, MsyncFlags::ASYNC | MsyncFlags::INVALIDATE) };
            if told == Err(Errno::BUSY) {
                // SAFETY: the range is this mapping, and the way it is locked changes nothing that a program could
                // observe.
                let locked = unsafe { mlock_with(start, self.bytes, MlockFlags::ONFAULT) };
                if locked.is_err() {
                    // A system that cannot lock pages on demand should not lock them at all.
                    // SAFETY: as above.
                    let _ = unsafe { munlock(start, self.bytes) };
                }
            }
        }
    }

    /// Asks the system to clear this memory in a child of this process; returns whether it will.
    pub(crate) fn clear_in_children(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::mm::{Advice, madvise};
            // SAFETY: the range is this mapping, and the advice changes nothing in this process.
            unsafe { madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxWipeOnFork) }.is_ok()
        }
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Returns the first byte.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Makes `bytes` from `offset` readable and writable.
    pub(crate) fn allow_read_write(&self, offset: usize, bytes: usize) -> Result<(), MapError> {
        self.protect(offset, bytes, MprotectFlags::READ | MprotectFlags::WRITE)
    }

    /// Makes `bytes` from `offset` readable only: they stay zero forever.
    pub(crate) fn allow_read(&self, offset: usize, bytes: usize) -> Result<(), MapError> {
        self.protect(offset, bytes, MprotectFlags::READ)
    }

    /// Makes `bytes` from `offset` readable and executable, and no longer writable.
    pub(crate) fn allow_read_execute(&self, offset: usize, bytes: usize) -> Result<(), MapError> {
        self.protect(offset, bytes, MprotectFlags::READ | MprotectFlags::EXEC)
    }

    fn protect(&self, offset: usize, bytes: usize, flags: MprotectFlags) -> Result<(), MapError> {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset, "protecting outside the mapping");
        // SAFETY: the range lies in this mapping, as asserted.
        unsafe { mprotect(self.start.as_ptr().add(offset).cast(), bytes, flags) }
            .map_err(|errno| MapError::of("protect", bytes, errno.into()))
    }
}

#[cfg(test)]
impl Mapping {
    /// Calls `call` while these bytes are unmapped, so that the system refuses to protect the bytes behind them.
    pub(crate) fn with_hole<R>(&self, offset: usize, bytes: usize, call: impl FnOnce() -> R) -> R {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset, "a hole outside the mapping");
        let hole = self.start.as_ptr().wrapping_add(offset).cast();
        // SAFETY: the range lies in this mapping, and tests that call this touch nothing there.
        unsafe { munmap(hole, bytes) }.expect("a hole");
        let result = call();
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: the flags refuse to replace a mapping that another thread may have created there meanwhile.
        unsafe { mmap_anonymous(hole, bytes, ProtFlags::empty(), flags) }.expect("the hole is filled again");
        result
    }

    /// Returns whether the system allows writing to the byte at `offset`.
    pub(crate) fn is_writable(&self, offset: usize) -> bool {
        let address = self.start.as_ptr() as usize + offset;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("the system says what is mapped");
        let range = maps.lines().find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let [from, to] = [from, to].map(|text| usize::from_str_radix(text, 16).unwrap_or(0));
            (from..to).contains(&address).then_some(rest)
        });
        range.is_some_and(|rest| rest.as_bytes().get(1) == Some(&b'w'))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping, and every holder of addresses into it holds this value too. A failure
        // leaves the range mapped, and nothing more could be done about it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
