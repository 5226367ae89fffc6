//! Limits, pauses, cancelling, and streams and sinks that fail: where each stops a run, that what was done until then
//! is true and delivered, and that the session can go on to the same end.

mod common;

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::assembler::Assembler;
use common::engines::{
    Case, End, Outcome, Setup, State, assert_same, difference, final_difference, first_different_row, run, run_with,
    sink_for,
};
use common::generator::generate;
use common::rng::Rng;
use tachy::isa::{Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::trace::{DigestSink, Effect, SinkError, VecSink};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limit, Limits, NullSink, Program, Row, Sink, Status};

const CODE: u32 = 0x1_0000;
const DATA: u32 = 0x4_0000;

fn setups() -> [Setup; 3] {
    [
        Setup::eager(),
        Setup::jit(JitOptions::default()).threshold(30),
        Setup::eager().region_instructions(3).buffer_rows(256),
    ]
}

fn every_setup() -> Vec<Setup> {
    [Setup::interpreter()].into_iter().chain(setups()).collect()
}

fn guest(name: &str, args: &[&str]) -> Case {
    let elf = std::fs::read(common::guest(name)).expect("the guests are in the repository");
    let args = [name].iter().chain(args).map(|arg| arg.as_bytes().to_vec()).collect();
    Case { args, ..Case::new(Program::from_elf(&elf).expect("a good program")) }
}

/// Adds up for ever: `pc` and x5 tell the step.
fn endless() -> Case {
    let mut asm = Assembler::new(CODE);
    let top = asm.label_here();
    asm.i(Op::Addi, 5, 5, 1);
    asm.jal(0, top);
    Case::code(CODE, &asm.finish().words, Vec::new())
}

/// Writes ten bytes, then eleven, and so on up to twenty; then exits.
fn writer() -> Case {
    let mut asm = Assembler::new(CODE);
    for bytes in 10..21 {
        for (register, value) in [(10, 1 + bytes % 2), (11, DATA), (12, bytes), (17, 64)] {
            asm.li(register, value);
        }
        asm.op(Op::Ecall, 0, 0, 0, 0);
    }
    exit(&mut asm);
    Case::code(CODE, &asm.finish().words, vec![Segment::new(DATA, vec![b'x'; 64], Permissions::RW)])
}

fn exit(asm: &mut Assembler) {
    asm.i(Op::Addi, 17, 0, 93);
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

/// Reads a word into every second page of the stack, downwards, and stores into every fourth.
fn toucher(pages: u32) -> Case {
    let mut asm = Assembler::new(CODE);
    asm.li(5, pages);
    asm.i(Op::Addi, 6, 2, 0);
    asm.i(Op::Addi, 8, 0, 1024);
    let (top, even) = (asm.label_here(), asm.label());
    asm.i(Op::Lw, 7, 6, -4);
    asm.r(Op::Sub, 6, 6, 8);
    asm.r(Op::Sub, 6, 6, 8);
    asm.i(Op::Andi, 7, 5, 1);
    asm.branch(Op::Beq, 7, 0, even);
    asm.store(Op::Sb, 5, -1025, 6);
    asm.place(even);
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, top);
    exit(&mut asm);
    Case::code(CODE, &asm.finish().words, Vec::new())
}

fn with_limits(case: &Case, change: impl FnOnce(&mut Limits)) -> Case {
    let mut case = case.clone();
    change(&mut case.limits);
    case
}

fn failed_with(outcome: &Outcome, expected: &str) -> bool {
    matches!(outcome.end, End::Failed { kind, .. } if kind == expected)
}

// ---------------------------------------------------------------------------------------------------------------------
// Limits

#[test]
fn step_limit_at_random_steps() {
    let mut rng = Rng::new(1);
    for case in [guest("fib", &["12"]), guest("smc", &["30"]), guest("vm", &["3"]), writer()] {
        let whole = run(&case, &Setup::interpreter());
        let steps = whole.rows.len() as u64;
        let edges = [0, 1, 2, 255, 256, 257, steps - 1];
        for limit in edges.into_iter().chain((0..8).map(|_| rng.below(steps))) {
            let outcome = assert_same(&format!("limit {limit}"), &case.clone().limit_steps(limit), &setups());
            if limit < steps {
                assert!(failed_with(&outcome, "step-limit"), "limit {limit} of {steps}: {:?}", outcome.end);
                assert_eq!(outcome.rows.len() as u64, limit);
                let wrong = first_different_row(&whole.rows[..limit as usize], &outcome.rows, Variant::Standard);
                assert_eq!(wrong, None, "limit {limit}");
            }
        }
        // A program that ends in exactly as many steps as it may has not reached the limit.
        for limit in [steps, steps + 1, u64::MAX] {
            let outcome = assert_same("no limit", &case.clone().limit_steps(limit), &setups());
            assert_eq!(difference(&whole, &outcome, Variant::Standard), None, "limit {limit} of {steps}");
        }
    }
}

/// Every limit from nothing to enough stops at the same step in each engine; with enough, none does.
#[test]
fn memory_limit_of_every_size() {
    let case = toucher(24);
    let whole = run(&case, &Setup::interpreter());
    assert!(matches!(whole.end, End::Done(_)), "{:?}", whole.end);
    let pages = whole.state.as_ref().expect("it ran").pages;
    assert!(pages > 24 * 3 / 2, "{pages}");
    let mut last_steps = 0;
    for limit_pages in 0..=pages + 1 {
        for spare in [0, 1023] {
            let limited = with_limits(&case, |limits| limits.memory_bytes = Some(limit_pages * 1024 + spare));
            let outcome = assert_same(&format!("{limit_pages} pages"), &limited, &setups());
            assert_eq!(failed_with(&outcome, "memory-limit"), limit_pages < pages, "{limit_pages} of {pages}");
            assert!(outcome.rows.len() >= last_steps, "more memory, fewer steps");
            last_steps = outcome.rows.len();
            // As far as it got it used all that it had.
            if let (true, Some(state)) = (limit_pages < pages, &outcome.state) {
                assert_eq!(state.pages, limit_pages);
            }
        }
    }
    assert_eq!(last_steps, whole.rows.len());
}

#[test]
fn output_limit_of_every_size() {
    let case = writer();
    let whole = run(&case, &Setup::interpreter());
    let total = (whole.stdout.len() + whole.stderr.len()) as u64;
    assert_eq!(total, (10..21).sum::<u64>());
    for limit in (0..total + 2).step_by(3).chain([total - 1, total]) {
        let limited = with_limits(&case, |limits| limits.output_bytes = Some(limit));
        let outcome = assert_same(&format!("{limit} bytes"), &limited, &setups());
        assert_eq!(failed_with(&outcome, "output-limit"), limit < total, "{limit} of {total}: {:?}", outcome.end);
        assert!((outcome.stdout.len() + outcome.stderr.len()) as u64 <= limit, "{limit}");
    }
}

/// Where a time limit hits is open; that it does, and that the state there is a true one, is not.
#[test]
fn time_limit_on_an_endless_loop() {
    for setup in every_setup() {
        for traced in [false, true] {
            let case = with_limits(&endless(), |limits| limits.time = Some(Duration::from_millis(30)));
            let mut checked = EndlessSink { next: 0 };
            let outcome = run_with(&case, &setup, |session| match traced {
                true => session.run(&mut checked),
                false => session.run(&mut NullSink::off()),
            });
            assert!(failed_with(&outcome, "time-limit"), "{setup:?}: {:?}", outcome.end);
            assert_endless(&outcome, traced.then_some(checked.next));
        }
    }
}

/// Checks each row of [`endless`] as it passes.
struct EndlessSink {
    next: u64,
}

impl Sink for EndlessSink {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        assert_eq!((first_step, effects.len()), (self.next, 0));
        for (step, row) in (first_step..).zip(rows) {
            let expected = if step % 2 == 0 { (CODE, step / 2 + 1) } else { (CODE + 4, u64::from(CODE) + 8) };
            assert_eq!((row.pc, row.rd), (expected.0, expected.1 as u32), "step {step}");
        }
        self.next += rows.len() as u64;
        Ok(())
    }
}

fn assert_endless(outcome: &Outcome, rows: Option<u64>) {
    let state = outcome.state.as_ref().expect("it ran");
    assert_eq!(state.registers[5], state.steps.div_ceil(2) as u32);
    assert_eq!(state.pc, CODE + 4 * (state.steps % 2) as u32);
    assert!(rows.is_none_or(|rows| rows == state.steps), "{rows:?} rows of {} steps", state.steps);
}

// ---------------------------------------------------------------------------------------------------------------------
// Going on

/// A run that stops for whatever reason and goes on is the run that never stopped.
#[test]
fn pauses_limits_and_cancels_leave_no_mark() {
    let mut rng = Rng::new(2);
    for seed in 7000..7040 {
        let case = generate(seed).case();
        let limits = case.limits;
        let mut straight = DigestSink::default();
        let reference = run_with(&case, &Setup::interpreter(), |session| session.run(&mut straight));
        let steps = reference.state.as_ref().expect("it ran").steps;
        for setup in every_setup() {
            let mut sink = DigestSink::default();
            let outcome = run_with(&case, &setup, |session| {
                loop {
                    let stop = session.steps() + rng.below(steps + 1);
                    let result = match rng.below(3) {
                        0 => session.run_to(stop, &mut sink),
                        1 => {
                            session.limits_mut().steps = Some(stop.min(limits.steps.unwrap_or(u64::MAX)));
                            let result = session.run(&mut sink);
                            *session.limits_mut() = limits;
                            result
                        }
                        _ => {
                            session.cancel_handle().cancel();
                            let at = session.place();
                            let result = session.run(&mut sink);
                            assert!(matches!(result, Err(Error::Cancelled { place }) if place == at), "{result:?}");
                            continue;
                        }
                    };
                    match result {
                        Ok(Status::Paused) => {}
                        Err(Error::Limit(error)) if Limit::Steps(limits.steps.unwrap_or(0)) != error.limit => {}
                        result => return result,
                    }
                }
            });
            assert_eq!(final_difference(&reference, &outcome), None, "seed {seed} under {setup:?}");
            assert_eq!(sink.digest(), straight.digest(), "seed {seed} under {setup:?}");
        }
    }
}

/// The same for limits on memory and output, each raised a little at a time, with rows and without.
#[test]
fn raised_limits_leave_no_mark() {
    for case in [toucher(30), writer()] {
        let reference = run(&case, &Setup::interpreter());
        for setup in every_setup() {
            for traced in [false, true] {
                let start = Limits { memory_bytes: Some(5 * 1024), output_bytes: Some(0), ..Limits::default() };
                let limited = with_limits(&case, |limits| *limits = start);
                let mut hits = 0;
                let outcome = run_with(&limited, &setup, |session| {
                    loop {
                        let limits = *session.limits_mut();
                        let raised = |limit: Option<u64>, by| limit.map(|limit| limit + by);
                        match session.run(&mut *sink_for(traced)) {
                            Err(Error::Limit(error)) => {
                                hits += 1;
                                match error.limit {
                                    Limit::Memory(_) => {
                                        session.limits_mut().memory_bytes = raised(limits.memory_bytes, 1024);
                                    }
                                    Limit::Output(_) => {
                                        session.limits_mut().output_bytes = raised(limits.output_bytes, 7)
                                    }
                                    other => panic!("{other:?}"),
                                }
                            }
                            result => return result,
                        }
                    }
                });
                assert!(hits > 10, "{hits} limits hit under {setup:?}");
                assert_eq!(final_difference(&reference, &outcome), None, "{setup:?}");
            }
        }
    }
}

#[test]
fn cancelling_from_another_thread() {
    for setup in every_setup() {
        for traced in [false, true] {
            let case = endless();
            let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
            let handle = session.cancel_handle();
            let result = std::thread::scope(|scope| {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(10));
                    handle.cancel();
                });
                // Rows would fill memory: the sink only counts.
                let mut checked = EndlessSink { next: 0 };
                let result = match traced {
                    true => session.run(&mut checked),
                    false => session.run(&mut NullSink::off()),
                };
                assert!(!traced || checked.next == session.steps());
                result
            });
            assert!(matches!(result, Err(Error::Cancelled { place }) if place == session.place()), "{result:?}");
            // And on, as if nothing had been.
            let stop = session.steps() + 1001;
            assert_eq!(session.run_to(stop, &mut NullSink::off()).expect("it goes on"), Status::Paused);
            assert_eq!(session.registers()[5], stop.div_ceil(2) as u32, "{setup:?}");
        }
    }
}

#[test]
fn a_session_that_ended_stays_so() {
    for setup in every_setup() {
        let case = writer();
        let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
        assert_eq!(session.run(&mut NullSink::off()).expect("it ends"), Status::Exited { code: 20 });
        let before = State::of(&session, &case);
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })));
        assert_eq!(State::of(&session, &case), before);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sinks that fail

/// Takes some buffers, then fails or panics; what it took it keeps.
struct BadSink {
    buffers_left: usize,
    panics: bool,
    kept: VecSink,
}

impl Sink for BadSink {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if self.buffers_left == 0 {
            assert!(!self.panics, "a sink that panics on purpose");
            return Err("no room left".into());
        }
        self.buffers_left -= 1;
        self.kept.rows(first_step, rows, effects)
    }
}

/// Keeps rows, and checks that they follow each other.
struct Following {
    next: Option<u64>,
    kept: VecSink,
}

impl Sink for Following {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        assert!(self.next.is_none_or(|next| next == first_step), "{:?}, then {first_step}", self.next);
        self.next = Some(first_step + rows.len() as u64);
        self.kept.rows(first_step, rows, effects)
    }
}

#[test]
fn sinks_that_fail_and_sinks_that_panic() {
    let case = guest("fib", &["12"]);
    let reference = run(&case, &Setup::interpreter());
    let steps = reference.rows.len() as u64;
    for setup in every_setup() {
        let setup = setup.buffer_rows(500);
        for panics in [false, true] {
            // The last one fails at the end, when the program has exited.
            for buffers_left in [0, 1, 5, (steps / 500) as usize] {
                let what = format!("{setup:?}, {buffers_left} buffers, panics: {panics}");
                let mut sink = BadSink { buffers_left, panics, kept: VecSink::default() };
                let outcome = run_with(&case, &setup, |session| {
                    let result = catch_unwind(AssertUnwindSafe(|| session.run(&mut sink)));
                    match result {
                        Ok(result) => {
                            let place = session.place();
                            assert!(
                                matches!(&result, Err(Error::Sink { place: at, source })
                                if *at == place && source.to_string() == "no room left"),
                                "{what}: {result:?}"
                            );
                            assert!(!panics, "{what}");
                        }
                        Err(_) => assert!(panics, "{what}: a panic of our own"),
                    }
                    if session.exit_code().is_some() {
                        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })), "{what}");
                        return Ok(Status::Exited { code: 0 });
                    }
                    let mut rest = Following { next: None, kept: VecSink::default() };
                    let result = session.run(&mut rest);
                    // What it shows is true, wherever it begins.
                    let tail = &reference.rows[reference.rows.len() - rest.kept.rows.len()..];
                    assert_eq!(first_different_row(tail, &rest.kept.rows, Variant::Standard), None, "{what}");
                    result
                });
                let kept = &sink.kept.rows;
                let wrong = first_different_row(&reference.rows[..kept.len()], kept, Variant::Standard);
                assert_eq!(wrong, None, "{what}");
                assert_eq!(final_difference(&reference, &outcome), None, "{what}");
            }
        }
    }
}

/// However much the guest reads and writes, effects come in bearable portions.
#[test]
fn effects_do_not_pile_up() {
    struct Most(usize);
    impl Sink for Most {
        fn rows(&mut self, _: u64, _: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
            self.0 = self.0.max(effects.len());
            Ok(())
        }
    }
    // Writes its whole megabyte of zeros forty times: ten million words.
    let bytes = 1 << 20;
    let mut asm = Assembler::new(CODE);
    asm.li(5, 40);
    asm.li(12, bytes);
    asm.i(Op::Addi, 17, 0, 64);
    let top = asm.label_here();
    asm.i(Op::Addi, 10, 0, 1);
    asm.li(11, DATA);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, top);
    exit(&mut asm);
    let segment = Segment { memory_bytes: bytes, ..Segment::new(DATA, vec![0], Permissions::RW) };
    let case = Case::code(CODE, &asm.finish().words, vec![segment]);
    for setup in [Setup::interpreter(), Setup::eager()] {
        let mut sink = Most(0);
        let executor = setup.executor(&case);
        executor.run(Env::new(), &mut sink).expect("it ends");
        let words = bytes as usize / 4;
        assert!((words..2 * words).contains(&sink.0), "{} effects at once under {setup:?}", sink.0);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams

/// Gives bytes as its first field says, then what the second says.
struct Odd<'a> {
    bytes: &'a [u8],
    habit: Habit,
    calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    /// One byte a call.
    Drip,
    /// Every second call is interrupted.
    Interrupted,
    /// Claims more than it was given room for.
    Lies,
    /// Fails in the end instead of ending.
    Fails,
}

impl Read for Odd<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        match self.habit {
            Habit::Drip if buffer.len() > 1 => self.bytes.read(&mut buffer[..1]),
            Habit::Interrupted if self.calls % 2 == 1 => Err(io::ErrorKind::Interrupted.into()),
            Habit::Lies => self.bytes.read(buffer).map(|bytes| if bytes == 0 { 0 } else { usize::MAX - 7 }),
            Habit::Fails if self.bytes.is_empty() => Err(io::Error::other("a tape that is torn")),
            _ => self.bytes.read(buffer),
        }
    }
}

/// Takes this many bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.len() <= self.0 {
            true => {
                self.0 -= bytes.len();
                Ok(bytes.len())
            }
            false => Err(io::Error::other("a tape that is full")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a run with this stdin did, in text: rows, end and output.
fn with_stdin(case: &Case, setup: &Setup, habit: Habit, bytes: &[u8]) -> (Vec<Row>, String, String) {
    let (mut stdout, mut sink) = (Vec::new(), VecSink::default());
    let stdin = Odd { bytes, habit, calls: 0 };
    let env = Env::new().args(case.args.iter().cloned()).stdin(stdin).stdout(&mut stdout);
    let mut session = setup.executor(case).start(env).expect("it starts");
    let end = match session.run(&mut sink) {
        Ok(status) => format!("{status:?}"),
        Err(error) => {
            assert_eq!(error.place(), Some(session.place()));
            assert_eq!(session.steps(), sink.rows.len() as u64);
            error.to_string()
        }
    };
    drop(session);
    (sink.rows, end, String::from_utf8_lossy(&stdout).into_owned())
}

#[test]
fn stdin_with_odd_habits() {
    let case = guest("filter", &["7"]);
    let text = b"The quick brown fox\njumps over the lazy dog.\n";
    let plain = with_stdin(&case, &Setup::interpreter(), Habit::Drip, text);
    assert!(plain.2.starts_with("THE QUICK BROWN FOX\n"), "{}", plain.2);
    for habit in [Habit::Drip, Habit::Interrupted, Habit::Lies, Habit::Fails] {
        let reference = with_stdin(&case, &Setup::interpreter(), habit, text);
        match habit {
            // How bytes arrive is no property of the run.
            Habit::Drip | Habit::Interrupted => assert!(reference == plain, "{habit:?}"),
            Habit::Lies => assert_ne!(reference.2, ""),
            Habit::Fails => assert!(reference.1.contains("stdin") && reference.1.contains("torn"), "{}", reference.1),
        }
        for setup in setups() {
            let found = with_stdin(&case, &setup, habit, text);
            let wrong = first_different_row(&reference.0, &found.0, Variant::Standard);
            assert_eq!(wrong, None, "{habit:?} under {setup:?}");
            assert_eq!(found.1, reference.1, "{habit:?} under {setup:?}");
            assert_eq!(found.2, reference.2, "{habit:?} under {setup:?}");
        }
    }
}

#[test]
fn output_that_fails() {
    let case = writer();
    let reference = run(&case, &Setup::interpreter());
    for setup in every_setup() {
        for room in [0, 9, 10, 30, 70] {
            let mut sink = VecSink::default();
            let env = Env::new().stdout(Full(room)).stderr(Full(room));
            let mut session = setup.executor(&case).start(env).expect("it starts");
            let result = session.run(&mut sink);
            let Err(error @ Error::Stream { .. }) = result else { panic!("{room}: {result:?}") };
            assert!(error.to_string().contains("a tape that is full"), "{error}");
            // The call was not done: no row, no effect, and it stands there still.
            let place = session.place();
            assert_eq!((error.place(), place.step), (Some(place), sink.rows.len() as u64));
            assert_eq!(first_different_row(&reference.rows[..sink.rows.len()], &sink.rows, Variant::Standard), None);
            assert!(sink.effects.iter().all(|effect| effect.step < place.step));
            assert!(matches!(session.run(&mut sink), Err(Error::Stream { .. })), "and again");
            assert_eq!(session.place(), place);
        }
    }
}

/// An output that fails only when it is flushed fails the run, and only then.
#[test]
fn output_that_fails_when_flushed() {
    struct Lazy;
    impl Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::Error::other("a tape that is stuck"))
        }
    }
    for setup in every_setup() {
        let case = writer();
        let mut session = setup.executor(&case).start(Env::new().stdout(Lazy)).expect("it starts");
        let result = session.run(&mut NullSink::off());
        assert!(matches!(result, Err(Error::Stream { stream: "stdout", .. })), "{result:?}");
        // The program has ended all the same.
        assert_eq!(session.exit_code(), Some(20));
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })));
    }
}

#[test]
fn configurations_that_make_no_sense() {
    let program = endless().program;
    for rows in [0, 1, 255, usize::MAX] {
        let result = Executor::builder().buffer_rows(rows).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })), "{rows} rows");
    }
    for engine in [Engine::Jit, Engine::Interpreter] {
        let mut options = JitOptions::default();
        options.region_instructions = 0;
        let result = Executor::builder().engine(engine).jit(options).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })));
        let mut options = JitOptions::default();
        options.code_bytes = 1000;
        let result = Executor::builder().engine(engine).jit(options).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })));
    }
}
