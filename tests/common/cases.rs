//! Small cases that several tests run under many setups.

use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{JitOptions, Program};

use super::assembler::{Assembler, Label};
use super::engines::{Case, Setup};

pub const CODE: u32 = 0x1_0000;
pub const DATA: u32 = 0x4_0000;

/// The JIT setups that differ most: eager, with engine changes within each loop, tiered on this thread or in the
/// background, and with small pieces that are merged.
pub fn setups() -> [Setup; 4] {
    [
        Setup::eager(),
        Setup::jit(JitOptions::default()).threshold(30).background(false).merge_interval_steps(300),
        Setup::jit(JitOptions::default()).threshold(30),
        Setup::eager().region_instructions(3).buffer_rows(256).merge_interval_steps(200),
    ]
}

/// These setups, and the interpreter.
pub fn every_setup() -> Vec<Setup> {
    [Setup::interpreter()].into_iter().chain(setups()).collect()
}

/// Returns a guest of the repository with arguments.
pub fn guest(name: &str, args: &[&str]) -> Case {
    let elf = std::fs::read(super::guest(name)).expect("the guests are in the repository");
    let args = [name].iter().chain(args).map(|arg| arg.as_bytes().to_vec()).collect();
    Case { args, ..short(Case::new(Program::from_elf(&elf).expect("a good program"))) }
}

/// Marks a case that runs very often and touches little memory.
pub fn short(case: Case) -> Case {
    Case { whole_memory: false, ..case }
}

/// Adds up for ever. `pc` and x5 determine the step.
pub fn endless() -> Case {
    let mut asm = Assembler::new(CODE);
    let top = asm.label_here();
    asm.i(Op::Addi, 5, 5, 1);
    asm.jal(0, top);
    Case::code(CODE, &asm.finish().words, Vec::new())
}

/// Writes ten bytes, then eleven, and so on up to twenty; then exits.
pub fn writer() -> Case {
    let mut asm = Assembler::new(CODE);
    for bytes in 10..21 {
        for (register, value) in [(10, 1 + bytes % 2), (11, DATA), (12, bytes), (17, 64)] {
            asm.li(register, value);
        }
        asm.op(Op::Ecall, 0, 0, 0, 0);
    }
    exit(&mut asm);
    short(Case::code(CODE, &asm.finish().words, vec![Segment::new(DATA, vec![b'x'; 64], Permissions::RW)]))
}

/// Ends a program with the value of a0.
pub fn exit(asm: &mut Assembler) {
    asm.i(Op::Addi, 17, 0, 93);
    asm.op(Op::Ecall, 0, 0, 0, 0);
}

/// Loads a word from every second page of the stack, downwards, and stores into every fourth.
pub fn toucher(pages: u32) -> Case {
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
    short(Case::code(CODE, &asm.finish().words, Vec::new()))
}

/// Functions of seven instructions that are called in turn.
pub fn flat(functions: u32, rounds: u32) -> Case {
    in_turn(functions, 32, rounds, |asm, _| {
        for _ in 0..functions {
            for _ in 0..6 {
                asm.i(Op::Addi, 5, 5, 1);
            }
            asm.op(Op::Jalr, 0, 1, 0, 0);
            asm.word(0);
        }
    })
}

/// A chain of branches that is entered at each of its places in turn.
pub fn chain(places: u32, rounds: u32) -> Case {
    in_turn(places, 8, rounds, |asm, back| {
        for _ in 0..places {
            asm.i(Op::Addi, 6, 6, -1);
            asm.branch(Op::Beq, 6, 0, back);
        }
        asm.jal(0, back);
    })
}

/// Calls each of `places`, which are `bytes` apart, one after the other, for so many rounds. x6 is 1 at each call.
/// `callees` emits them, and receives the label behind the call.
fn in_turn(places: u32, bytes: i32, rounds: u32, callees: impl Fn(&mut Assembler, Label)) -> Case {
    let mut asm = Assembler::new(CODE);
    let (first, back) = (asm.label(), asm.label());
    asm.li(31, rounds);
    let outer = asm.label_here();
    asm.la(20, first);
    asm.li(21, places);
    let inner = asm.label_here();
    asm.li(6, 1);
    asm.op(Op::Jalr, 1, 20, 0, 0);
    asm.place(back);
    asm.i(Op::Addi, 20, 20, bytes);
    asm.i(Op::Addi, 21, 21, -1);
    asm.branch(Op::Bne, 21, 0, inner);
    asm.i(Op::Addi, 31, 31, -1);
    asm.branch(Op::Bne, 31, 0, outer);
    asm.li(10, 0);
    exit(&mut asm);
    asm.place(first);
    callees(&mut asm, back);
    Case::code(CODE, &asm.finish().words, Vec::new())
}
