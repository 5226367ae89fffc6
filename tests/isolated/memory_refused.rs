//! Tests a system that refuses memory: failed reservations, protection and row buffers are errors of the library's
//! type, and existing executors and sessions continue.
//!
//! A limit affects a whole process, so each case runs in its own: this test program again, under `ulimit`, with one of
//! the ignored tests below. If the system's allocator fails for a small value, Rust aborts; that is out of scope.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::process::Command;
use std::thread;

use common::cases::{endless, guest};
use common::engines::{Case, Setup};
use tachy::risc0::Segment;
use tachy::{Env, Error, JitOptions, MachineKind, NullSink, Status};

const KIB: u64 = 1024;
const MIB_KIB: u64 = 1024;
const GIB_KIB: u64 = 1024 * KIB;

/// Runs one of the ignored tests in a process with this limit.
fn under(limit: char, kib: u64, test: &str) {
    let program = std::env::current_exe().expect("this test");
    let script = format!("ulimit -{limit} {kib} && exec \"$0\" --exact --ignored --nocapture {test}");
    let output = Command::new("sh").arg("-c").arg(script).arg(program).output().expect("a shell");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "ulimit -{limit} {kib}: {}\n{stdout}\n{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

/// Asserts that the error names what was refused and which limit to raise.
fn assert_refused<T>(result: Result<T, Error>, action: &str, limit: &str) {
    let error = result.err().expect("there is no room for it");
    assert_eq!(error.kind(), "host-memory", "{error}");
    assert!(error.to_string().contains(action) && error.to_string().contains(limit), "{error}");
}

#[test]
fn address_space_for_no_session() {
    under('v', GIB_KIB, "no_session_starts");
}

#[test]
fn data_for_no_session() {
    under('d', 4 * GIB_KIB - MIB_KIB, "no_session_is_made_writable");
}

#[test]
fn address_space_for_one_session() {
    under('v', 5 * GIB_KIB + GIB_KIB / 2, "one_session_and_no_more");
}

#[test]
fn address_space_for_no_rows() {
    under('v', 5 * GIB_KIB + GIB_KIB / 2, "rows_find_no_room");
}

#[test]
fn address_space_for_no_code() {
    under('v', 5 * GIB_KIB + GIB_KIB / 2, "code_finds_no_room");
}

#[test]
fn address_space_for_no_thread() {
    under('v', 5 * GIB_KIB + GIB_KIB / 2, "no_thread_hashes");
}

fn cases() -> [Case; 2] {
    [guest("fib", &["10"]), endless().on(MachineKind::R0vm)]
}

#[test]
#[ignore = "needs a process with little address space: run by address_space_for_no_session"]
fn no_session_starts() {
    for case in cases() {
        for setup in [Setup::interpreter(), Setup::eager()] {
            let executor = setup.executor(&case);
            for _ in 0..3 {
                assert_refused(executor.start(Env::new()), "reserve", "ulimit -v");
            }
        }
    }
}

/// The stack of a thread that hashes segments does not fit here, so the run's own thread hashes them. With room again,
/// the session continues.
#[test]
#[ignore = "needs a process with little address space: run by address_space_for_no_thread"]
fn no_thread_hashes() {
    let executor = Setup::interpreter().executor(&endless().on(MachineKind::R0vm));
    let mut takers = Vec::with_capacity(64);
    let take = |_: &Segment| {
        takers.push(thread::current().id());
        Ok(())
    };
    let env = Env::new().segment_po2(13).segments(take).hashing_threads(4);
    let mut session = executor.start(env).expect("there is room for one");
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(64 * 1024);
    let mut bytes = 64 << 20;
    while bytes > 1 << 20 {
        let mut more = Vec::new();
        match more.try_reserve_exact(bytes) {
            Ok(()) => taken.push(more),
            Err(_) => bytes /= 2,
        }
    }
    assert_eq!(session.run_to(50_000, &mut NullSink::off()).expect("no thread is needed"), Status::Reached);
    drop(taken);
    assert_eq!(session.run_to(100_000, &mut NullSink::off()).expect("there is room"), Status::Reached);
    drop(session);
    let own = takers.iter().take_while(|taker| **taker == thread::current().id()).count();
    assert!(own > 1 && own < takers.len(), "{own} of {} segments without a thread", takers.len());
}

#[test]
#[ignore = "needs a process with little writable memory: run by data_for_no_session"]
fn no_session_is_made_writable() {
    for case in cases() {
        assert_refused(Setup::eager().executor(&case).start(Env::new()), "protect", "ulimit -d");
    }
}

fn ends_well(case: &Case, setup: &Setup) -> tachy::Stats {
    let mut output = Vec::new();
    let mut session =
        setup.executor(case).start(Env::new().args(["fib", "10"]).stdout(&mut output)).expect("room for one");
    assert_eq!(session.run(&mut NullSink::off()).expect("it ends"), Status::Exited { code: 0 });
    let stats = session.stats();
    drop(session);
    assert_eq!(output, b"fib(10) = 55 ok\n");
    stats
}

#[test]
#[ignore = "needs a process with little address space: run by address_space_for_one_session"]
fn one_session_and_no_more() {
    let [case, _] = cases();
    let executor = Setup::eager().executor(&endless());
    let mut first = executor.start(Env::new()).expect("room for one");
    assert_eq!(first.run_to(1000, &mut NullSink::off()).expect("it has no end"), Status::Reached);
    for _ in 0..3 {
        assert_refused(executor.start(Env::new()), "reserve", "ulimit -v");
    }
    assert_eq!(first.run_to(5000, &mut NullSink::off()).expect("it has no end"), Status::Reached);
    assert_eq!(first.registers()[5], 2500);
    drop(first);
    ends_well(&case, &Setup::eager());
}

#[test]
#[ignore = "needs a process with little address space: run by address_space_for_no_rows"]
fn rows_find_no_room() {
    for setup in [Setup::interpreter(), Setup::eager()] {
        let executor = setup.buffer_rows(1 << 26).executor(&endless());
        let mut session = executor.start(Env::new()).expect("room for one");
        assert_eq!(session.run_to(1000, &mut NullSink::off()).expect("it has no end"), Status::Reached);
        // 2 GiB of rows.
        assert_refused(session.run_to(2000, &mut NullSink::rows()), "allocate", "ulimit -v");
        assert_eq!(session.steps(), 1000);
        assert_eq!(session.run_to(2000, &mut NullSink::off()).expect("it has no end"), Status::Reached);
    }
}

/// Without memory for code, the interpreter still works.
#[test]
#[ignore = "needs a process with little address space: run by address_space_for_no_code"]
fn code_finds_no_room() {
    let [case, _] = cases();
    let mut options = JitOptions::eager();
    options.code_bytes = 1 << 31;
    let stats = ends_well(&case, &Setup::jit(options));
    assert_eq!((stats.regions, stats.entries), (0, 0), "{stats:?}");
    assert!(ends_well(&case, &Setup::eager()).regions > 0, "with the usual budget there is room");
}
