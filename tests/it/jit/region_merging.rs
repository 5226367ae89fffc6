//! Tests region merging: regions with many transitions between them are merged, which means fewer transfers and the
//! same rows. Translation is synchronous, so the events are reproducible.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, endless, every_setup, exit};
use crate::common::engines::{Case, Setup, assert_same};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, NullSink, Program, Stats};

/// Counts rounds, down to 0.
const ROUNDS: u8 = 5;
const SUM: u8 = 6;
const BIT: u8 = 7;
const TARGET: u8 = 28;
const LINK: u8 = 1;

const ROUND_COUNT: i32 = 40_000;
/// Value of the counter at which the second part of a loop starts to run.
const SECOND_ROUND: i32 = 38_000;
/// Value of the counter at which code changes.
const THIRD_ROUND: i32 = 10_000;

fn case(asm: Assembler, permissions: Permissions) -> Case {
    let segment = Segment::from_words(CODE, &asm.finish().words, permissions);
    Case::new(Program::from_segments(CODE, vec![segment]).expect("a test's own program"))
}

/// Returns a setup in which regions begin at hot code and are merged at an interval of `steps` steps.
fn merging(steps: u32) -> Setup {
    Setup::eager().threshold(100).merge_interval_steps(steps)
}

/// Runs a session to its end and returns its counters.
fn run(case: &Case, setup: &Setup) -> Stats {
    setup.executor(case).run(Env::new()).expect("it ends").stats()
}

/// Runs the case under every setup, and compares the number of region transitions with and without merging.
fn assert_fewer_transfers(what: &str, case: &Case) {
    let setups: Vec<_> = every_setup().into_iter().chain([merging(0), merging(500), merging(5_000)]).collect();
    assert_same(what, case, &setups);
    let (never, soon) = (run(case, &merging(0)), run(case, &merging(5_000)));
    assert_eq!(never.regions_merged, 0, "{what}: {never:?}");
    assert!(never.transfers > ROUND_COUNT as u64, "{what}: {never:?}");
    assert!(soon.regions_merged > 0 && soon.transfers < never.transfers / 4, "{what}: {soon:?}, without {never:?}");
}

/// Begins a loop that does not jump to the returned label at first.
fn loop_with_late_part(asm: &mut Assembler) -> [crate::common::assembler::Label; 2] {
    let (late, back) = (asm.label(), asm.label());
    asm.li(ROUNDS, ROUND_COUNT as u32);
    asm.li(8, SECOND_ROUND as u32);
    asm.li(9, THIRD_ROUND as u32);
    let top = asm.label_here();
    asm.i(Op::Addi, SUM, SUM, 1);
    asm.branch(Op::Blt, ROUNDS, 8, late);
    asm.place(back);
    asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
    asm.branch(Op::Bne, ROUNDS, 0, top);
    exit(asm);
    [late, back]
}

/// The late part of a loop is a region of its own, which each round enters and leaves until both are merged.
#[test]
fn a_loop_and_its_late_part() {
    let mut asm = Assembler::new(CODE);
    let [late, back] = loop_with_late_part(&mut asm);
    asm.place(late);
    for _ in 0..3 {
        asm.i(Op::Xori, SUM, SUM, 5);
    }
    asm.jal(0, back);
    assert_fewer_transfers("a late part", &case(asm, Permissions::RX));
}

/// The late part of the loop is overwritten, long after it was merged into a region with both parts.
#[test]
fn what_has_grown_together_is_written_over() {
    let mut asm = Assembler::new(CODE);
    let [late, back] = loop_with_late_part(&mut asm);
    let (rewritten, go_on) = (asm.label(), asm.label());
    asm.place(late);
    asm.i(Op::Xori, SUM, SUM, 5);
    asm.branch(Op::Beq, ROUNDS, 9, rewritten);
    asm.place(go_on);
    let target = asm.here();
    asm.i(Op::Addi, SUM, SUM, 1);
    asm.jal(0, back);
    asm.place(rewritten);
    asm.li(TARGET, target);
    // addi SUM, SUM, 2
    asm.li(BIT, 2 << 20 | (SUM as u32) << 15 | (SUM as u32) << 7 | 0x13);
    asm.store(Op::Sw, BIT, 0, TARGET);
    asm.jal(0, go_on);
    assert_fewer_transfers("written over", &case(asm, Permissions::RWX));
}

/// Functions that are called in turn through a register. One of them comes later, when the jump has long been native.
#[test]
fn functions_that_are_called_by_turns() {
    let mut asm = Assembler::new(CODE);
    let functions = [asm.label(), asm.label()];
    asm.li(ROUNDS, ROUND_COUNT as u32);
    asm.li(8, SECOND_ROUND as u32);
    let top = asm.label_here();
    asm.op(Op::Slt, TARGET, ROUNDS, 8, 0);
    asm.op(Op::And, BIT, ROUNDS, TARGET, 0);
    asm.i(Op::Slli, BIT, BIT, 4);
    let here = asm.here();
    asm.op(Op::Auipc, TARGET, 0, 0, 0);
    asm.op(Op::Add, TARGET, TARGET, BIT, 0);
    // From the `auipc` to the first function.
    let functions_at = here + 4 * 7;
    asm.i(Op::Jalr, LINK, TARGET, (functions_at - here) as i32);
    asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
    asm.branch(Op::Bne, ROUNDS, 0, top);
    let end = asm.label();
    asm.jal(0, end);
    asm.i(Op::Addi, 0, 0, 0);
    assert_eq!(asm.here(), functions_at);
    for (function, amount) in functions.into_iter().zip([1, 7]) {
        asm.place(function);
        asm.i(Op::Addi, SUM, SUM, amount);
        asm.i(Op::Xori, SUM, SUM, amount);
        asm.i(Op::Slli, BIT, SUM, 1);
        asm.i(Op::Jalr, 0, LINK, 0);
    }
    asm.place(end);
    exit(&mut asm);
    assert_fewer_transfers("called by turns", &case(asm, Permissions::RX));
}

/// Later sessions of the same executor run the merged region from the start, and merge nothing more.
#[test]
fn later_sessions_find_it_grown() {
    let mut asm = Assembler::new(CODE);
    let [late, back] = loop_with_late_part(&mut asm);
    asm.place(late);
    asm.i(Op::Xori, SUM, SUM, 5);
    asm.jal(0, back);
    let executor = merging(1_000).executor(&case(asm, Permissions::RX));
    let first = executor.run(Env::new()).expect("it ends").stats();
    let second = executor.run(Env::new()).expect("it ends").stats();
    assert!(first.regions_merged > 0, "{first:?}");
    assert_eq!(second.regions, 0, "{second:?}");
    assert!(second.transfers < 100, "{second:?}");
}

/// A transition that never becomes frequent is left alone, however long the program runs.
#[test]
fn rare_transfers_change_nothing() {
    let mut asm = Assembler::new(CODE);
    let function = asm.label();
    asm.li(ROUNDS, 2_000);
    let top = asm.label_here();
    asm.li(BIT, 200);
    let inner = asm.label_here();
    asm.i(Op::Addi, BIT, BIT, -1);
    asm.branch(Op::Bne, BIT, 0, inner);
    asm.jal(LINK, function);
    asm.i(Op::Addi, ROUNDS, ROUNDS, -1);
    asm.branch(Op::Bne, ROUNDS, 0, top);
    exit(&mut asm);
    asm.place(function);
    asm.i(Op::Addi, SUM, SUM, 1);
    asm.i(Op::Jalr, 0, LINK, 0);
    let stats = run(&case(asm, Permissions::RX), &merging(1_000));
    assert_eq!(stats.regions_merged, 0, "{stats:?}");
}

/// Each check for merging costs native code an assist, so the session limits the checks whatever interval was set.
#[test]
fn looks_are_not_too_frequent() {
    for steps in [1, 2, 300] {
        let mut session = merging(steps).executor(&endless()).start(Env::new()).expect("it starts");
        session.run_to(1_000_000, &mut NullSink::off()).expect("it has no end");
        let stats = session.stats();
        assert!(stats.interpreted_steps < 1_000 && stats.refill_assists <= 1_000, "{steps}: {stats:?}");
    }
}
