//! Tests small loops, left in every possible way, in any round. Their loop-carried registers are exact wherever they
//! are observed.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, DATA, every_setup, exit};
use crate::common::engines::{Case, assert_same, final_difference, run_untraced};
use crate::common::rng::Rng;
use tachy::Program;
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};

/// Registers that each round changes: its number, a sum, an address.
const ROUND: u8 = 5;
const SUM: u8 = 6;
const LOCATION: u8 = 7;
/// The round in which the loop ends.
const LAST: u8 = 8;
const LOADED: u8 = 9;
/// 1 in the last round, 0 before.
const IS_LAST: u8 = 12;
const TARGET: u8 = 13;

const LAST_ROUND: i32 = 60;
const DATA_BYTES: u32 = 4096;
/// Number of step limits that each loop is tested with.
const LIMITS: u64 = 12;

/// The contents of a loop, by name. The label lies after the loop.
type Way = (&'static str, fn(&mut Assembler, crate::common::assembler::Label));

/// Emits an address that is misaligned only in the last round.
fn misaligned_at_last(asm: &mut Assembler) {
    asm.r(Op::Add, TARGET, LOCATION, IS_LAST);
}

const WAYS: [Way; 9] = [
    ("a branch out", |asm, out| asm.branch(Op::Beq, ROUND, LAST, out)),
    ("a branch to a misaligned address", |asm, _| asm.op(Op::Beq, 0, ROUND, LAST, 6)),
    ("a jump to an address in a register", |asm, out| {
        let on = asm.label();
        asm.branch(Op::Bne, ROUND, LAST, on);
        asm.la(TARGET, out);
        asm.i(Op::Jalr, 0, TARGET, 0);
        asm.place(on);
    }),
    ("a misaligned load", |asm, _| {
        misaligned_at_last(asm);
        asm.i(Op::Lh, LOADED, TARGET, 0);
    }),
    ("a misaligned store behind a load", |asm, _| {
        asm.i(Op::Lw, LOADED, LOCATION, 0);
        misaligned_at_last(asm);
        asm.store(Op::Sw, SUM, 4, TARGET);
    }),
    ("a load from where there is nothing", |asm, out| {
        asm.i(Op::Slli, TARGET, IS_LAST, 28);
        asm.r(Op::Add, TARGET, TARGET, LOCATION);
        asm.store(Op::Sw, ROUND, 0, LOCATION);
        asm.i(Op::Lw, LOADED, TARGET, 0);
        asm.branch(Op::Beq, LOADED, LAST, out);
    }),
    ("a store into the loop", |asm, out| {
        let (on, here) = (asm.label(), asm.here());
        asm.branch(Op::Bne, ROUND, LAST, on);
        asm.li(TARGET, here);
        asm.i(Op::Lw, LOADED, TARGET, 0);
        asm.store(Op::Sw, LOADED, 0, TARGET);
        asm.jal(0, out);
        asm.place(on);
    }),
    ("a breakpoint", |asm, _| {
        let on = asm.label();
        asm.branch(Op::Bne, ROUND, LAST, on);
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        asm.place(on);
    }),
    ("a system call in each round", |asm, out| {
        asm.li(17, 214);
        asm.op(Op::Ecall, 0, 0, 0, 0);
        asm.branch(Op::Beq, ROUND, LAST, out);
    }),
];

/// Builds a loop of a few blocks around this code, followed by code that shows the changed registers.
fn case(inside: Way) -> Case {
    let mut asm = Assembler::new(CODE);
    let out = asm.label();
    asm.li(LOCATION, DATA);
    asm.li(LAST, LAST_ROUND as u32);
    let top = asm.label_here();
    asm.i(Op::Addi, ROUND, ROUND, 1);
    asm.i(Op::Addi, LOCATION, LOCATION, 4);
    asm.i(Op::Slti, IS_LAST, ROUND, LAST_ROUND);
    asm.i(Op::Xori, IS_LAST, IS_LAST, 1);
    inside.1(&mut asm, out);
    let even = asm.label();
    asm.i(Op::Andi, LOADED, ROUND, 1);
    asm.branch(Op::Beq, LOADED, 0, even);
    asm.i(Op::Xori, SUM, SUM, 0x155);
    asm.place(even);
    asm.r(Op::Add, SUM, SUM, ROUND);
    asm.jal(0, top);
    asm.place(out);
    asm.store(Op::Sw, SUM, 0, LOCATION);
    asm.r(Op::Add, ROUND, ROUND, SUM);
    exit(&mut asm);
    let code = Segment::from_words(CODE, &asm.finish().words, Permissions::RWX);
    let data = Segment { memory_bytes: DATA_BYTES, ..Segment::new(DATA, Vec::new(), Permissions::RW) };
    Case::new(Program::from_segments(CODE, vec![code, data]).expect("a test's own program"))
}

/// Compares every engine, with rows and without.
fn assert_same_state(what: &str, case: &Case) -> u64 {
    let setups = every_setup();
    let outcome = assert_same(what, case, &setups);
    let untraced = setups.iter().map(|setup| (setup, run_untraced(case, setup)));
    for (setup, found) in untraced {
        let difference = final_difference(&outcome, &found);
        assert!(difference.is_none(), "{what}, {setup:?}, no rows: {}", difference.unwrap_or_default());
    }
    outcome.rows.len() as u64
}

#[test]
fn every_way_out_of_a_small_loop() {
    for way in WAYS {
        let steps = assert_same_state(way.0, &case(way));
        assert!(steps > 7 * LAST_ROUND as u64, "{}: it ended after {steps} steps", way.0);
    }
}

/// A limit stops the loop before any instruction of any round.
#[test]
fn limits_in_any_round_of_a_small_loop() {
    for (index, way) in (0..).zip(WAYS) {
        let mut rng = Rng::new(index);
        for _ in 0..LIMITS {
            let limit = rng.below(8 * LAST_ROUND as u64);
            let what = format!("{} with a limit of {limit}", way.0);
            assert_same_state(&what, &case(way).limit_steps(limit));
        }
    }
}
