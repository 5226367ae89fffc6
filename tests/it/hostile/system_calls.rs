//! Tests programs that consist of system calls, which the translator finds everywhere and hardly translates. Budgets are
//! counted.

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{JitOptions, Limits, MachineKind, Program, Stats};

use super::{CODE, Run, exit, run_alike};
use crate::common::assembler::Assembler;
use crate::common::engines::Setup;

const MACHINE: MachineKind = MachineKind::Bare;
/// A system call that the machine does not know, and answers at once.
const UNKNOWN: u32 = 1000;

fn ecall(asm: &mut Assembler) {
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

/// Runs code, from its first word, that may overwrite itself. The translation is that of an executor by default, but
/// synchronous.
fn run(asm: Assembler) -> Run {
    let segment = Segment::from_words(CODE, &asm.finish().words, Permissions::RWX);
    let program = Program::from_segments(CODE, vec![segment]).expect("a test's own program");
    run_alike(&program, MACHINE, &Setup::jit(JitOptions::default()).background(false), Limits::default())
}

/// A run of ecalls of any length is walked and paid for like instructions: a region takes at most 256 of them.
#[test]
fn a_long_run_of_system_calls_is_cut_into_regions() {
    let mut asm = Assembler::new(CODE);
    asm.li(17, UNKNOWN);
    asm.li(8, 400);
    let top = asm.label_here();
    asm.la(9, top);
    (0..4_000).for_each(|_| ecall(&mut asm));
    let end = asm.label();
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Beq, 8, 0, end);
    asm.op(Op::Jalr, 0, 9, 0, 0);
    asm.place(end);
    exit(&mut asm, MACHINE);
    let Run { stats, steps, .. } = run(asm);
    assert!(steps > 1_600_000);
    // A region leads to 256 of them at most, and pays for each as for an instruction.
    assert!(stats.regions < 32 && stats.code_bytes < 400 * 256 * stats.regions, "{stats:?}");
}

/// A loop is translated wherever its system call stands.
#[test]
fn a_loop_may_begin_with_a_system_call() {
    for is_first in [true, false] {
        let mut asm = Assembler::new(CODE);
        asm.li(17, UNKNOWN);
        asm.li(8, 50_000);
        let top = asm.label_here();
        if is_first {
            ecall(&mut asm);
        }
        (0..20).for_each(|_| asm.i(Op::Addi, 5, 5, 1));
        if !is_first {
            ecall(&mut asm);
        }
        asm.i(Op::Addi, 8, 8, -1);
        asm.branch(Op::Bne, 8, 0, top);
        exit(&mut asm, MACHINE);
        let Run { stats, steps, .. } = run(asm);
        assert!(stats.interpreted_steps < steps / 20, "is_first {is_first}, {steps} steps: {stats:?}");
    }
}

/// Where ecalls become ordinary instructions, code that led to them is translated again.
#[test]
fn overwritten_system_calls_leave_no_borders() {
    let mut add = Assembler::new(CODE);
    add.i(Op::Addi, 6, 6, 1);
    let [add] = add.finish().words[..] else { panic!("it is one word") };
    let mut asm = Assembler::new(CODE);
    let [top, spare, second, done] = std::array::from_fn(|_| asm.label());
    // The session shares its code no more once it has overwritten some.
    asm.la(20, spare);
    asm.op(Op::Jalr, 1, 20, 0, 0);
    asm.li(21, add);
    asm.store(Op::Sw, 21, 0, 20);
    asm.op(Op::Jalr, 1, 20, 0, 0);
    asm.li(17, UNKNOWN);
    asm.li(8, 2_000);
    asm.la(30, second);
    asm.jal(0, top);
    asm.place(second);
    asm.la(22, top);
    asm.store(Op::Sw, 21, 4, 22);
    asm.store(Op::Sw, 21, 8, 22);
    asm.li(8, 200_000);
    asm.la(30, done);
    asm.jal(0, top);
    asm.place(done);
    exit(&mut asm, MACHINE);
    asm.pad_to(CODE + 1024);
    asm.place(spare);
    asm.i(Op::Addi, 6, 6, 2);
    asm.op(Op::Jalr, 0, 1, 0, 0);
    asm.pad_to(CODE + 2048);
    asm.place(top);
    asm.i(Op::Addi, 5, 5, 3);
    ecall(&mut asm);
    ecall(&mut asm);
    asm.i(Op::Addi, 8, 8, -1);
    asm.branch(Op::Bne, 8, 0, top);
    asm.op(Op::Jalr, 0, 30, 0, 0);
    let Run { stats, steps, .. } = run(asm);
    assert!(stats.interpreted_steps < steps / 10, "{steps} steps: {stats:?}");
    assert!(stats.entries < 5_000, "{stats:?}");
}

/// System calls that cost next to nothing pay for no more translation than other steps.
#[test]
fn cheap_system_calls_earn_little() {
    let units = |ecalls: u32| {
        let mut asm = Assembler::new(CODE);
        let first = asm.label();
        asm.li(17, UNKNOWN);
        asm.li(31, 200);
        let outer = asm.label_here();
        asm.la(20, first);
        asm.li(21, 2_000);
        let inner = asm.label_here();
        asm.op(Op::Jalr, 1, 20, 0, 0);
        asm.i(Op::Addi, 20, 20, 32);
        asm.i(Op::Addi, 21, 21, -1);
        asm.branch(Op::Bne, 21, 0, inner);
        asm.i(Op::Addi, 31, 31, -1);
        asm.branch(Op::Bne, 31, 0, outer);
        exit(&mut asm, MACHINE);
        asm.place(first);
        for _ in 0..2_000 {
            for at in 0..6 {
                if at < 2 * ecalls && at % 2 == 1 { ecall(&mut asm) } else { asm.i(Op::Addi, 5, 5, 1) }
            }
            asm.op(Op::Jalr, 0, 1, 0, 0);
            asm.word(0);
        }
        let Run { stats: Stats { regions, translated_instructions, .. }, .. } = run(asm);
        33_000 * regions + 3_600 * translated_instructions
    };
    let [without, with] = [0, 3].map(units);
    assert!(with < 2 * without, "{with} units of translation with system calls, {without} without");
}
