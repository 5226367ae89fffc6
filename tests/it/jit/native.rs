//! Tests that native code stays native: calls and returns do not leave it, hot programs are hardly interpreted, and
//! requests to stop take effect soon.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use crate::common::cases::{endless, every_setup, guest};
use crate::common::engines::{Case, Setup};
use tachy::trace::{Effect, SinkError, VecSink};
use tachy::{CancelHandle, Env, Error, JitOptions, NullSink, Row, Session, Sink, Status};

/// Maximum number of steps between checks for a reason to stop.
const SLICE_STEPS: u64 = 1 << 20;

fn start<'env>(case: &Case, setup: &Setup) -> Session<'env> {
    setup.executor(case).start(Env::new().args(case.args.iter().cloned())).expect("it starts")
}

/// Counts calls: jumps that link to ra.
struct Calls(u64);

impl Sink for Calls {
    fn rows(&mut self, _: u64, rows: &[Row], _: &[Effect]) -> Result<(), SinkError> {
        let is_call = |row: &&Row| matches!(row.insn & 0xfff, 0x0ef | 0x0e7);
        self.0 += rows.iter().filter(is_call).count() as u64;
        Ok(())
    }
}

#[test]
fn calls_and_returns_stay_in_native_code() {
    let case = guest("fib", &["25"]);
    let mut calls = Calls(0);
    start(&case, &Setup::interpreter()).run(&mut calls).expect("it ends");
    assert!(calls.0 > 200_000, "{}", calls.0);
    for (mut sink, level) in [(NullSink::off(), "off"), (NullSink::rows(), "rows")] {
        let mut session = start(&case, &Setup::eager().threshold(10));
        session.run(&mut sink).expect("it ends");
        let stats = session.stats();
        assert!(stats.entries < 100, "{level}: {stats:?}");
        assert!(stats.interpreted_steps < 2000, "{level}: {stats:?}");
    }
}

/// The guests, with arguments for hundreds of millions of steps, and the number of steps after which they are warm.
/// This `smc` changes its code only now and then; a test below has one that does so all the time.
const WARM: [(&str, &[&str], u64); 10] = [
    ("fib", &["36"], 20_000_000),
    ("sieve", &["3000000", "12"], 20_000_000),
    ("sha256", &["100000"], 20_000_000),
    ("quicksort", &["250000", "8"], 20_000_000),
    ("vm", &["14000"], 20_000_000),
    ("mix", &["5500"], 20_000_000),
    ("brk", &["4000"], 20_000_000),
    ("filter", &[], 20_000_000),
    ("smc", &["40", "fence", "1000000"], 20_000_000),
    ("rust_mix", &["120"], 400_000_000),
];
/// Steps of the window in which shares are measured.
const WINDOW_STEPS: u64 = 50_000_000;

/// Builds a case of a guest with its input.
fn warm_case(name: &str, args: &[&str]) -> Case {
    let stdin = if name == "filter" { b"The quick brown fox\n".repeat(600_000) } else { Vec::new() };
    Case { stdin, ..guest(name, args) }
}

fn start_with_input<'env>(case: &'env Case, setup: &Setup) -> Session<'env> {
    let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
    setup.executor(case).start(env).expect("it starts")
}

/// Runs a window of the session. Returns its steps and how many were interpreted; zero steps if the program has ended.
fn window(name: &str, session: &mut Session<'_>) -> (u64, u64) {
    let (steps, interpreted) = (session.steps(), session.stats().interpreted_steps);
    match session.run_to(steps + WINDOW_STEPS, &mut NullSink::off()) {
        Ok(Status::Reached) => {}
        Ok(Status::Exited { code }) => assert_eq!(code, 0, "{name}"),
        Ok(status) => panic!("{name}: {status:?}"),
        Err(error) => panic!("{name}: {error}"),
    }
    (session.steps() - steps, session.stats().interpreted_steps - interpreted)
}

/// Synchronous translation makes the counters reproducible.
#[test]
fn hot_programs_are_hardly_interpreted() {
    for (name, args, warm_steps) in WARM {
        let case = warm_case(name, args);
        let mut session = start_with_input(&case, &Setup::jit(JitOptions::default()).background(false));
        assert_eq!(session.run_to(warm_steps, &mut NullSink::off()).expect("it pauses"), Status::Reached, "{name}");
        for _ in 0..2 {
            let (steps, interpreted) = window(name, &mut session);
            assert_eq!(steps, WINDOW_STEPS, "{name}: too short");
            assert!(interpreted * 100 < steps, "{name}: {interpreted} of {steps} steps interpreted");
        }
    }
}

/// The system decides when the background thread is done, but it finishes eventually.
#[test]
fn the_background_thread_gets_there_too() {
    for (name, args, _) in WARM {
        let case = warm_case(name, args);
        let executor = Setup::jit(JitOptions::default()).executor(&case);
        // The next session has everything that an earlier one translated.
        let mut shares = Vec::new();
        let reached = (0..50).any(|_| {
            let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
            let mut session = executor.start(env).expect("it starts");
            while session.exit_code().is_none() {
                let (steps, interpreted) = window(name, &mut session);
                shares.push(interpreted as f64 / steps as f64);
                if steps == WINDOW_STEPS && interpreted * 100 < steps {
                    return true;
                }
            }
            false
        });
        assert!(reached, "{name}: shares interpreted {shares:?}");
    }
}

/// A program that keeps rewriting itself falls back to the interpreter. Detecting this costs little, and stays cheap.
#[test]
fn a_program_that_keeps_rewriting_itself_is_left_to_the_interpreter() {
    let case = guest("smc", &["400000"]);
    // On a background thread, how much is translated depends on what else the machine does.
    for (background, max_invalidations, steps_each) in [(false, 1_000, 10_000), (true, 2_000, 2_000)] {
        let mut session = start(&case, &Setup::jit(JitOptions::default()).background(background));
        assert_eq!(session.run(&mut NullSink::off()).expect("it ends"), Status::Exited { code: 0 });
        let (steps, stats) = (session.steps(), session.stats());
        // The program overwrites code that it has run 1.2 million times.
        assert!(steps > 30_000_000 && stats.invalidations < max_invalidations, "{stats:?}");
        // Translating an instruction takes ten microseconds, as long as interpreting thousands of steps.
        assert!(stats.translated_instructions * steps_each < steps, "{stats:?}");
    }
}

/// Cancels in one of its own calls, and counts the later ones.
struct Canceller {
    handle: CancelHandle,
    calls_left: u32,
    calls_after: u32,
    kept: VecSink,
}

impl Sink for Canceller {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        match self.calls_left {
            0 => self.calls_after += 1,
            1 => self.handle.cancel(),
            _ => {}
        }
        self.calls_left = self.calls_left.saturating_sub(1);
        self.kept.rows(first_step, rows, effects)
    }
}

#[test]
fn a_sink_that_cancels_is_heard_at_once() {
    for setup in every_setup() {
        for calls in [1, 2, 50] {
            let mut session = start(&endless(), &setup);
            let mut sink = Canceller {
                handle: session.cancel_handle(),
                calls_left: calls,
                calls_after: 0,
                kept: VecSink::default(),
            };
            let error = session.run(&mut sink).expect_err("it is cancelled");
            let what = format!("{setup:?}, call {calls}");
            assert!(
                matches!(error, Error::Cancelled { location } if location == session.location()),
                "{what}: {error}"
            );
            assert!(sink.calls_after <= 1, "{what}: {} more buffers", sink.calls_after);
            assert_eq!(sink.kept.rows.len() as u64, session.steps(), "{what}: a true prefix");
        }
    }
}

/// An endless stream that cancels the session in one of its reads, or fails if it has no session to cancel.
struct Stdin {
    handle: Arc<OnceLock<CancelHandle>>,
    reads_left: u32,
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads_left = self.reads_left.wrapping_sub(1);
        if self.reads_left == 0 {
            self.handle.get().ok_or_else(|| io::Error::other("enough"))?.cancel();
        }
        buffer.fill(b'a');
        Ok(buffer.len())
    }
}

/// Without rows there is no sink to call, so the run stops at the end of the slice at the latest.
#[test]
fn a_stream_that_cancels_is_heard_within_a_slice() {
    let case = guest("filter", &["64"]);
    for setup in every_setup() {
        for reads_left in [1, 30, 3000] {
            let executor = setup.executor(&case);
            let run = |cancels: bool| {
                let handle = Arc::new(OnceLock::new());
                let stdin = Stdin { handle: handle.clone(), reads_left };
                let mut session = executor.start(Env::new().stdin(stdin)).expect("it starts");
                if cancels {
                    handle.set(session.cancel_handle()).expect("it is new");
                }
                let error = session.run(&mut NullSink::off()).expect_err("it is stopped");
                (error.kind(), session.steps())
            };
            let ((failed, at), (cancelled, stopped)) = (run(false), run(true));
            assert_eq!((failed, cancelled), ("stream", "cancelled"));
            assert!((at..=at + SLICE_STEPS).contains(&stopped), "{setup:?}: read at {at}, stopped at {stopped}");
        }
    }
}

/// On request, Linux's perf gets names for generated code: the guest function in which it begins.
#[test]
fn a_perf_map_names_guest_functions() {
    let mut options = JitOptions::eager();
    options.perf_map = true;
    let case = guest("fib", &["10"]);
    start(&case, &Setup::jit(options)).run(&mut NullSink::off()).expect("it ends");
    let path = format!("/tmp/perf-{}.map", std::process::id());
    let map = std::fs::read_to_string(&path).expect("the map that perf looks for");
    std::fs::remove_file(&path).expect("it was made just now");
    let named = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let mut number = || parts.next().and_then(|part| u64::from_str_radix(part, 16).ok());
        let (start, bytes) = (number(), number());
        start.is_some()
            && bytes.is_some_and(|bytes| bytes > 0)
            && parts.next().is_some_and(|it| it.starts_with("guest _start"))
    };
    assert!(map.lines().any(named), "{map}");
}
