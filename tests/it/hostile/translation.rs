//! Tests programs designed to cost the translator more than they cost themselves, with counted budgets.

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{JitOptions, Limits, MachineKind, Program, Stats};

use super::{CODE, MACHINES, Run, case, exit, run_alike};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Setup, assert_same};

/// The default setup of an executor, but with synchronous translation, so that counters are reproducible.
fn usual() -> Setup {
    Setup::jit(JitOptions::default()).background(false)
}

/// Maximum machine code per instruction. More is a defect: rows and checks take some 110 bytes.
const CODE_BYTES: u64 = 400;

/// Asserts that nothing is translated twice, and that code has the expected size.
fn assert_once(stats: &Stats, instructions: u64) {
    assert!(stats.translated_instructions <= instructions + instructions / 8, "{stats:?}");
    assert!(stats.code_bytes <= CODE_BYTES * stats.translated_instructions + 64 * 1024, "{stats:?}");
    assert!(stats.regions <= stats.translated_instructions, "{stats:?}");
}

/// Asserts the translation budget of a program with this many instructions: each once and as many again, some thousands
/// in addition, and what the steps pay for at thousands of steps each. A block costs as much as four instructions, and
/// a region has at least one.
fn assert_paid(found: &Run, instructions: u64) {
    const BLOCK: u64 = 4;
    let Stats { translated_instructions, regions, .. } = found.stats;
    let at_first = instructions * (1 + BLOCK);
    let last = 256 * (1 + BLOCK);
    let again = at_first + 4_096 + found.steps / 2_048 + last;
    assert!(translated_instructions + BLOCK * regions <= at_first + again, "{:?}", found.stats);
}

/// Puts a body of any length into a loop of `count` rounds, then ends.
fn rounds(count: u32, machine: MachineKind, body: impl FnOnce(&mut Assembler)) -> Program {
    let mut asm = Assembler::new(CODE);
    let (top, end) = (asm.label(), asm.label());
    asm.li(8, count);
    asm.la(9, top);
    asm.place(top);
    body(&mut asm);
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Beq, 8, 0, end);
    asm.op(Op::Jalr, 0, 9, 0, 0);
    asm.place(end);
    exit(&mut asm, machine);
    let segment = Segment::from_words(CODE, &asm.finish().words, Permissions::RX);
    Program::from_segments(CODE, vec![segment]).expect("a test's own program")
}

fn adds(asm: &mut Assembler, instructions: u32) {
    (0..instructions).for_each(|_| asm.i(Op::Addi, 5, 5, 1));
}

/// Emits consecutive blocks of two instructions.
fn tiny_blocks(asm: &mut Assembler, blocks: u32) {
    for _ in 0..blocks {
        asm.i(Op::Addi, 5, 5, 1);
        let next = asm.label();
        asm.jal(0, next);
        asm.place(next);
    }
}

/// Code that runs three times is not worth translating, however much of it there is.
#[test]
fn a_hundred_thousand_tiny_blocks_that_are_cold() {
    for machine in MACHINES {
        let program = rounds(3, machine, |asm| tiny_blocks(asm, 100_000));
        let found = run_alike(&program, machine, &usual(), Limits::default());
        assert_eq!((&found.end[..], found.steps > 600_000), ("Exited { code: 0 }", true));
        assert_eq!(found.stats.translated_instructions, 0, "{:?}", found.stats);
    }
}

/// Even if everything is translated at first sight, each block is translated once.
#[test]
fn tiny_blocks_that_are_hot() {
    let program = rounds(3, MachineKind::Bare, |asm| tiny_blocks(asm, 20_000));
    let found = run_alike(&program, MachineKind::Bare, &Setup::eager(), Limits::default());
    assert_once(&found.stats, 40_010);
    // The same in a memory that holds only part of it: each time that it fills up, the hotness threshold doubles.
    let found = run_alike(&program, MachineKind::Bare, &Setup::eager().code_bytes(1 << 20), Limits::default());
    assert!((1..=16).contains(&found.stats.code_flushes), "{:?}", found.stats);
    assert!(found.stats.translated_instructions <= 4 * 40_010, "{:?}", found.stats);
}

/// An endless block, from the translator's view.
#[test]
fn a_block_of_a_million_instructions() {
    for machine in MACHINES {
        let program = rounds(2, machine, |asm| adds(asm, 1_000_000));
        let found = run_alike(&program, machine, &usual(), Limits::default());
        assert_eq!((&found.end[..], found.steps > 2_000_000), ("Exited { code: 0 }", true));
        assert_eq!(found.stats.translated_instructions, 0, "{:?}", found.stats);
    }
    let program = rounds(300, MachineKind::Bare, |asm| adds(asm, 30_000));
    let found = run_alike(&program, MachineKind::Bare, &usual().paid_by_steps(false), Limits::default());
    assert!(found.stats.translated_instructions > 20_000, "it is hot: {:?}", found.stats);
    assert_once(&found.stats, 30_010);
}

/// More pages with code than the interpreter keeps decoded: it decodes them repeatedly, and nothing worse happens.
#[test]
fn code_in_more_pages_than_are_held() {
    const PAGES: u32 = 13_000;
    let program = rounds(2, MachineKind::Bare, |asm| {
        let first = asm.here().next_multiple_of(1024);
        for page in 0..PAGES {
            let next = asm.label();
            asm.jal(0, next);
            asm.pad_to(first + 1024 * page);
            asm.place(next);
        }
    });
    for setup in [usual(), Setup::eager()] {
        let found = run_alike(&program, MachineKind::Bare, &setup, Limits::default());
        assert_eq!(found.end, "Exited { code: 0 }");
        assert_once(&found.stats, 2 * u64::from(PAGES));
    }
}

/// Builds a loop of so many rounds that jumps to seemingly random places. Each place is `place_instructions` long: the
/// caller's code and a jump back. Both numbers are powers of two.
fn jumps(
    rounds: u32,
    places: u32,
    place_instructions: u32,
    machine: MachineKind,
    mut location: impl FnMut(&mut Assembler, i32),
) -> Case {
    let mut asm = Assembler::new(CODE);
    let (table, top, end) = (asm.label(), asm.label(), asm.label());
    asm.li(8, rounds);
    asm.la(9, table);
    asm.li(7, 1_664_525);
    asm.place(top);
    asm.r(Op::Mul, 6, 6, 7);
    asm.i(Op::Addi, 6, 6, 1013);
    asm.i(Op::Srli, 10, 6, 32 - places.ilog2() as i32);
    asm.i(Op::Slli, 10, 10, 2 + place_instructions.ilog2() as i32);
    asm.r(Op::Add, 10, 10, 9);
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Beq, 8, 0, end);
    asm.op(Op::Jalr, 0, 10, 0, 0);
    asm.place(end);
    exit(&mut asm, machine);
    asm.place(table);
    for number in 0..places as i32 {
        location(&mut asm, number);
        asm.jal(0, top);
    }
    case(machine, asm)
}

/// A jump to one of hundreds of places, each of which becomes a region.
#[test]
fn jumps_to_hundreds_of_places() {
    for machine in MACHINES {
        let case = jumps(40_000, 512, 2, machine, |asm, _| asm.i(Op::Addi, 5, 5, 1));
        let outcome = assert_same("jumps", &case, &super::setups());
        assert!(outcome.rows.len() > 300_000);
    }
}

/// More regions with constant transitions between them than one region can merge: merging has to be paid for first.
#[test]
fn regions_that_never_come_together() {
    const PLACES: u32 = 1 << 12;
    const MERGE_INTERVAL_STEPS: u32 = 2_000;
    for machine in MACHINES {
        let case = jumps(400_000, PLACES, 4, machine, |asm, number| {
            asm.i(Op::Addi, 5, 5, 1);
            asm.i(Op::Xori, 5, 5, number % 2048);
            asm.i(Op::Addi, 5, 5, 3);
        });
        let setup = usual().paid_by_steps(false).threshold(20).merge_interval_steps(MERGE_INTERVAL_STEPS);
        let found = run_alike(&case.program, machine, &setup, Limits::default());
        assert_eq!(found.end, "Exited { code: 0 }");
        assert!(found.stats.regions_merged > 0, "{:?}", found.stats);
        // Once as they get hot, each with the loop that it returns to, and then as much as was paid for.
        let at_first = u64::from(PLACES) * 4 * 2 + 20;
        let earned = found.steps * 16 / u64::from(MERGE_INTERVAL_STEPS) + 4 * 256;
        assert!(found.stats.translated_instructions <= at_first + earned, "{:?}", found.stats);
    }
}

/// A chain of branches that is entered at each branch, directly or by a jump. A naive translation would cover the whole
/// rest of the chain from each of them, over and over.
#[test]
fn chains_that_are_entered_everywhere() {
    const LINKS: u32 = 4_000;
    // A branch reaches a thousand instructions.
    const LINKS_TO_A_WAY_OUT: u32 = 500;
    const TIMES: u32 = 260;
    for (machine, by_jumps) in MACHINES.into_iter().flat_map(|machine| [(machine, false), (machine, true)]) {
        let mut asm = Assembler::new(CODE);
        let [chain, doors, next, visit, out, end] = std::array::from_fn(|_| asm.label());
        // Runs through the whole chain once, so that all of it has run.
        asm.la(9, chain);
        asm.li(7, 1);
        asm.li(8, 1);
        asm.op(Op::Jalr, 0, 9, 0, 0);
        asm.place(next);
        asm.li(7, TIMES);
        asm.place(visit);
        asm.op(Op::Jalr, 0, 9, 0, 0);
        asm.place(out);
        asm.i(Op::Addi, 7, 7, -1);
        asm.branch(Op::Bne, 7, 0, visit);
        // After the first pass, enters at each place in turn, and leaves at once.
        asm.i(Op::Addi, 9, 9, 4);
        asm.i(Op::Addi, 8, 8, -1);
        let go_on = asm.label();
        asm.branch(Op::Bne, 5, 0, go_on);
        asm.la(9, if by_jumps { doors } else { chain });
        asm.li(8, LINKS);
        asm.li(5, 1);
        asm.place(go_on);
        asm.branch(Op::Bne, 8, 0, next);
        asm.jal(0, end);
        asm.place(chain);
        let mut links = Vec::new();
        for _ in 0..LINKS / LINKS_TO_A_WAY_OUT {
            let [way_out, over] = std::array::from_fn(|_| asm.label());
            for _ in 0..LINKS_TO_A_WAY_OUT {
                links.push(asm.label_here());
                asm.branch(Op::Bne, 5, 0, way_out);
            }
            asm.jal(0, over);
            asm.place(way_out);
            asm.jal(0, out);
            asm.place(over);
        }
        asm.jal(0, out);
        asm.place(doors);
        links.into_iter().for_each(|link| asm.jal(0, link));
        asm.place(end);
        exit(&mut asm, machine);
        let program = case(machine, asm).program;
        let found = run_alike(&program, machine, &usual().merge_interval_steps(0), Limits::default());
        assert_eq!((&found.end[..], found.steps > 4 * u64::from(LINKS * TIMES)), ("Exited { code: 0 }", true));
        let instructions = u64::from(LINKS) * if by_jumps { 2 } else { 1 } + 100;
        assert_paid(&found, instructions);
    }
}

/// Consecutive calls, each of which may be returned to, with all registers in use. A region that could be entered
/// anywhere would take several times as long and have as much more code.
#[test]
fn regions_that_could_be_entered_anywhere() {
    const CALLS: u32 = 230;
    for machine in MACHINES {
        let mut asm = Assembler::new(CODE);
        for _ in 0..20 {
            for _ in 0..CALLS {
                let next = asm.label();
                asm.jal(1, next);
                asm.place(next);
            }
            (2..32).for_each(|register| asm.r(Op::Add, 17, 17, register));
        }
        exit(&mut asm, machine);
        let program = case(machine, asm).program;
        let found = run_alike(&program, machine, &Setup::eager(), Limits::default());
        assert_eq!(found.end, "Exited { code: 0 }");
        assert_once(&found.stats, 20 * (u64::from(CALLS) + 30) + 10);
        assert!(found.stats.code_bytes < 200 * found.stats.translated_instructions, "{:?}", found.stats);
    }
}

/// More calls into another region than a region has return entries: each call returns, with or without an entry.
#[test]
fn calls_that_return_to_no_entry() {
    const CALLS: u32 = 150;
    for machine in MACHINES {
        let mut asm = Assembler::new(CODE);
        let [called, over, again] = std::array::from_fn(|_| asm.label());
        asm.li(8, 30);
        asm.jal(1, called);
        asm.jal(0, over);
        asm.place(called);
        asm.i(Op::Addi, 5, 5, 1);
        asm.op(Op::Jalr, 0, 1, 0, 0);
        asm.place(over);
        asm.place(again);
        for _ in 0..CALLS {
            asm.jal(1, called);
        }
        asm.i(Op::Addi, 8, 8, -1);
        asm.branch(Op::Bne, 8, 0, again);
        exit(&mut asm, machine);
        let outcome = assert_same("calls", &case(machine, asm), &super::setups());
        assert_eq!(outcome.state.expect("it started").registers[5], 30 * CALLS + 1);
    }
}

/// Code that is overwritten as soon as it may be translated again: one region that is much longer than the path through
/// it, then many that are as short as possible.
#[test]
fn code_that_is_written_over_now_and_then() {
    const PLACES: u32 = 250;
    const STEPS: u64 = 6_000_000;
    for (machine, one_region, times) in MACHINES.into_iter().flat_map(|machine| {
        [(true, 50), (true, 7_000), (false, 50), (false, 7_000)].map(|(one_region, times)| (machine, one_region, times))
    }) {
        let mut asm = Assembler::new(CODE);
        let [places, next, visit, out, way_out] = std::array::from_fn(|_| asm.label());
        asm.la(9, places);
        asm.la(15, out);
        // Runs all of them once, so that all have run; then one after the other.
        asm.li(12, 4 * PLACES);
        asm.li(14, 1);
        asm.li(7, 1);
        asm.op(Op::Jalr, 0, 9, 0, 0);
        asm.place(next);
        asm.li(7, times);
        asm.place(visit);
        if !one_region {
            asm.i(Op::Addi, 10, 10, 4);
            asm.r(Op::Sltu, 11, 10, 12);
            asm.r(Op::Mul, 10, 10, 11);
        }
        asm.r(Op::Add, 11, 9, 10);
        asm.op(Op::Jalr, 0, 11, 0, 0);
        asm.place(out);
        asm.li(14, 0);
        asm.i(Op::Addi, 7, 7, -1);
        asm.branch(Op::Bne, 7, 0, visit);
        asm.i(Op::Lw, 5, 9, 0);
        asm.store(Op::Sw, 5, 0, 9);
        asm.jal(0, next);
        // On separate pages, so that the writing code is not overwritten.
        asm.pad_to(CODE + 1024);
        asm.place(places);
        for _ in 0..PLACES {
            match one_region {
                true => asm.branch(Op::Beq, 14, 0, way_out),
                false => asm.op(Op::Jalr, 0, 15, 0, 0),
            }
        }
        asm.place(way_out);
        asm.op(Op::Jalr, 0, 15, 0, 0);
        let program = case(machine, asm).program;
        let limits = Limits::none().steps(STEPS);
        let found = run_alike(&program, machine, &usual().paid_by_steps(false).merge_interval_steps(0), limits);
        assert!(found.end.starts_with("step-limit"), "{}", found.end);
        assert!(found.stats.invalidations > 3, "it is written over: {:?}", found.stats);
        assert_paid(&found, u64::from(PLACES) + 40);
    }
}

/// Each round overwrites the next instruction, and one of its own.
#[test]
fn code_that_rewrites_itself_at_each_step() {
    for machine in MACHINES {
        let mut asm = Assembler::new(CODE);
        let (top, patched) = (asm.label(), asm.label());
        asm.li(8, 100_000);
        asm.la(9, patched);
        asm.la(11, top);
        asm.i(Op::Lw, 6, 9, 0);
        asm.li(7, 1 << 20);
        asm.place(top);
        asm.i(Op::Lw, 12, 11, 0);
        asm.store(Op::Sw, 12, 0, 11);
        asm.r(Op::Add, 6, 6, 7);
        asm.store(Op::Sw, 6, 0, 9);
        asm.place(patched);
        asm.i(Op::Addi, 5, 5, 0);
        asm.i(Op::Addi, 8, 8, -1);
        asm.branch(Op::Bne, 8, 0, top);
        exit(&mut asm, machine);
        let case = case(machine, asm);
        let outcome = assert_same("rewrites", &case, &super::setups());
        assert!(outcome.rows.len() > 700_000, "{:?}", outcome.end);
        // Each wait for the next translation is longer than the one before, up to 64 times the threshold.
        for (setup, steps_each) in [(usual(), 1000), (Setup::eager(), 20)] {
            let found = run_alike(&case.program, machine, &setup, Limits::default());
            let translated = found.stats.translated_instructions;
            assert!(translated * steps_each < found.steps, "{machine}, {setup:?}: {:?}", found.stats);
        }
    }
}
