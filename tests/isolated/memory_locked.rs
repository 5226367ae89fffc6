//! A process that locks all memory it maps from now on, as databases, holders of keys and servers that must not wait for a
//! page do: a session takes what its guest touches, and that is locked.
//!
//! A lock on memory is for the whole process, so this test has one of its own.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::fs;

use common::cases::{endless, guest};
use common::engines::{Setup, run_untraced};
use nix::sys::mman::{MlockAllFlags, mlockall};
use tachy::{Env, JitOptions, MachineKind, NullSink};

/// A field of the process's status, in bytes.
fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it has the field");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Of the mappings of memory that is locked: bytes of address space, and bytes that are locked there.
fn locked() -> Vec<(u64, u64)> {
    let maps = fs::read_to_string("/proc/self/smaps").expect("Linux tells");
    let (mut size, mut bytes, mut found) = (0, 0, Vec::new());
    for line in maps.lines() {
        let number = |text: &str| text.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10;
        if let Some(text) = line.strip_prefix("Size:") {
            size = number(text);
        } else if let Some(text) = line.strip_prefix("Locked:") {
            bytes = number(text);
        } else if line.starts_with("VmFlags:") && line.split(' ').any(|flag| flag == "lo") {
            found.push((size, bytes));
        }
    }
    found
}

#[test]
fn sessions_lock_what_their_guests_touch() {
    const BOUND: u64 = 200 << 20;
    let expected = run_untraced(&guest("fib", &["15"]), &Setup::interpreter());
    if let Err(error) = mlockall(MlockAllFlags::MCL_FUTURE) {
        eprintln!("notice: memory may not be locked here: {error}");
        return;
    }
    let before = status_bytes("VmRSS:");
    for machine in [MachineKind::Bare, MachineKind::R0vm] {
        let case = endless().on(machine);
        let executor = Setup::jit(JitOptions::default()).threshold(10).executor(&case);
        let mut session = match executor.start(Env::new()) {
            Ok(session) => session,
            // What may be locked is less than what is reserved.
            Err(error) => {
                assert!(error.to_string().contains("ulimit -l"), "{error}");
                return;
            }
        };
        session.run_to(3_000_000, &mut NullSink::off()).expect("it has no end");
        let locked = locked();
        let [(_, bytes)] = locked.iter().filter(|(size, _)| *size >= 1 << 32).collect::<Vec<_>>()[..] else {
            panic!("one mapping has a guest's memory: {locked:?}")
        };
        assert!((1..BOUND).contains(bytes), "{bytes} bytes are locked");
    }
    let found = run_untraced(&guest("fib", &["15"]), &Setup::eager());
    assert_eq!((found.end, found.stdout), (expected.end, expected.stdout));
    let taken = status_bytes("VmRSS:").saturating_sub(before);
    assert!(taken < BOUND, "{taken} bytes");
}
