//! Tests that segments do not depend on who hashes them: the same bytes in the same order with any number of threads,
//! also if the callback fails, panics or cancels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use tachy::risc0::host::HostEnv;
use tachy::risc0::{Report, Segment};
use tachy::trace::SinkError;
use tachy::{CancelHandle, Env, Error, Executor, MachineKind, NullSink, Program};

const THREADS: [Option<usize>; 5] = [None, Some(0), Some(1), Some(2), Some(5)];

/// Guests with their input and the size of their segments: many segments with few pages, few with many pages, one.
const RUNS: [(&str, &[u32], u32); 4] =
    [("recursion", &[2, 6, 500], 13), ("sparse", &[600, 1], 18), ("pause", &[1, 10, 20], 14), ("fib", &[15], 20)];

fn executor(guest: &str) -> Executor {
    let path = format!("{}/guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
    let binary = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let program = Program::from_risc0(&binary).expect("a good binary");
    Executor::builder().machine(MachineKind::R0vm).build(&program).expect("good settings")
}

fn env<'env>(
    input: &[u32],
    po2: u32,
    threads: Option<usize>,
    take: impl FnMut(&Segment) -> Result<(), SinkError> + Send + 'env,
) -> Env<'env> {
    let host = HostEnv::builder().write_slice(input).random_seed([0; 32]).build().expect("a host");
    let env = Env::new().host(host).segment_po2(po2).segments(take);
    match threads {
        Some(threads) => env.hashing_threads(threads),
        None => env,
    }
}

/// Runs a guest to its end, whatever its callback does on the way, and returns the report.
fn to_the_end(executor: &Executor, env: Env<'_>) -> Report {
    let mut session = executor.start(env).expect("it starts");
    loop {
        let ran = catch_unwind(AssertUnwindSafe(|| session.run(&mut NullSink::off())));
        match ran {
            Ok(Ok(_)) if session.resume().is_err() => return session.report().expect("the machine is r0vm"),
            Ok(Ok(_) | Err(Error::Segment { .. } | Error::Cancelled { .. })) => {}
            Ok(Err(error)) => panic!("{error}"),
            Err(panic) => assert_eq!(panic.downcast_ref(), Some(&"on purpose")),
        }
    }
}

/// The encoded segments and the report of a run without failures.
fn expected(executor: &Executor, input: &[u32], po2: u32) -> (Vec<Vec<u8>>, Report) {
    let mut segments = Vec::new();
    let take = |segment: &Segment| {
        segments.push(segment.encode());
        Ok(())
    };
    let report = to_the_end(executor, env(input, po2, Some(1), take));
    (segments, report)
}

#[test]
fn any_number_of_threads_makes_the_same_segments() {
    for (guest, input, po2) in RUNS {
        let executor = executor(guest);
        let (expected, report) = expected(&executor, input, po2);
        for threads in THREADS {
            let mut taken = 0;
            let take = |segment: &Segment| {
                assert!(segment.encode() == expected[taken], "segment {taken} of {guest} with {threads:?} threads");
                taken += 1;
                Ok(())
            };
            assert!(to_the_end(&executor, env(input, po2, threads, take)) == report, "{guest}, {threads:?} threads");
            assert_eq!(taken, expected.len(), "{guest} with {threads:?} threads");
        }
    }
}

#[test]
fn a_callback_that_stops_the_run_gets_each_segment_once() {
    let (guest, input, po2) = RUNS[0];
    let executor = executor(guest);
    let (expected, report) = expected(&executor, input, po2);
    assert!(expected.len() > 20, "{}", expected.len());
    for threads in THREADS {
        let cancel = CancelHandle::default();
        let (mut calls, mut taken) = (0, Vec::new());
        let take = |segment: &Segment| {
            calls += 1;
            // A call that fails is not the last one, so each of these happens at several segments.
            match calls % 7 {
                1 => return Err("full".into()),
                3 => panic!("on purpose"),
                5 => cancel.cancel(),
                _ => {}
            }
            taken.push(segment.encode());
            Ok(())
        };
        let env = env(input, po2, threads, take).cancel_handle(cancel.clone());
        let mut session = executor.start(env).expect("it starts");
        let mut stops = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| session.run(&mut NullSink::off()))) {
                Ok(Ok(_)) => break,
                Ok(Err(Error::Segment { .. } | Error::Cancelled { .. })) => {}
                Ok(Err(error)) => panic!("{error}"),
                Err(panic) => assert_eq!(panic.downcast_ref(), Some(&"on purpose")),
            }
            stops += 1;
        }
        assert!(session.report().expect("the machine is r0vm") == report, "{threads:?} threads");
        drop(session);
        assert!(stops >= 2, "{stops} stops with {threads:?} threads");
        assert!(taken == expected, "{} of {} with {threads:?} threads", taken.len(), expected.len());
    }
}

#[test]
fn without_threads_the_callback_is_called_by_the_run() {
    let (guest, input, po2) = RUNS[0];
    let executor = executor(guest);
    for (threads, own) in [(0, true), (1, false), (5, false)] {
        let caller = thread::current().id();
        let take = |_: &Segment| {
            assert_eq!(thread::current().id() == caller, own, "{threads} threads");
            Ok(())
        };
        to_the_end(&executor, env(input, po2, Some(threads), take));
    }
}
