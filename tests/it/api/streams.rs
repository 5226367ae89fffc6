//! Tests sinks and streams that fail, panic or lie. The error gives the location, the session stays consistent and can
//! continue, and the program's own state never depends on how its bytes are split.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, DATA, every_setup, exit, guest, setups, writer};
use crate::common::engines::{
    Case, Setup, final_difference, first_different_effect, first_different_row, run, run_with,
};
use tachy::isa::{Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::trace::{Effect, SinkError, VecSink};
use tachy::{Engine, Env, Error, Executor, JitOptions, MachineKind, NullSink, Program, Row, Sink, Status, StreamName};

// ---------------------------------------------------------------------------------------------------------------------
// Sinks that fail

/// Accepts some buffers, which it keeps, then fails or panics.
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

/// Keeps rows, and checks that they are consecutive.
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
            // The last one fails at the end, after the program has exited.
            for buffers_left in [0, 1, 5, (steps / 500) as usize] {
                let what = format!("{setup:?}, {buffers_left} buffers, panics: {panics}");
                let mut sink = BadSink { buffers_left, panics, kept: VecSink::default() };
                let outcome = run_with(&case, &setup, |session| {
                    let result = catch_unwind(AssertUnwindSafe(|| session.run(&mut sink)));
                    match result {
                        Ok(result) => {
                            let location = session.location();
                            assert!(
                                matches!(&result, Err(Error::Sink { location: at, source })
                                if *at == location && source.to_string() == "no room left"),
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
                    // The rows that it got are correct, wherever they begin.
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

/// However much the guest reads and writes, effects arrive in batches of limited size.
#[test]
fn effects_do_not_pile_up() {
    struct Most(usize);
    impl Sink for Most {
        fn rows(&mut self, _: u64, _: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
            self.0 = self.0.max(effects.len());
            Ok(())
        }
    }
    /// Maximum number of pending effects, apart from those of one call.
    const WAITING: usize = 1 << 16;

    // Writes its whole megabyte of zeros forty times, ten million words; or makes many unknown calls.
    let bytes = 1 << 20;
    for (number, calls) in [(64, 40), (1000, 80_000)] {
        let mut asm = Assembler::new(CODE);
        asm.li(5, calls);
        asm.li(12, bytes);
        asm.i(Op::Addi, 17, 0, number);
        asm.li(11, DATA);
        let top = asm.label_here();
        asm.i(Op::Addi, 10, 0, 1);
        asm.op(Op::Ecall, 0, 0, 0, 0);
        asm.i(Op::Addi, 5, 5, -1);
        asm.branch(Op::Bne, 5, 0, top);
        exit(&mut asm);
        let segment = Segment { memory_bytes: bytes, ..Segment::new(DATA, vec![0], Permissions::RW) };
        let case = Case::code(CODE, &asm.finish().words, vec![segment]);
        // The buffer fits the rows of all calls, so that effects are not delivered merely because it is full.
        for setup in [Setup::interpreter(), Setup::eager()].map(|setup| setup.buffer_rows(1 << 19)) {
            let mut sink = Most(0);
            let executor = setup.executor(&case);
            executor.trace(Env::new(), &mut sink).expect("it ends");
            let most = if number == 64 { bytes as usize / 4 } else { WAITING };
            assert!((most..2 * most).contains(&sink.0), "{} effects at once under {setup:?}", sink.0);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams

/// Supplies bytes with the habit of its first field, from its second field.
struct Odd<'a> {
    bytes: &'a [u8],
    habit: Habit,
    calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    /// One byte per call.
    Drip,
    /// Every second call is interrupted.
    Interrupted,
    /// Claims to have read more than fits.
    Lies,
    /// Fails instead of reporting the end.
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

/// Accepts this many bytes, then fails.
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

/// Returns what a run with this stdin did: rows, and the end and the output as text.
fn with_stdin(case: &Case, setup: &Setup, habit: Habit, bytes: &[u8]) -> (Vec<Row>, String, String) {
    let (mut stdout, mut sink) = (Vec::new(), VecSink::default());
    let stdin = Odd { bytes, habit, calls: 0 };
    let env = Env::new().args(case.args.iter().cloned()).stdin(stdin).stdout(&mut stdout);
    let mut session = setup.executor(case).start(env).expect("it starts");
    let end = match session.run(&mut sink) {
        Ok(status) => format!("{status:?}"),
        Err(error) => {
            assert_eq!(error.location(), Some(session.location()));
            assert_eq!(session.steps(), sink.rows.len() as u64);
            crate::common::said(&error)
        }
    };
    drop(session);
    (sink.rows, end, String::from_utf8_lossy(&stdout).into_owned())
}

#[test]
fn stdin_with_odd_habits() {
    let case = guest("filter", &["7"]);
    let text = b"The quick brown fox\njumps over the lazy dog.\n";
    let plain = run(&Case { stdin: text.to_vec(), ..guest("filter", &["7"]) }, &Setup::interpreter());
    let output = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(output.starts_with("THE QUICK BROWN FOX\n"), "{output}");
    for habit in [Habit::Drip, Habit::Interrupted, Habit::Lies, Habit::Fails] {
        let reference = with_stdin(&case, &Setup::interpreter(), habit, text);
        match habit {
            // An interrupted read does not count as one.
            Habit::Interrupted => assert!(reference.0 == plain.rows && reference.2 == output),
            // The guest sees the same bytes, and needs more steps for more pieces.
            Habit::Drip => assert!(reference.0.len() > plain.rows.len() && reference.2 == output),
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
            assert!(crate::common::said(&error).contains("a tape that is full"), "{error:?}");
            // The call did not complete: no row, no effect, and the session stands before it.
            let location = session.location();
            assert_eq!((error.location(), location.step), (Some(location), sink.rows.len() as u64));
            assert_eq!(first_different_row(&reference.rows[..sink.rows.len()], &sink.rows, Variant::Standard), None);
            assert!(sink.effects.iter().all(|effect| effect.step < location.step));
            assert!(matches!(session.run(&mut sink), Err(Error::Stream { .. })), "and again");
            assert_eq!(session.location(), location);
        }
    }
}

/// An output that fails only when it is flushed fails the run, and only then. Later runs repeat the flush until it
/// succeeds, and then report how the program ended.
#[test]
fn output_that_fails_when_flushed() {
    struct Lazy(usize);
    impl Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0 += 1;
            if self.0 <= 2 { Err(io::Error::other("a tape that is stuck")) } else { Ok(()) }
        }
    }
    for setup in every_setup() {
        let case = writer();
        let mut session = setup.executor(&case).start(Env::new().stdout(Lazy(0))).expect("it starts");
        for _ in 0..2 {
            let result = session.run(&mut NullSink::off());
            assert!(matches!(result, Err(Error::Stream { stream: StreamName::Stdout, .. })), "{result:?}");
            // The program has still ended.
            assert_eq!(session.exit_code(), Some(20));
        }
        assert_eq!(session.run(&mut NullSink::off()).expect("it is flushed"), Status::Exited { code: 20 });
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })));
    }
}

/// Panics in its first call, then works.
struct Panics<S> {
    stream: S,
    panicked: bool,
}

impl<S> Panics<S> {
    fn new(stream: S) -> Panics<S> {
        Panics { stream, panicked: false }
    }

    fn stream(&mut self) -> &mut S {
        assert!(std::mem::replace(&mut self.panicked, true), "a stream that panics on purpose");
        &mut self.stream
    }
}

impl<S: Read> Read for Panics<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buffer)
    }
}

impl<S: Write> Write for Panics<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A panic of a stream reaches the caller. The session stands before the call and continues as if nothing had happened.
#[test]
fn streams_that_panic() {
    let text = b"The quick brown fox\n";
    let case = Case { stdin: text.to_vec(), ..guest("filter", &["7"]) };
    let reference = run(&case, &Setup::interpreter());
    for setup in every_setup() {
        let (mut sink, mut stdout) = (VecSink::default(), Vec::new());
        let env = Env::new().args(case.args.iter().cloned());
        let env = env.stdin(Panics::new(&text[..])).stdout(Panics::new(&mut stdout));
        let executor = setup.executor(&case);
        let mut session = executor.start(env).expect("it starts");
        let mut panics = 0;
        loop {
            match catch_unwind(AssertUnwindSafe(|| session.run(&mut sink))) {
                Ok(result) => break assert_eq!(result.expect("it ends"), Status::Exited { code: 0 }),
                Err(_) => panics += 1,
            }
        }
        drop(session);
        assert_eq!(panics, 2, "{setup:?}: stdin, then stdout");
        assert_eq!(stdout, reference.stdout);
        assert_eq!(first_different_row(&reference.rows, &sink.rows, Variant::Standard), None, "{setup:?}");
        assert_eq!(first_different_effect(&reference.effects, &sink.effects), None, "{setup:?}");
    }
}

/// A panic in a callback of R0VM's host, or in one that takes segments, reaches the caller and leaves the executor
/// unchanged.
#[test]
fn hosts_that_panic() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/smc.bin");
    let program = Program::from_risc0(&std::fs::read(path).expect("the guests are in the repository"));
    let program = program.expect("a good binary");
    for engine in [Engine::Interpreter, Engine::Jit] {
        let executor = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(JitOptions::eager());
        let executor = executor.build(&program).expect("good settings");
        let host = |panics: bool| {
            let mut builder = HostEnv::builder();
            match panics {
                true => builder.stdin(Panics::new(io::empty())),
                false => builder.write_slice(&[2u32]),
            };
            builder.build().expect("a host")
        };
        for (panics, segments_panic) in [(true, false), (false, true), (false, false)] {
            let take = |_: &tachy::risc0::Segment| {
                assert!(!segments_panic, "a taker of segments that panics on purpose");
                Ok(())
            };
            let env = Env::new().host(host(panics)).segments(take);
            let ended = catch_unwind(AssertUnwindSafe(|| executor.run(env).map(|_| ())));
            assert_eq!(ended.is_err(), panics || segments_panic, "{engine:?}: {ended:?}");
            assert!(!matches!(ended, Ok(Err(_))), "{ended:?}");
        }
    }
}
