//! Determines which limit caused a refusal of memory, so that the error can say what to raise. The system returns the
//! same two error numbers for all of them. It must not know what the memory is for.

use std::fmt;
use std::fs;

use rustix::process::{Resource, getrlimit};

/// A limit on memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryLimit {
    /// RLIMIT_AS: a process's address space.
    AddressSpace,
    /// RLIMIT_DATA: a process's private writable memory.
    Data,
    /// RLIMIT_MEMLOCK: the process locks all of its memory (mlockall), which counts reservations.
    Locked,
    /// The system counts all writable memory (vm.overcommit_memory is 2).
    Commit,
    /// The number of mappings of a process (vm.max_map_count).
    Mappings,
    /// None of them could be identified.
    Unknown,
}

impl fmt::Display for MemoryLimit {
    /// Says what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemoryLimit::AddressSpace => "raise the limit on address space (ulimit -v) or run fewer sessions",
            MemoryLimit::Data => "raise the limit on writable memory (ulimit -d) or run fewer sessions",
            MemoryLimit::Locked => {
                "this process locks all of its memory (mlockall): raise the limit on locked memory (ulimit -l) or do \
                 not lock future memory"
            }
            MemoryLimit::Commit => {
                "the system does not overcommit memory (vm.overcommit_memory=2): set that to 0, or raise \
                 vm.overcommit_ratio or its swap"
            }
            MemoryLimit::Mappings => "raise the number of mappings (vm.max_map_count) or run fewer sessions",
            MemoryLimit::Unknown => "run fewer sessions, or give the process more memory",
        })
    }
}

impl MemoryLimit {
    /// Finds the limit behind a refusal to reserve `bytes` more address space, or to make that much reserved space
    /// writable.
    pub(super) fn of_refusal(error: &std::io::Error, bytes: usize, is_reservation: bool) -> MemoryLimit {
        let exceeds = |used: Option<u64>, limit| {
            let limit = getrlimit(limit).current;
            used.zip(limit).is_some_and(|(used, limit)| used.saturating_add(bytes as u64) > limit)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        // The system reports a mapping that must be locked but may not be differently from a mapping without room.
        if is_reservation && error.kind() == std::io::ErrorKind::WouldBlock {
            MemoryLimit::Locked
        } else if is_reservation && exceeds(field_bytes(&status, "VmSize:"), Resource::As) {
            MemoryLimit::AddressSpace
        } else if !is_reservation && exceeds(field_bytes(&status, "VmData:"), Resource::Data) {
            MemoryLimit::Data
        } else if !is_reservation && number("/proc/sys/vm/overcommit_memory") == Some(2) {
            MemoryLimit::Commit
        } else if number("/proc/sys/vm/max_map_count").is_some_and(|count| mappings() + 2 >= count) {
            MemoryLimit::Mappings
        } else {
            MemoryLimit::Unknown
        }
    }
}

/// Returns a field of a process's status, given there in kibibytes, in bytes.
fn field_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
}

/// Reads a number from a file of the system, if it has one.
fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn mappings() -> u64 {
    fs::read("/proc/self/maps").map_or(0, |maps| maps.iter().filter(|byte| **byte == b'\n').count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let status = "VmPeak:\t  9 kB\nVmSize:\t 12345 kB\nVmData:\t none\n";
        assert_eq!(field_bytes(status, "VmSize:"), Some(12_345 * 1024));
        assert_eq!((field_bytes(status, "VmData:"), field_bytes(status, "VmLck:")), (None, None));
    }

    #[test]
    fn memory_that_may_not_be_locked() {
        let refusal = std::io::Error::from_raw_os_error(rustix::io::Errno::AGAIN.raw_os_error());
        assert_eq!(MemoryLimit::of_refusal(&refusal, 4096, true), MemoryLimit::Locked);
        assert_ne!(MemoryLimit::of_refusal(&refusal, 4096, false), MemoryLimit::Locked);
    }
}
