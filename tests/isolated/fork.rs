//! Tests processes that fork: a child has a copy of every executor and session, but none of their threads. Whatever the
//! child does with them ends, with the parent's result or with an error.
//!
//! A child reports with its exit code whether its checks passed. If a child waited for a thread that does not exist,
//! its test would hang, too. These tests have a process of their own: a child also copies every lock that another test
//! holds at that moment, and nobody would release it.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::cases::guest;
use common::engines::{Case, Setup};
use fork::{Fork, fork, waitpid};
use tachy::risc0::Segment;
use tachy::risc0::host::HostEnv;
use tachy::trace::{DigestSink, Effect, Level, SinkError, TraceDigest};
use tachy::{Env, Error, Executor, JitOptions, MachineKind, NullSink, Program, Row, Session, Sink, Status};

/// Ends a child with an exit code that says whether `what` succeeded, and without the test's own cleanup.
fn end_child(what: impl FnOnce()) -> ! {
    // Bypasses the test harness, which waits for threads of the parent.
    let done = catch_unwind(AssertUnwindSafe(what));
    if let Err(panic) = &done {
        let text = panic.downcast_ref::<String>().map_or("the child panicked", String::as_str);
        // The harness would keep the output for a test that ends in another process.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    std::process::exit(done.is_err().into())
}

/// Runs this in a child, and waits for it.
fn in_child(what: impl FnOnce()) {
    match fork().expect("a child") {
        Fork::Child => end_child(what),
        Fork::Parent(child) => assert_child(child),
    }
}

fn assert_child(child: i32) {
    assert_eq!(waitpid(child).expect("its end"), 0, "what the child found was wrong, or it did not end by itself");
}

fn warm() -> Setup {
    Setup::jit(JitOptions::default()).threshold(10)
}

/// Engines with a background thread, without one, and without native code.
fn setups() -> [Setup; 3] {
    [warm(), warm().background(false), Setup::interpreter()]
}

fn rows(executor: &Executor, case: &Case) -> (TraceDigest, u64, Status) {
    let mut digest = DigestSink::default();
    let mut session = executor.start(Env::new().args(case.args.clone())).expect("it starts");
    let status = session.run(&mut digest).expect("it ends");
    (digest.digest(), session.steps(), status)
}

#[test]
fn executors_work_in_children() {
    for setup in setups() {
        let case = guest("mix", &["2"]);
        let (used, unused) = (setup.executor(&case), setup.executor(&case));
        let expected = rows(&used, &case);
        let mut executors = Some((used, unused));
        in_child(|| {
            let (used, unused) = executors.take().expect("they are there");
            for executor in [&used, &unused, &used] {
                assert_eq!(rows(executor, &case), expected, "{setup:?}");
            }
            // The child's own native code, which its sessions share: sooner or later one of them uses it.
            let is_native = || {
                let mut session = used.start(Env::new().args(case.args.clone())).expect("it starts");
                session.run(&mut NullSink::off()).expect("it ends");
                session.stats().entries > 0
            };
            while setup.jit.is_some() && !is_native() {}
            in_child(|| assert_eq!(rows(&used, &case), expected, "in a child of the child, {setup:?}"));
            drop((used, unused));
        });
        let (used, _) = executors.take().expect("they are still there");
        assert_eq!(rows(&used, &case), expected, "in the parent, {setup:?}");
    }
}

/// Other threads translate, publish and drop code all the time, so that a child finds their locks locked.
#[test]
fn children_of_a_busy_process() {
    let case = guest("mix", &["1"]);
    let executor = warm().executor(&case);
    let (expected, is_over) = (rows(&executor, &case), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // A separate executor translates everything again.
                    assert_eq!(rows(&warm().merge_interval_steps(300).executor(&case), &case), expected);
                    assert_eq!(rows(&executor, &case), expected);
                }
            });
        }
        let end = EndOf(&is_over);
        for _ in 0..50 {
            in_child(|| assert_eq!(rows(&executor, &case), expected));
        }
        drop(end);
    });
}

/// Sets the flag on drop, even if the test fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a session to its end and returns its steps, registers and memory.
fn end(session: &mut Session<'_>) -> (u64, [u32; 32], [u8; 32]) {
    session.run(&mut NullSink::off()).expect("it ends");
    (session.steps(), session.registers(), *session.memory_digest().as_bytes())
}

/// Includes a session that overwrites its own code, and no longer shares any.
#[test]
fn sessions_go_on_in_children() {
    for (name, args, step) in [("mix", &["4"][..], 150_000), ("smc", &["300"][..], 20_000)] {
        for setup in setups() {
            let case = guest(name, args);
            let executor = setup.executor(&case);
            let start = || executor.start(Env::new().args(case.args.clone())).expect("it starts");
            let expected = end(&mut start());
            let mut session = start();
            assert_eq!(session.run_to(step, &mut NullSink::off()).expect("it pauses"), Status::Reached);
            let mut session = Some(session);
            // The parent does not see the child's changes to its memory, and vice versa.
            in_child(|| assert_eq!(end(&mut session.take().expect("it is there")), expected, "{name}, {setup:?}"));
            assert_eq!(end(&mut session.take().expect("it is there")), expected, "{name} in the parent, {setup:?}");
        }
    }
}

/// Forks once, and remembers which process it is in.
#[derive(Clone, Default)]
struct Once(Rc<Cell<Option<Fork>>>);

impl Once {
    fn fork(&self) {
        if self.0.get().is_none() {
            self.0.set(Some(fork().expect("a child")));
        }
    }

    /// Checks in both processes, then ends the child.
    fn check(&self, what: impl FnOnce()) {
        match self.0.get().expect("it forked") {
            Fork::Child => end_child(what),
            Fork::Parent(child) => {
                assert_child(child);
                what();
            }
        }
    }
}

/// A sink that forks at its third call, in the middle of native code.
struct Forking(Once, u32, DigestSink);

impl Sink for Forking {
    fn level(&self) -> Level {
        Level::Rows
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.1 += 1;
        if self.1 == 3 {
            self.0.fork();
        }
        self.2.rows(first_step, rows, effects)
    }
}

#[test]
fn sinks_may_fork() {
    for setup in [warm().buffer_rows(512).merge_interval_steps(300), warm().background(false), Setup::interpreter()] {
        let case = guest("mix", &["2"]);
        let executor = setup.executor(&case);
        let (expected, steps, _) = rows(&executor, &case);
        let mut sink = Forking(Once::default(), 0, DigestSink::default());
        let mut session = executor.start(Env::new().args(case.args.clone())).expect("it starts");
        let status = session.run(&mut sink);
        let Forking(once, _, digest) = sink;
        once.check(|| {
            assert!(matches!(status, Ok(Status::Exited { .. })), "{status:?}");
            assert_eq!((digest.digest(), session.steps()), (expected, steps), "{setup:?}");
            drop((session, executor));
        });
    }
}

/// The child of a stream that has forked; 0 before the fork, and the largest number in the child.
static FORKED: AtomicU32 = AtomicU32::new(0);

/// A stream that forks at its first write.
struct ForkingStream;

impl Write for ForkingStream {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if FORKED.load(Ordering::Relaxed) == 0 {
            let child = match fork()? {
                Fork::Child => u32::MAX,
                Fork::Parent(child) => child as u32,
            };
            FORKED.store(child, Ordering::Relaxed);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn streams_may_fork() {
    for setup in setups() {
        FORKED.store(0, Ordering::Relaxed);
        let case = guest("rust_mix", &["2"]);
        let executor = setup.executor(&case);
        let mut session = executor.start(Env::new().args(case.args.clone()).stdout(ForkingStream)).expect("it starts");
        let status = session.run(&mut NullSink::off());
        let check = || assert!(matches!(status, Ok(Status::Exited { .. })), "{status:?}, {setup:?}");
        match FORKED.load(Ordering::Relaxed) {
            u32::MAX => end_child(|| {
                check();
                drop((session, executor));
            }),
            child => {
                assert_child(child as i32);
                check();
            }
        }
    }
}

fn r0vm(name: &str) -> Executor {
    let path = format!("{}/guests/r0vm/bin/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let program = Program::from_risc0(&fs::read(path).expect("it is built")).expect("a good program");
    Executor::builder().machine(MachineKind::R0vm).build(&program).expect("a good setting")
}

fn host() -> HostEnv<'static> {
    HostEnv::builder().build().expect("nothing that could be wrong")
}

/// Between two runs, a session with segments uses no thread, so it continues in a child as in its parent.
#[test]
fn sessions_with_segments_go_on_in_children() {
    [0, 1, 5].into_iter().for_each(sessions_with_segments_go_on);
}

fn sessions_with_segments_go_on(threads: usize) {
    let executor = r0vm("recursion");
    let segments = AtomicU32::new(0);
    let start = || {
        let count = |_: &Segment| {
            segments.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let env = Env::new().host(host()).segment_po2(13).segments(count).hashing_threads(threads);
        executor.start(env).expect("it starts")
    };
    let mut session = start();
    session.run(&mut NullSink::off()).expect("it ends");
    let (steps, count, report) = (session.steps(), segments.swap(0, Ordering::Relaxed), session.report());
    assert!(count > 2, "{count} segments");
    // Before the first step, and in the middle.
    for step in [0, steps / 2] {
        let mut session = start();
        session.run_to(step, &mut NullSink::off()).expect("it goes so far");
        let mut session = Some(session);
        let mut ends = || {
            let mut session = session.take().expect("it is there");
            session.run(&mut NullSink::off()).expect("it ends");
            assert_eq!((session.steps(), session.report()), (steps, report.clone()));
            assert_eq!(segments.load(Ordering::Relaxed), count);
        };
        in_child(&mut ends);
        ends();
        segments.store(0, Ordering::Relaxed);
    }
}

/// A stream forks in a run with segments, whose thread the child lacks. The child's run ends with an error, as does
/// each later one, and none hangs. The parent's run continues.
#[test]
fn runs_with_segments_end_in_children() {
    static CHILD: AtomicU32 = AtomicU32::new(0);
    let executor = r0vm("calls");
    let mut builder = HostEnv::builder();
    builder.io_callback("echo", |request| {
        if CHILD.load(Ordering::Relaxed) == 0 {
            let child = match fork().map_err(|error| error.to_string())? {
                Fork::Child => u32::MAX,
                Fork::Parent(child) => child as u32,
            };
            CHILD.store(child, Ordering::Relaxed);
        }
        Ok(request.to_vec())
    });
    for claim in 0..=255 {
        builder.add_assumption(tachy::risc0::host::Assumption { claim: [claim; 32], control_root: None });
    }
    let env = Env::new().host(builder.build().expect("a host")).segment_po2(13).segments(|_| Ok(())).hashing_threads(5);
    let mut session = executor.start(env).expect("it starts");
    let status = session.run(&mut NullSink::off());
    match CHILD.load(Ordering::Relaxed) {
        u32::MAX => end_child(|| {
            assert!(matches!(status, Err(Error::Forked { .. })), "{status:?}");
            assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Forked { .. })));
            drop((session, executor));
        }),
        child => {
            assert!(child != 0, "the guest calls it: {status:?}");
            assert_child(child as i32);
            assert!(matches!(status, Ok(Status::Exited { .. })), "{status:?}");
        }
    }
}

/// Forks when it is called for the first time, and keeps the child's number; in the child, a number that none has.
fn fork_once(child: &AtomicU32) -> std::io::Result<()> {
    if child.load(Ordering::Relaxed) == 0 {
        let number = match fork()? {
            Fork::Child => u32::MAX,
            Fork::Parent(number) => number as u32,
        };
        child.store(number, Ordering::Relaxed);
    }
    Ok(())
}

/// The callback that takes segments may fork. The child has only the thread that calls it, and ends with it. The
/// parent's run continues.
#[test]
fn takers_of_segments_may_fork() {
    static CHILD: AtomicU32 = AtomicU32::new(0);
    let executor = r0vm("recursion");
    let taker = |_: &Segment| Ok(fork_once(&CHILD)?);
    let env = Env::new().host(host()).segment_po2(13).segments(taker).hashing_threads(5);
    let mut session = executor.start(env).expect("it starts");
    let status = session.run(&mut NullSink::off());
    let child = CHILD.load(Ordering::Relaxed);
    assert!(child != 0 && child != u32::MAX, "only the parent comes here");
    assert_child(child as i32);
    assert!(matches!(status, Ok(Status::Exited { .. })), "{status:?}");
}

/// Without hashing threads, the run's own thread calls the callback. If it forks, the child's run continues.
#[test]
fn takers_without_threads_go_on_in_children() {
    static CHILD: AtomicU32 = AtomicU32::new(0);
    let executor = r0vm("recursion");
    let segments = AtomicU32::new(0);
    let taker = |_: &Segment| {
        segments.fetch_add(1, Ordering::Relaxed);
        Ok(fork_once(&CHILD)?)
    };
    let env = Env::new().host(host()).segment_po2(13).segments(taker).hashing_threads(0);
    let mut session = executor.start(env).expect("it starts");
    let status = session.run(&mut NullSink::off());
    let report = session.report().expect("the machine is r0vm");
    let is_right = || {
        assert!(matches!(status, Ok(Status::Exited { .. })), "{status:?}");
        assert_eq!(u64::from(segments.load(Ordering::Relaxed)), report.segments);
    };
    match CHILD.load(Ordering::Relaxed) {
        u32::MAX => end_child(is_right),
        child => {
            assert!(child != 0, "segments are taken");
            assert_child(child as i32);
            is_right();
        }
    }
}
