//! The beginning and the end of a run, as a sink sees them: what it is told, in which order, and what its failures do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tachy::risc0::host::HostEnv;
use tachy::trace::{Effect, Level, RowSchema, RunStart, SinkError, Tee};
use tachy::{Engine, Env, Error, Executor, Limits, MachineKind, NullSink, Program, Row, Session, Sink, Status};

use crate::common::guest;

const ENGINES: [Engine; 3] = [Engine::Jit, Engine::Interpreter, Engine::Crosscheck];
const STEPS: u64 = 2_949;

/// What a sink does when it is called.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Well,
    Error,
    Panic,
}

/// Records its calls, of which it answers some badly.
struct Recorder {
    level: Level,
    begin: How,
    end: How,
    calls: Vec<String>,
    rows: u64,
}

impl Recorder {
    fn new(level: Level) -> Recorder {
        Recorder { level, begin: How::Well, end: How::Well, calls: Vec::new(), rows: 0 }
    }

    fn answer(how: How) -> Result<(), SinkError> {
        match how {
            How::Well => Ok(()),
            How::Error => Err("on purpose".into()),
            How::Panic => std::panic::resume_unwind(Box::new("on purpose")),
        }
    }
}

impl Sink for Recorder {
    fn level(&self) -> Level {
        self.level
    }

    fn begin(&mut self, start: &RunStart<'_>) -> Result<(), SinkError> {
        assert_eq!((start.schema, start.level), (RowSchema::Words32, self.level));
        self.calls.push(format!("begin {} {} {}", start.machine, start.program.symbols().len(), start.step));
        Recorder::answer(self.begin)
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], _: &[Effect]) -> Result<(), SinkError> {
        assert_eq!(first_step, self.rows, "without a gap");
        self.rows += rows.len() as u64;
        if self.calls.last().is_none_or(|call| call != "rows") {
            self.calls.push("rows".to_owned());
        }
        Ok(())
    }

    fn end(&mut self, step: u64) -> Result<(), SinkError> {
        self.calls.push(format!("end {step}"));
        Recorder::answer(self.end)
    }
}

fn fib() -> Program {
    Program::from_elf(&std::fs::read(guest("fib")).expect("it is built")).expect("it is a program")
}

fn start(engine: Engine, limits: Limits) -> Session<'static> {
    let executor = Executor::builder().engine(engine).limits(limits).build(&fib()).expect("an executor");
    executor.start(Env::new().args(["fib", "10"])).expect("it starts")
}

const EXITED: Status = Status::Exited { code: 0 };

/// However a run ends, its sink is told where it begins and where it has stopped.
#[test]
fn each_run_has_a_beginning_and_an_end() {
    let begin = |step: u64| format!("begin bare {} {step}", fib().symbols().len());
    for engine in ENGINES {
        for level in [Level::Off, Level::Rows] {
            let mut sink = Recorder::new(level);
            let mut session = start(engine, Limits::none().steps(2_000));
            assert_eq!(session.run_to(1_000, &mut sink).expect("it gets there"), Status::Reached);
            assert_eq!(session.run(&mut sink).expect_err("it takes longer").kind(), "step-limit");
            session.limits_mut().steps = None;
            assert_eq!(session.run(&mut sink).expect("it ends"), EXITED);
            assert!(matches!(session.run(&mut sink), Err(Error::Ended { .. })));
            let rows = |call: &String| call == "rows";
            assert_eq!(sink.calls.iter().filter(|call| rows(call)).count(), if level == Level::Rows { 3 } else { 0 });
            let told: Vec<String> = sink.calls.into_iter().filter(|call| !rows(call)).collect();
            let expected = [
                [begin(0), "end 1000".into()],
                [begin(1_000), "end 2000".into()],
                [begin(2_000), format!("end {STEPS}")],
                [begin(STEPS), format!("end {STEPS}")],
            ];
            assert_eq!(told, expected.concat(), "{engine:?}");
        }
    }
}

/// A sink that refuses to begin keeps the run from its first step. The next run is as if there had been none.
#[test]
fn a_beginning_that_fails_runs_nothing() {
    for engine in ENGINES {
        for how in [How::Error, How::Panic] {
            let mut session = start(engine, Limits::none());
            let mut sink = Recorder { begin: how, ..Recorder::new(Level::Rows) };
            let ran = catch_unwind(AssertUnwindSafe(|| session.run(&mut sink)));
            match ran {
                Ok(ran) => assert!(how == How::Error && matches!(ran, Err(Error::Sink { .. })), "{ran:?}"),
                Err(_) => assert!(how == How::Panic),
            }
            assert_eq!((session.steps(), sink.calls.len()), (0, 1));
            sink.begin = How::Well;
            assert_eq!(session.run(&mut sink).expect("it ends"), EXITED);
            assert_eq!((session.steps(), sink.rows), (STEPS, STEPS));
        }
    }
}

/// A sink that fails at the end hides how the program ended until the next run. Nothing is run or shown again.
#[test]
fn an_end_that_fails_is_followed_by_another() {
    for engine in ENGINES {
        for how in [How::Error, How::Panic] {
            let mut session = start(engine, Limits::none());
            let mut sink = Recorder { end: how, ..Recorder::new(Level::Rows) };
            for until in [1_000, u64::MAX, u64::MAX] {
                let ran = catch_unwind(AssertUnwindSafe(|| session.run_to(until, &mut sink)));
                match ran {
                    Ok(Err(Error::Sink { location, .. })) => {
                        assert!(how == How::Error && location.step == session.steps());
                    }
                    Ok(ran) => panic!("{engine:?}: {ran:?}"),
                    Err(_) => assert!(how == How::Panic),
                }
            }
            assert_eq!((session.steps(), session.exit_code(), sink.rows), (STEPS, Some(0), STEPS));
            sink.end = How::Well;
            assert_eq!(session.run(&mut sink).expect("the end is reported"), EXITED);
            assert!(matches!(session.run(&mut sink), Err(Error::Ended { .. })));
            assert_eq!(sink.rows, STEPS);
            assert_eq!(session.finish().status(), Some(EXITED));
        }
    }
}

/// A pause whose end failed has to be reported before the program is resumed.
#[test]
fn a_pause_is_resumed_after_its_end() {
    let path = format!("{}/guests/r0vm/bin/pause.bin", crate::common::ROOT);
    let program = Program::from_risc0(&std::fs::read(path).expect("it is built")).expect("it is a program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("an executor");
    let host = HostEnv::builder().write_slice(&[1u32, 10, 20]).build().expect("a host");
    let mut session = executor.start(Env::new().host(host)).expect("it starts");
    let mut sink = Recorder { end: How::Error, ..Recorder::new(Level::Off) };
    assert!(matches!(session.run(&mut sink), Err(Error::Sink { .. })));
    assert!(matches!(session.resume(), Err(Error::Unfinished { .. })));
    assert!(matches!(session.run(&mut NullSink::off()), Ok(Status::Paused { .. })));
    session.resume().expect("it has paused");
    assert_eq!(session.run(&mut NullSink::off()).expect("it ends"), EXITED);
}

/// An error of the run counts before one of the end, and an error that ended the program leaves no status.
#[test]
fn the_error_of_a_run_counts_before_that_of_its_end() {
    let trap = Program::from_elf(
        &std::fs::read(format!("{}/tests/debug/trap-dwarf5.elf", crate::common::ROOT)).expect("it is built"),
    );
    for engine in ENGINES {
        let executor =
            Executor::builder().engine(engine).build(trap.as_ref().expect("a program")).expect("an executor");
        let mut session = executor.start(Env::new()).expect("it starts");
        let mut sink = Recorder { end: How::Error, ..Recorder::new(Level::Rows) };
        assert_eq!(session.run(&mut sink).expect_err("it traps").kind(), "trap");
        assert_eq!(sink.calls.last(), Some(&format!("end {}", session.steps())));
        let outcome = session.finish();
        assert_eq!((outcome.status(), outcome.exit_code()), (None, None));
    }
}

/// Two sinks in one are both told, and so is one behind a reference or an option.
#[test]
fn sinks_made_of_sinks_pass_everything_on() {
    let mut second = Recorder::new(Level::Off);
    let mut tee = Tee::new(Some(Recorder::new(Level::Rows)), &mut second);
    tee.second.level = Level::Rows;
    start(Engine::Jit, Limits::none()).run(&mut tee).expect("it ends");
    let first = tee.first.expect("it is there");
    assert_eq!((first.calls.len(), first.rows), (3, STEPS));
    assert_eq!((second.calls, second.rows), (first.calls, STEPS));
}

/// The caller keeps a host that it lends, and what the host has learnt.
#[test]
fn a_host_can_be_lent() {
    let path = format!("{}/guests/r0vm/bin/hello.bin", crate::common::ROOT);
    let program = Program::from_risc0(&std::fs::read(path).expect("it is built")).expect("it is a program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("an executor");
    let mut builder = HostEnv::builder();
    builder.write("world").expect("it is written").write(&41u32).expect("it is written");
    let mut host = builder.build().expect("a host");
    let outcome = executor.run(Env::new().custom_host(&mut host)).expect("it ends");
    assert_eq!(outcome.status(), Some(EXITED));
    assert!(host.counts().any(|(name, count)| name == "SYS_READ" && count.calls > 0));
}
