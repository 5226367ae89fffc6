//! Tests every kind of error that a user can meet, each caused by a matching program, file or setting.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, endless, toucher, writer};
use crate::common::engines::Case;
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::trace::{Effect, Level, Sink, SinkError};
use tachy::{Engine, Env, Error, Executor, Limits, MachineKind, NullSink, Program, Row};

/// Kinds that need more than a program, with the tests that cause them.
const ELSEWHERE: [(&str, &str); 5] = [
    ("broken", "src/engine/tests.rs"),
    ("difference", "src/crosscheck/tests.rs"),
    ("forked", "tests/isolated/fork.rs"),
    ("host-memory", "tests/isolated/memory_refused.rs"),
    ("internal", "src/engine/tests.rs"),
];

/// An address where code may lie on either machine.
const HIGH_CODE: u32 = 0xc000_0000;

/// A sink that accepts nothing.
struct Full;

impl Sink for Full {
    fn level(&self) -> Level {
        Level::Rows
    }

    fn rows(&mut self, _: u64, _: &[Row], _: &[Effect]) -> Result<(), SinkError> {
        Err("full".into())
    }
}

/// Builds the same words for either machine.
fn program(machine: MachineKind, write: impl Fn(&mut Assembler)) -> Case {
    let mut asm = Assembler::new(HIGH_CODE);
    write(&mut asm);
    Case::code(HIGH_CODE, &asm.finish().words, Vec::new()).on(machine)
}

/// Builds an ecall of machine mode with these registers.
fn machine_call(registers: &[(u8, u32)]) -> Case {
    program(MachineKind::R0vm, |asm| {
        for &(register, value) in registers {
            asm.li(register, value);
        }
        asm.op(Op::Ecall, 0, 0, 0, 0);
    })
}

fn executor(case: &Case, engine: Engine, limits: Limits) -> Executor {
    let builder = Executor::builder().machine(case.machine).engine(engine).limits(limits);
    builder.build(&case.program).expect("a test's own configuration")
}

/// Runs a case and returns its error.
fn end(case: &Case, engine: Engine, limits: Limits, env: Env<'_>, sink: &mut dyn Sink) -> Error {
    executor(case, engine, limits).trace(env, sink).expect_err("it does not end well")
}

/// Returns one error of each kind that a program can cause, in one engine.
fn errors(engine: Engine) -> Vec<Error> {
    let off = &mut NullSink::off();
    let limits = Limits::default();
    let bare = |address, words: &[u32]| {
        let segments = vec![Segment::from_words(address, words, Permissions::RX)];
        Case::new(Program::from_segments(address, segments).expect("a test's own program"))
    };
    let breakpoint = program(MachineKind::Bare, |asm| asm.op(Op::Ebreak, 0, 0, 0, 0));
    let forever = program(MachineKind::R0vm, |asm| {
        let top = asm.label_here();
        asm.jal(0, top);
    });

    let ended = {
        let mut session = executor(&breakpoint_free(), engine, limits).start(Env::new()).expect("it starts");
        session.run(off).expect("it ends well");
        session.run(off).expect_err("once is enough")
    };
    let cancelled = {
        let mut session = executor(&endless(), engine, limits).start(Env::new()).expect("it starts");
        session.cancel_handle().cancel();
        session.run(off).expect_err("it is cancelled")
    };
    // It pauses, and no callback takes its segment.
    let unfinished = {
        let case = machine_call(&[(17, 0), (10, 1)]);
        let env = Env::new().segments(|_| Err("full".into()));
        let mut session = executor(&case, engine, limits).start(env).expect("it starts");
        session.run(off).expect_err("the segment is refused");
        session.resume().expect_err("the segment is left")
    };
    let closed: &mut [u8] = &mut [];
    let unknown = HostEnv::builder().build().expect("a host");
    vec![
        end(&breakpoint, engine, limits, Env::new(), off),
        end(&endless(), engine, limits.steps(1000), Env::new(), off),
        end(&toucher(64), engine, limits.memory_bytes(32 << 10), Env::new(), off),
        end(&writer(), engine, limits.output_bytes(25), Env::new(), off),
        end(&endless(), engine, limits.time(Duration::ZERO), Env::new(), off),
        end(&forever, engine, limits.cycles(20_000), Env::new(), off),
        cancelled,
        end(&endless(), engine, limits, Env::new(), &mut Full),
        end(&writer(), engine, limits, Env::new().stdout(closed), off),
        end(&breakpoint, engine, limits, Env::new().args(["x".repeat(16 << 20)]), off),
        end(&bare(0xefff_0000, &[0x13]), engine, limits, Env::new(), off),
        // The word at 0xc0000000 names an unknown call.
        end(
            &machine_call(&[(17, 1), (10, HIGH_CODE), (11, 0), (12, 0)]),
            engine,
            limits,
            Env::new().host(unknown),
            off,
        ),
        end(&panicking(), engine, limits, Env::new().host(dividing_by_zero()), off),
        // Valid modes are 0 and 1.
        end(&machine_call(&[(17, 5), (5, 2)]), engine, limits, Env::new(), off),
        end(&machine_call(&[(17, 99)]), engine, limits, Env::new(), off),
        // Two thousand blocks of Poseidon2, ten cycles each.
        end(
            &machine_call(&[(17, 3), (10, 0), (11, 0x1000_0000), (12, 0x1000_0000), (13, 2000)]),
            engine,
            limits,
            Env::new().segment_po2(13).segments(|_| Ok(())),
            off,
        ),
        ended,
        end(&machine_call(&[(17, 0), (10, 0)]), engine, limits, Env::new().segments(|_| Err("full".into())), off),
        end(&machine_call(&[(17, 0), (10, 0)]), engine, limits, Env::new().trace_callback(|_| Err("full".into())), off),
        unfinished,
    ]
}

/// A Rust guest that divides by its input.
fn panicking() -> Case {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/panic.bin");
    let bytes = std::fs::read(path).expect("the guests are in the repository");
    Case::new(Program::from_risc0(&bytes).expect("a good binary")).on(MachineKind::R0vm)
}

fn dividing_by_zero() -> HostEnv<'static> {
    HostEnv::builder().write_slice(&[0u32]).build().expect("a host")
}

/// A program that ends normally.
fn breakpoint_free() -> Case {
    let mut asm = Assembler::new(CODE);
    crate::common::cases::exit(&mut asm);
    Case::code(CODE, &asm.finish().words, Vec::new())
}

#[test]
fn every_kind_of_error_is_met() {
    let case = breakpoint_free();
    let built = [
        Error::from(Program::from_elf(b"").expect_err("an empty file is no program")),
        Executor::builder().buffer_rows(1).build(&case.program).expect_err("one row is no buffer"),
    ];
    let built: BTreeSet<&str> = built.iter().map(Error::kind).collect();
    let listed: BTreeSet<&str> = Error::KINDS.iter().map(|(kind, _)| *kind).collect();
    for engine in [Engine::Interpreter, Engine::Jit, Engine::Crosscheck] {
        let met: BTreeSet<&str> = errors(engine).iter().map(Error::kind).collect();
        let elsewhere = ELSEWHERE.iter().map(|(kind, _)| *kind);
        assert_eq!(met.union(&built).copied().chain(elsewhere).collect::<BTreeSet<_>>(), listed, "{engine:?}");
    }
}

/// The location of a guest's panic is the guest's own call, not its kernel's.
#[test]
fn a_guests_panic_is_told_where_the_guest_called() {
    let case = panicking();
    for engine in [Engine::Interpreter, Engine::Jit, Engine::Crosscheck] {
        let env = Env::new().host(dividing_by_zero());
        let mut session = executor(&case, engine, Limits::default()).start(env).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it panics");
        let Error::GuestPanic { message, location } = &error else { panic!("{engine:?}: {error:?}") };
        assert_eq!(message, "attempt to divide by zero", "{engine:?}");
        assert!(location.pc < 0xc000_0000 && session.pc() >= 0xc000_0000, "{engine:?}: {location}");
        assert_eq!((session.word(location.pc), location.step), (0x73, session.steps()), "{engine:?}");
        assert_eq!(error.to_string(), format!("the guest panicked: {message}, at {location}"));
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })), "{engine:?}");
    }
}

/// An error and its sources, printed together, repeat nothing.
#[test]
fn an_error_and_its_sources_say_a_thing_once() {
    let mut links = 0;
    for error in errors(Engine::Interpreter) {
        // A sink's own message is part of the error's.
        if matches!(error, Error::Sink { .. }) {
            continue;
        }
        let (mut said, mut link) = (error.to_string(), std::error::Error::source(&error));
        while let Some(source) = link {
            let text = source.to_string();
            assert!(!text.is_empty() && !said.contains(&text), "{said:?}, then {text:?}");
            said = text;
            link = source.source();
            links += 1;
        }
    }
    assert!(links >= 2, "a stream and a host have something behind them");
}
