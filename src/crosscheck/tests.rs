//! Tests that differences are found. Engines that agree are made to differ by giving them different programs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::bare::{Bare, GuestStreams, Settings};
use crate::decode::{Instruction, encode};
use crate::difference::Difference;
use crate::engine::{Hart, Options};
use crate::isa::Op;
use crate::jit::{Caches, JitOptions};
use crate::machine::{Budget, ExecutionContext, Machine, Surroundings};
use crate::program::{Permissions, Program, Segment};
use crate::trace::{Effect, NullSink, Row, SinkError, VecSink};
use tachy_runtime::Vm;

const CODE: u32 = 0x1_0000;
const DATA: u32 = 0x2_0000;
/// The minimum, so that buffers end often.
const BUFFER_ROWS: usize = 256;
/// The data of both engines, unless a test changes it.
const WORDS: [u32; 2] = [7, 8];

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

fn li(rd: u8, value: i32) -> u32 {
    insn(Op::Addi, rd, 0, 0, value)
}

fn ecall() -> u32 {
    insn(Op::Ecall, 0, 0, 0, 0)
}

/// Builds a program that loops `rounds` times, loads the first word of data in step 3 + 2 * `rounds`, writes the second
/// to stdout and ends with `last`.
fn program(rounds: i32, data: [u32; 2], last: &[u32]) -> Program {
    let code = [
        insn(Op::Lui, 5, 0, 0, DATA as i32),
        li(6, 0),
        li(7, rounds),
        insn(Op::Addi, 6, 6, 0, 1),
        insn(Op::Bne, 0, 6, 7, -4),
        insn(Op::Lw, 8, 5, 0, 0),
        li(10, 1),
        insn(Op::Addi, 11, 5, 0, 4),
        li(12, 4),
        li(17, 64),
        ecall(),
    ];
    let code = Segment::from_words(CODE, &[&code, last].concat(), Permissions::RX);
    let data = Segment::from_words(DATA, &data, Permissions::RW);
    Program::from_segments(CODE, vec![code, data]).unwrap()
}

fn exits() -> Vec<u32> {
    vec![li(17, 93), ecall()]
}

fn no_streams() -> GuestStreams<'static> {
    Settings::default().into()
}

fn hart<'env>(program: &Program, env: GuestStreams<'env>, jit: Option<JitOptions>) -> Box<dyn Run + 'env> {
    let (mut vm, mut budget) = (Vm::new().unwrap(), Budget::default());
    let machine = Bare::boot(program, &env, &mut vm.state(), &mut budget).unwrap();
    let caches = jit.map(|options| Caches::new(&options, Bare::RULES, program).into());
    Box::new(Hart::<Bare>::new(
        vm,
        machine,
        ExecutionContext::new(env, budget),
        caches,
        Options { buffer_rows: BUFFER_ROWS, alternate_engines: false, merge_interval_steps: 0 },
    ))
}

fn crosscheck(jit: &Program, interpreter: &Program) -> Crosscheck<'static> {
    let (env, own, streams) = no_streams().split();
    Crosscheck::new(hart(jit, env, Some(JitOptions::eager())), hart(interpreter, own, None), streams)
}

/// Runs both programs against each other, and one of them alone. Returns the difference and the rows that were passed
/// on.
fn difference(jit: &Program, interpreter: &Program) -> (Difference, Vec<Row>) {
    let (limits, cancel) = (Limits::default(), CancelHandle::default());
    let mut sink = VecSink::default();
    let mut both = crosscheck(jit, interpreter);
    let error = both.run(u64::MAX, &limits, &cancel, &mut sink).unwrap_err();
    let found = Difference::take(error).expect("it is a difference");
    // The session has ended, whatever the next run asks for.
    assert!(matches!(both.run(u64::MAX, &limits, &cancel, &mut sink), Err(Error::Ended { .. })));

    // A sink that wants no rows gets none, and the difference is the same.
    let mut untraced = crosscheck(jit, interpreter);
    let again = untraced.run(u64::MAX, &limits, &cancel, &mut NullSink::off()).unwrap_err();
    assert_eq!(again.to_string(), found.to_string());

    let mut alone = VecSink::default();
    let _ = hart(interpreter, no_streams(), None).run(u64::MAX, &limits, &cancel, &mut alone);
    assert_eq!(sink.rows, alone.rows[..found.location.step as usize], "what agrees is passed on, and no more");
    (*found, alone.rows)
}

#[test]
fn equal_programs_agree() {
    let (limits, cancel) = (Limits::default(), CancelHandle::default());
    let program = program(500, WORDS, &exits());
    let mut sink = VecSink::default();
    let mut both = crosscheck(&program, &program);
    assert!(matches!(both.run(u64::MAX, &limits, &cancel, &mut sink), Ok(Status::Exited { code: 4 })));
    let mut alone = VecSink::default();
    hart(&program, no_streams(), None).run(u64::MAX, &limits, &cancel, &mut alone).unwrap();
    assert_eq!((sink.rows, sink.effects), (alone.rows, alone.effects));
}

#[test]
fn a_different_row_is_found_where_it_is() {
    // The difference is in the middle of a buffer, at its end, at the start of the next, and a few rows after that.
    for rounds in [1, 60, 126, 127, 128, 130, 1000] {
        let (jit, interpreter) = (program(rounds, [9, 8], &exits()), program(rounds, WORDS, &exits()));
        let (found, rows) = difference(&jit, &interpreter);
        let step = 3 + 2 * rounds as u64;
        assert_eq!((found.location.step, found.location.pc), (step, CODE + 20), "{rounds}");
        assert_eq!(found.what, ["rd", "mem_before", "mem_after"]);
        assert_eq!(found.interpreter.row, Some(rows[step as usize]));
        assert_eq!((found.jit.row.unwrap().rd, found.interpreter.row.unwrap().rd), (9, 7));
        assert_eq!((found.before[6], found.before[8]), (rounds as u32, 0));
        let from = (step as usize).saturating_sub(8);
        assert_eq!(found.context, rows[from..step as usize]);
    }
}

#[test]
fn different_effects_and_ends_are_found() {
    let ours = program(5, WORDS, &exits());
    // Another word goes to stdout: no row shows it.
    let (found, _) = difference(&program(5, [7, 9], &exits()), &ours);
    assert_eq!((found.location.step, found.what), (18, vec!["effects".to_owned()]));
    assert_ne!(found.jit.effects, found.interpreter.effects);
    assert_ne!(found.jit.stdout, found.interpreter.stdout);

    // One engine continues where the other traps, either way.
    let traps = program(5, WORDS, &[li(17, 93), insn(Op::Ebreak, 0, 0, 0, 0)]);
    let (found, rows) = difference(&traps, &ours);
    assert_eq!((found.location.step, found.what), (20, vec!["end".to_owned()]));
    assert_eq!((found.jit.row, found.interpreter.row), (None, rows.last().copied()));
    assert!(matches!(found.jit.end, Some(Err(Error::Trap(_)))), "{:?}", found.jit.end);
    let (found, _) = difference(&ours, &traps);
    assert_eq!((found.location.step, found.what), (20, vec!["row".to_owned(), "effects".to_owned()]));
    assert!(found.jit.row.is_some() && found.interpreter.row.is_none());
    assert!(matches!(found.interpreter.end, Some(Err(Error::Trap(_)))), "{:?}", found.interpreter.end);

    // Both trap, but for different reasons.
    let (found, _) = difference(&traps, &program(5, WORDS, &[li(17, 93), 0]));
    assert_eq!((found.location.step, found.what), (20, vec!["end".to_owned()]));
}

#[test]
fn different_memory_is_found_at_the_end() {
    let unread = |word| {
        let more = Segment::from_words(DATA + 0x1000, &[1, 2, word], Permissions::RW);
        let code = Segment::from_words(CODE, &exits(), Permissions::RX);
        Program::from_segments(CODE, vec![code, more]).unwrap()
    };
    let (found, rows) = difference(&unread(3), &unread(4));
    assert_eq!((found.location.step, found.what), (rows.len() as u64, vec!["memory".to_owned()]));
    assert_eq!(found.word, Some(Word { address: DATA + 0x1008, jit: 3, interpreter: 4 }));
    assert!(matches!(found.jit.end, Some(Ok(Status::Exited { code: 0 }))));
}

#[test]
fn a_state_that_rows_do_not_show_is_compared_at_a_pause() {
    let (limits, cancel) = (Limits::default(), CancelHandle::default());
    let program = program(500, WORDS, &exits());
    let mut both = crosscheck(&program, &program);
    let paused = both.run(100, &limits, &cancel, &mut NullSink::off());
    assert!(matches!(paused, Ok(Status::Reached)), "{paused:?}");

    // The other engine is one step ahead.
    let (env, own, streams) = no_streams().split();
    let mut ahead = hart(&program, own, None);
    ahead.run(1, &limits, &cancel, &mut NullSink::off()).unwrap();
    let mut both = Crosscheck::new(hart(&program, env, None), ahead, streams);
    let error = both.run(0, &limits, &cancel, &mut NullSink::off()).unwrap_err();
    assert!(error.to_string().contains("in pc, x5;"), "{error}");
}

/// A difference exists when a sink panics on the rows before it: the next run reports it.
#[test]
fn a_sink_that_panics_hides_no_difference() {
    struct Panics;
    impl Sink for Panics {
        fn rows(&mut self, _: u64, _: &[Row], _: &[Effect]) -> Result<(), SinkError> {
            std::panic::resume_unwind(Box::new("on purpose"))
        }
    }
    let (limits, cancel) = (Limits::default(), CancelHandle::default());
    let (jit, interpreter) = (program(5, [9, 8], &exits()), program(5, WORDS, &exits()));
    let mut both = crosscheck(&jit, &interpreter);
    let run = AssertUnwindSafe(|| both.run(u64::MAX, &limits, &cancel, &mut Panics));
    assert!(catch_unwind(run).is_err());
    let error = both.run(u64::MAX, &limits, &cancel, &mut NullSink::off()).unwrap_err();
    assert!(matches!(&error, Error::Difference(found) if found.location.step == 13), "{error}");
    let error = both.run(u64::MAX, &limits, &cancel, &mut NullSink::off()).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
}
