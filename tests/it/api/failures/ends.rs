//! Tests errors that end a session: the error is reported once, and every later run is refused and changes nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::trace::VecSink;
use tachy::{Env, Error, MachineKind, NullSink, Program, Session, Status};

use super::faults::{Fault, How, Point, Recorder, Said};
use super::subjects::{ENGINES, Seen, Subject, spread};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Setup};

const HIGH_CODE: u32 = 0xc000_0000;
const DATA: u32 = 0x0040_0000;

/// Builds a program that sets these registers, followed by a word.
fn case(machine: MachineKind, registers: &[(u8, u32)], word: u32) -> Case {
    let mut asm = Assembler::new(HIGH_CODE);
    asm.li(8, DATA);
    if machine == MachineKind::R0vm {
        asm.store(Op::Sw, 8, 0, 8);
    }
    for &(register, value) in registers {
        asm.li(register, value);
    }
    asm.word(word);
    let code = Segment::from_words(HIGH_CODE, &asm.finish().words, Permissions::RX);
    Case::new(Program::from_segments(HIGH_CODE, vec![code]).expect("a test's own program")).on(machine)
}

const ECALL: u32 = 0x73;
const EBREAK: u32 = 0x0010_0073;

/// Returns every error that a program can end with by itself.
fn cases() -> Vec<(&'static str, Case)> {
    use MachineKind::{Bare, R0vm};
    vec![
        ("trap", case(Bare, &[], EBREAK)),
        ("trap", case(Bare, &[], 0)),
        ("trap", case(R0vm, &[], EBREAK)),
        ("trap", case(R0vm, &[], 0)),
        ("machine", case(R0vm, &[(17, 99)], ECALL)),
        ("bigint", case(R0vm, &[(17, 5), (5, 2)], ECALL)),
        ("host", case(R0vm, &[(17, 1), (10, HIGH_CODE), (11, DATA), (12, 0)], ECALL)),
        ("segment-too-small", case(R0vm, &[(17, 3), (10, 0), (11, 0x1000_0000), (12, 0x1000_0000), (13, 2000)], ECALL)),
    ]
}

fn env(case: &Case) -> Env<'static> {
    match case.machine {
        MachineKind::R0vm => {
            let host = tachy::risc0::host::HostEnv::builder().segment_limit_po2(13).build();
            Env::new().host(host.expect("a host"))
        }
        _ => Env::new(),
    }
}

fn state(session: &Session<'_>) -> impl PartialEq + use<> {
    let stats = session.stats();
    let counts = (stats.ecalls, stats.ecalls_unknown, stats.pages);
    (session.location(), session.registers(), session.memory_digest(), counts, session.report(), session.exit_code())
}

/// Asserts that another run is refused, delivers nothing and changes nothing.
fn is_over(session: &mut Session<'_>, what: &str) {
    let before = state(session);
    for _ in 0..2 {
        let mut sink = VecSink::default();
        let again = session.run(&mut sink);
        assert!(matches!(again, Err(Error::Ended { location }) if location == session.location()), "{what}: {again:?}");
        assert!(sink.rows.is_empty() && sink.effects.is_empty(), "{what}");
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })), "{what}");
        assert!(matches!(session.resume(), Err(Error::Ended { .. })), "{what}");
        assert!(state(session) == before, "{what}");
    }
}

fn setups() -> [Setup; 3] {
    [Setup::interpreter(), Setup::eager(), Setup::jit(tachy::JitOptions::default())]
}

#[test]
fn errors_of_the_program() {
    for (kind, case) in cases() {
        for setup in setups() {
            let what = format!("{kind} on {}, {setup:?}", case.machine);
            let executor = setup.executor(&case);
            let mut session = executor.start(env(&case)).expect("it starts");
            let error = session.run(&mut VecSink::default()).expect_err("it has no good end");
            assert_eq!((error.kind(), error.location()), (kind, Some(session.location())), "{what}");
            is_over(&mut session, &what);
        }
    }
}

/// A sink that panics on the last rows hides why the program ended. The next run reports it.
#[test]
fn errors_that_a_panic_hides() {
    for (kind, case) in cases() {
        for setup in setups() {
            let what = format!("{kind} on {}, {setup:?}", case.machine);
            let executor = setup.executor(&case);
            let mut session = executor.start(env(&case)).expect("it starts");
            let never = Fault::never();
            let mut sink = Recorder { kept: VecSink::default(), fault: never.clone() };
            executor.trace(env(&case), &mut sink).expect_err("it has no good end");
            let last = never.calls(Point::Sink) - 1;
            let mut sink = Recorder { kept: VecSink::default(), fault: Fault::at(Point::Sink, last, How::Panic) };
            assert!(catch_unwind(AssertUnwindSafe(|| session.run(&mut sink))).is_err(), "{what}");
            let before = state(&session);
            let error = session.run(&mut sink).expect_err("it has no good end");
            assert_eq!((error.kind(), error.location()), (kind, Some(session.location())), "{what}");
            assert!(state(&session) == before && sink.kept.rows.len() as u64 == session.steps(), "{what}");
            is_over(&mut session, &what);
        }
    }
}

#[test]
fn programs_that_have_ended() {
    let subjects = super::subjects::bare().into_iter().chain([super::subjects::kernel()]);
    for subject in subjects {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let mut session = executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
            assert!(matches!(session.run(&mut NullSink::rows()), Ok(Status::Exited { .. })), "{}", subject.name);
            is_over(&mut session, subject.name);
        }
    }
}

/// Fails every call of a point, or `most` of them, with an error that ends the session: no code of the caller's is
/// called again. Returns the number of failures.
pub fn ends_it(subject: &Subject, point: Point, most: usize, kind: &str) -> usize {
    let mut failed = 0;
    for engine in ENGINES {
        let executor = subject.executor(engine);
        let never = Fault::never();
        let whole = subject.see(&executor, &never, true);
        for call in spread(never.calls(point), most) {
            let what = format!("{}, {point:?} {call}, {engine}", subject.name);
            let (outputs, fault): (Vec<Said>, _) = (Seen::outputs(), Fault::at(point, call, How::Error));
            let mut session = executor.start(subject.env(&outputs, &fault)).expect("it starts");
            let mut sink = VecSink::default();
            let error = session.run(&mut sink).expect_err("it fails");
            assert_eq!((error.kind(), error.location()), (kind, Some(session.location())), "{what}");
            // The completed steps are delivered, as is what the failed call began.
            assert!(whole.sink.rows.starts_with(&sink.rows), "{what}");
            assert_eq!(sink.rows.len() as u64, session.steps(), "{what}");
            let done = whole.sink.effects.iter().take_while(|effect| effect.step < session.steps()).count();
            assert!(sink.effects.starts_with(&whole.sink.effects[..done]), "{what}");
            is_over(&mut session, &what);
            assert_eq!(fault.calls(point), call + 1, "{what}");
            failed += 1;
        }
    }
    failed
}
