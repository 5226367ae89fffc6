//! Tests `Engine::Crosscheck`: it runs what any engine runs, with inputs, pauses, limits, traps and failing streams.
//! The comparison's own tests, which have differences to find, show that it finds them.

use std::io::{self, Read, Write};

use crate::common::engines::{Case, End, Outcome, Setup, State, difference, final_difference, run};
use tachy::trace::VecSink;
use tachy::{Engine, Env, Error, Executor, JitOptions, NullSink, Program, Session, Sink, Status, StreamName};

fn guest(name: &str, args: &[&str], stdin: &[u8]) -> Case {
    let elf = std::fs::read(crate::common::guest(name)).expect("the guests are in the repository");
    let args = [name].iter().chain(args).map(|arg| arg.as_bytes().to_vec()).collect();
    Case { args, stdin: stdin.to_vec(), ..Case::new(Program::from_elf(&elf).expect("a good program")) }
}

fn executor(case: &Case, jit: JitOptions) -> Executor {
    let builder = Executor::builder().engine(Engine::Crosscheck).machine(case.machine).limits(case.limits);
    builder.jit(jit).buffer_rows(1000).build(&case.program).expect("a good configuration")
}

/// Runs a case under crosscheck with `drive`, which decides about rows.
fn crosscheck(case: &Case, jit: JitOptions, drive: impl FnOnce(&mut Session<'_>) -> Result<Status, Error>) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = executor(case, jit).start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let end = End::of(drive(&mut session));
    let state = Some(State::of(&session, case));
    drop(session);
    Outcome { end, rows: Vec::new(), effects: Vec::new(), state, stdout, stderr }
}

/// Runs a case under crosscheck and interpreted, with rows and without, and compares everything.
fn assert_same(case: &Case) -> Outcome {
    let reference = run(case, &Setup::interpreter());
    for jit in [JitOptions::eager(), JitOptions::default()] {
        let mut sink = VecSink::default();
        let outcome = crosscheck(case, jit.clone(), |session| session.run(&mut sink));
        let outcome = Outcome { rows: sink.rows, effects: sink.effects, ..outcome };
        assert_eq!(difference(&reference, &outcome, case.variant()), None);
        let untraced = crosscheck(case, jit, |session| session.run(&mut NullSink::off()));
        assert_eq!(final_difference(&reference, &untraced), None);
    }
    reference
}

const TEXT: &[u8] = b"Hello world\nab c\nand some more of it";

#[test]
fn guests_run_as_they_do_under_any_engine() {
    for (name, args) in [("fib", ["14"].as_slice()), ("sha256", &["20"]), ("vm", &["20"]), ("brk", &["2"])] {
        assert_same(&guest(name, args, b""));
    }
    assert_same(&guest("smc", &["300"], b""));
    assert_eq!(assert_same(&guest("filter", &[], TEXT)).stdout[..5], *b"HELLO");
    assert_same(&guest("filter", &["1"], TEXT));
}

#[test]
fn limits_and_traps_end_both_alike() {
    let fib = guest("fib", &["14"], b"");
    let all = run(&fib, &Setup::interpreter());
    for steps in [0, 1, 999, 1000, 1001, 5000, all.rows.len() as u64] {
        assert_same(&fib.clone().limit_steps(steps));
    }
    let mut filter = guest("filter", &["3"], TEXT);
    for output in [0, 10] {
        filter.limits.output_bytes = Some(output);
        assert!(matches!(assert_same(&filter).end, End::Failed { kind: "output-limit", .. }));
    }
    let mut brk = guest("brk", &["2"], b"");
    let pages = run(&brk, &Setup::interpreter()).state.expect("it started").pages;
    for missing in [1, 5] {
        brk.limits.memory_bytes = Some((pages - missing) * 1024);
        assert!(matches!(assert_same(&brk).end, End::Failed { kind: "memory-limit", .. }));
    }
    // A jump to unmapped memory, some steps into the program.
    let (addi, jr) = (0x0010_0513, 0x0005_0067);
    let outcome = assert_same(&Case::code(crate::common::CODE, &[addi, addi, addi, jr], Vec::new()));
    assert!(matches!(outcome.end, End::Failed { kind: "trap", .. }), "{:?}", outcome.end);
}

#[test]
fn pauses_raised_limits_and_other_sinks_leave_no_mark() {
    let case = guest("filter", &["3"], &TEXT.repeat(5));
    let reference = run(&case, &Setup::interpreter());
    let mut sink = VecSink::default();
    let outcome = crosscheck(&case, JitOptions::eager(), |session| {
        for step in [0, 0, 1, 2, 500, 501, 1500, 1500] {
            assert_eq!(session.run_to(step, &mut sink)?, Status::Reached);
            assert_eq!((session.steps(), sink.rows.len() as u64), (step, step));
        }
        for steps in [1501, 2000, 2600] {
            session.limits_mut().steps = Some(steps);
            assert_eq!(session.run(&mut sink).unwrap_err().kind(), "step-limit");
            // It stays stopped until the limit is raised.
            assert_eq!(session.run(&mut sink).unwrap_err().kind(), "step-limit");
        }
        session.limits_mut().steps = None;
        session.cancel_handle().cancel();
        assert_eq!(session.run(&mut sink).unwrap_err().kind(), "cancelled");
        assert_eq!(session.steps(), 2600);
        session.run(&mut sink)
    });
    let outcome = Outcome { rows: sink.rows, effects: sink.effects, ..outcome };
    assert_eq!(difference(&reference, &outcome, case.variant()), None);

    // Rows are requested for part of the run only; all of it is compared.
    let mut sink = VecSink::default();
    let outcome = crosscheck(&case, JitOptions::eager(), |session| {
        session.run_to(700, &mut NullSink::off())?;
        session.run_to(1800, &mut sink)?;
        session.run(&mut NullSink::off())
    });
    assert_eq!(final_difference(&reference, &outcome), None);
    assert_eq!(sink.rows, reference.rows[700..1800]);
}

/// A sink that fails at its first call, and accepts the rows of later ones.
#[derive(Default)]
struct FailsOnce {
    failed: bool,
    kept: VecSink,
}

impl Sink for FailsOnce {
    fn rows(
        &mut self,
        first_step: u64,
        rows: &[tachy::Row],
        effects: &[tachy::trace::Effect],
    ) -> Result<(), tachy::trace::SinkError> {
        if !std::mem::replace(&mut self.failed, true) {
            return Err("not yet".into());
        }
        self.kept.rows(first_step, rows, effects)
    }
}

#[test]
fn a_sink_that_fails_is_no_difference() {
    let case = guest("fib", &["14"], b"");
    let reference = run(&case, &Setup::interpreter());
    let mut sink = FailsOnce::default();
    let outcome = crosscheck(&case, JitOptions::eager(), |session| {
        assert_eq!(session.run(&mut sink).unwrap_err().kind(), "sink");
        session.run(&mut sink)
    });
    assert_eq!(final_difference(&reference, &outcome), None);
    assert!(reference.rows.ends_with(&sink.kept.rows) && !sink.kept.rows.is_empty());
}

/// Streams that move a byte at a time, and fail every third time.
struct Moody<S> {
    inner: S,
    calls: u32,
}

impl<S> Moody<S> {
    fn new(inner: S) -> Moody<S> {
        Moody { inner, calls: 0 }
    }

    fn mood(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) { Err(io::Error::other("a mood")) } else { Ok(()) }
    }
}

impl<S: Read> Read for Moody<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.mood()?;
        let bytes = buffer.len().min(1);
        self.inner.read(&mut buffer[..bytes])
    }
}

impl<S: Write> Write for Moody<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.mood()?;
        self.inner.write(&data[..data.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A step whose stream failed is not complete, although bytes were moved. Repeating it continues from there, on both
/// sides.
#[test]
fn streams_that_fail_are_no_difference() {
    let case = guest("filter", &["2"], b"");
    let executor = executor(&case, JitOptions::eager());
    let mut sink = VecSink::default();
    let env = Env::new().args(case.args.iter().cloned()).stdin(Moody::new(TEXT));
    let mut session = executor.start(env.stdout(Moody::new(io::sink()))).expect("it starts");
    let mut failures = 0;
    let end = loop {
        match session.run(&mut sink) {
            Err(Error::Stream { stream, .. }) if failures < 50 => {
                failures += 1;
                assert!(matches!(stream, StreamName::Stdin | StreamName::Stdout), "{stream}");
            }
            end => break end,
        }
    };
    // The guest may never get a long line out completely; until then nothing differed.
    assert!(failures > 5, "{failures}");
    assert!(matches!(end, Ok(Status::Exited { .. }) | Err(Error::Stream { .. })), "{end:?}");
    assert_eq!(sink.rows.len() as u64, session.steps());
}
