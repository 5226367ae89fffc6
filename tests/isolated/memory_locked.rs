//! Tests a process that locks all future mappings into memory, as databases, key stores and real-time servers do: a
//! session uses what its guest touches, and that memory is locked.
//!
//! A memory lock affects the whole process, so this test has its own.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::fs;

use common::cases::{endless, guest};
use common::engines::{Setup, run_untraced};
use nix::sys::mman::{MlockAllFlags, mlockall};
use tachy::{Env, JitOptions, MachineKind, NullSink};

/// Returns a field of the process's status, in bytes.
fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it has the field");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Returns, for each locked mapping, the bytes of address space and the bytes that are locked.
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
            // The limit on locked memory is below the reservation.
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
