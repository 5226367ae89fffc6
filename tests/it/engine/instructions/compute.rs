//! Tests instructions that compute a register from registers and an immediate.

use tachy::decode::{Instruction, encode};
use tachy::isa::{Format, Line, Op};
use tachy::program::{Permissions, Segment};

use super::{CODE, OPERANDS, Tested, lines, setups, states};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, Outcome, Setup, assert_same};
use crate::common::oracle;
use crate::common::rng::{CORNERS, Rng};

// Registers that do not occur in any shape.
const POINTER: u8 = 28;
const END: u8 = 29;
const READ_BACK: u8 = 27;

/// Registers of an instruction: all different, equal in every way, and x0 in every place.
const SHAPES: [[u8; 3]; 14] = [
    [5, 6, 7],
    [31, 1, 30],
    [1, 31, 2],
    [5, 5, 7],
    [5, 6, 5],
    [5, 6, 6],
    [5, 5, 5],
    [0, 6, 7],
    [5, 0, 7],
    [5, 6, 0],
    [5, 0, 0],
    [0, 0, 7],
    [0, 6, 0],
    [0, 0, 0],
];

/// Returns a line's instructions under test: every shape with every immediate.
fn instructions(line: &Line, rng: &mut Rng) -> Vec<Instruction> {
    let immediates: Vec<u32> = match line.format {
        Format::R | Format::None => vec![0],
        Format::Shift => (0..32).collect(),
        Format::U => CORNERS.iter().map(|corner| corner << 12).chain((0..20).map(|_| rng.word() << 12)).collect(),
        _ => {
            let ends = [0, 1, -1, 2, 2047, 2046, -2048, -2047, 1024, -1024, 31, 255];
            let random = (0..12).map(|_| rng.below(4096) as i32 - 2048);
            ends.into_iter().chain(random).map(|imm| imm as u32).collect()
        }
    };
    let mut all = Vec::new();
    for [rd, rs1, rs2] in SHAPES {
        for &imm in &immediates {
            let rs1 = if line.format.has_rs1() { rs1 } else { 0 };
            let rs2 = if line.format.has_rs2() { rs2 } else { 0 };
            let instruction = Instruction { op: line.op, rd, rs1, rs2, imm };
            if !all.contains(&instruction) {
                all.push(instruction);
            }
        }
    }
    all
}

/// Returns pairs of operands: every corner with every corner, and random ones up to `count`.
fn operands(line: &Line, count: usize, rng: &mut Rng) -> Vec<[u32; 2]> {
    let mut pairs = Vec::new();
    let corners: &[u32] = if line.format.has_rs2() { &CORNERS } else { &[0x1234_5678] };
    if line.format.has_rs1() {
        pairs.extend(CORNERS.iter().flat_map(|&a| corners.iter().map(move |&b| [a, b])));
    }
    let random = count.saturating_sub(pairs.len()).max(20);
    pairs.extend((0..random).map(|_| [rng.word(), rng.word()]));
    pairs
}

/// Returns what the instruction reads if its source registers are loaded with `a` and then `b`.
fn operands_read(instruction: Instruction, [a, b]: [u32; 2]) -> (u32, u32) {
    let format = instruction.op.line().format;
    let value = |register, loaded| match register {
        0 => 0,
        // If both are the same register, the second load counts.
        register if register == instruction.rs2 && format.has_rs2() => b,
        _ => loaded,
    };
    let rs1 = if format.has_rs1() { value(instruction.rs1, a) } else { 0 };
    let rs2 = if format.has_rs2() { value(instruction.rs2, b) } else { 0 };
    (rs1, rs2)
}

/// Checks the rows of one instruction under test against its operands, in order. Also checks that the next step reads
/// the result.
fn check(outcome: &Outcome, instruction: Instruction, pc: u32, pairs: &[[u32; 2]]) {
    let word = encode(instruction);
    let steps = outcome.rows.iter().enumerate().filter(|(_, row)| row.pc == pc);
    let mut count = 0;
    for ((step, row), &pair) in steps.zip(pairs) {
        let (rs1, rs2) = operands_read(instruction, pair);
        let rd = oracle::compute(instruction, pc, rs1, rs2).expect("an instruction of class Compute");
        assert_eq!((row.insn, row.rs1, row.rs2, row.rd), (word, rs1, rs2, rd), "{instruction:?} of {pair:x?}");
        let kept = if instruction.rd == 0 { 0 } else { rd };
        assert_eq!(outcome.rows[step + 1].rs1, kept, "{instruction:?} of {pair:x?}: what is in rd afterwards");
        count += 1;
    }
    assert_eq!(count, pairs.len(), "{instruction:?}: not every pair was computed");
}

/// Operands come from memory, so that they are unknown at translation.
#[test]
fn with_unknown_operands() {
    for line in lines(Tested::Compute) {
        let mut rng = Rng::new(line.op as u64);
        let all = instructions(line, &mut rng);
        let pairs = operands(line, states().div_ceil(all.len()), &mut rng);
        let mut asm = Assembler::new(CODE);
        let mut at = Vec::new();
        for chunk in all.chunks(40) {
            asm.li(POINTER, OPERANDS);
            asm.li(END, OPERANDS + 8 * pairs.len() as u32);
            let top = asm.label_here();
            for &instruction in chunk {
                asm.i(Op::Lw, instruction.rs1, POINTER, 0);
                if line.format.has_rs2() {
                    asm.i(Op::Lw, instruction.rs2, POINTER, 4);
                }
                at.push((instruction, asm.here()));
                asm.word(encode(instruction));
                asm.i(Op::Addi, READ_BACK, instruction.rd, 0);
            }
            asm.i(Op::Addi, POINTER, POINTER, 8);
            asm.branch(Op::Bltu, POINTER, END, top);
        }
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        let words: Vec<u32> = pairs.iter().flatten().copied().collect();
        let segment = Segment::from_words(OPERANDS, &words, Permissions::R);
        let case = Case::code(CODE, &asm.finish().words, vec![segment]);
        let outcome = assert_same(line.mnemonic, &case, &setups());
        let mut reached = 0;
        for (instruction, pc) in at {
            check(&outcome, instruction, pc, &pairs);
            reached += pairs.len();
        }
        assert!(reached >= states(), "{}: {reached}", line.mnemonic);
    }
}

/// Operands are constants in the code, which a compiler may fold.
#[test]
fn with_known_operands() {
    let corners = [0, 1, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1234_5678];
    for line in lines(Tested::Compute) {
        let mut asm = Assembler::new(CODE);
        let mut at = Vec::new();
        for a in corners {
            for b in corners {
                let shape = SHAPES[at.len() % SHAPES.len()];
                let imm = match line.format {
                    Format::U => b & 0xffff_f000,
                    Format::Shift => b & 31,
                    _ => (b << 20) as i32 as u32 >> 20,
                };
                let imm = if line.format == Format::I { (imm << 20) as i32 >> 20 } else { imm as i32 } as u32;
                let [rd, rs1, rs2] = shape;
                let rs1 = if line.format.has_rs1() { rs1 } else { 0 };
                let rs2 = if line.format.has_rs2() { rs2 } else { 0 };
                let imm = if line.format == Format::R { 0 } else { imm };
                let instruction = Instruction { op: line.op, rd, rs1, rs2, imm };
                asm.li(rs1, a);
                if line.format.has_rs2() {
                    asm.li(rs2, b);
                }
                at.push((instruction, asm.here(), [a, b]));
                asm.word(encode(instruction));
                asm.i(Op::Addi, READ_BACK, rd, 0);
            }
        }
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        let case = Case::code(CODE, &asm.finish().words, Vec::new());
        let outcome = assert_same(line.mnemonic, &case, &[Setup::eager()]);
        for (instruction, pc, pair) in at {
            check(&outcome, instruction, pc, &[pair]);
        }
    }
}

/// Combines two shifts of one value. A translator may turn them into a rotation, but only if they are one.
#[test]
fn shifts_that_make_rotations() {
    let mut rng = Rng::new(3);
    let values: Vec<u32> = CORNERS.into_iter().chain((0..200).map(|_| rng.word())).collect();
    for join in [Op::Or, Op::Xor, Op::Add, Op::And] {
        let mut asm = Assembler::new(CODE);
        let mut at = Vec::new();
        let (value, copy, left, right, result) = (5, 6, 7, 8, 9);
        asm.li(POINTER, OPERANDS);
        asm.li(END, OPERANDS + 4 * values.len() as u32);
        let top = asm.label_here();
        for (number, bits) in (1..32).enumerate() {
            // Shift amounts that add up to 32, and some that add up to one more.
            let right_bits = 32 - bits + (number % 4 == 3 && bits > 1) as i32;
            asm.i(Op::Lw, value, POINTER, 0);
            asm.i(Op::Addi, copy, value, 0);
            asm.i(Op::Slli, left, value, bits);
            let mut rotates = right_bits + bits == 32;
            match number % 3 {
                0 => asm.i(Op::Srli, right, value, right_bits),
                // The same value in another register.
                1 => asm.i(Op::Srli, right, copy, right_bits),
                // Another value in the same register.
                _ => {
                    asm.i(Op::Addi, value, value, 1);
                    asm.i(Op::Srli, right, value, right_bits);
                    rotates = false;
                }
            }
            let [a, b] = if number % 2 == 0 { [left, right] } else { [right, left] };
            at.push((asm.here(), rotates.then_some(bits as u32)));
            asm.r(join, result, a, b);
            asm.i(Op::Addi, READ_BACK, result, 0);
        }
        asm.i(Op::Addi, POINTER, POINTER, 4);
        asm.branch(Op::Bltu, POINTER, END, top);
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        let segment = Segment::from_words(OPERANDS, &values, Permissions::R);
        let case = Case::code(CODE, &asm.finish().words, vec![segment]);
        let outcome = assert_same(&format!("shifts joined by {join:?}"), &case, &setups());
        for (pc, bits) in at {
            let rows: Vec<_> = outcome.rows.iter().filter(|row| row.pc == pc).collect();
            assert_eq!(rows.len(), values.len());
            for (row, value) in rows.into_iter().zip(&values) {
                if let (Some(bits), Op::Or) = (bits, join) {
                    assert_eq!(row.rd, value.rotate_left(bits), "{value:#x} by {bits}");
                }
            }
        }
    }
}

/// Adds constants to sums with constants, as addresses do, with sums that wrap around and come back.
#[test]
fn sums_of_sums() {
    let mut asm = Assembler::new(CODE);
    asm.li(5, OPERANDS);
    let mut expected = Vec::new();
    let mut sum = OPERANDS;
    for imm in [2047, -2048, 4, -4, 0, 16, -2048, 2040, -8] {
        asm.i(Op::Addi, 5, 5, imm);
        sum = sum.wrapping_add(imm as u32);
        let offset = OPERANDS.wrapping_sub(sum) as i32;
        expected.push((asm.here(), OPERANDS));
        asm.i(Op::Lbu, 6, 5, offset.clamp(-2048, 2047));
        expected.last_mut().expect("just pushed").1 = sum.wrapping_add(offset.clamp(-2048, 2047) as u32);
    }
    for upper in [0x7fff_f000u32, 0x8000_0000, 0xffff_f000] {
        asm.op(Op::Lui, 7, 0, 0, upper as i32);
        asm.i(Op::Addi, 8, 7, 2047);
        asm.i(Op::Addi, 8, 8, 2047);
        asm.r(Op::Add, 9, 8, 8);
    }
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    let segment = Segment::from_words(OPERANDS - 4096, &vec![0x0102_0304; 2048], Permissions::R);
    let case = Case::code(CODE, &asm.finish().words, vec![segment]);
    let outcome = assert_same("sums of sums", &case, &setups());
    for (pc, address) in expected {
        let row = outcome.rows.iter().find(|row| row.pc == pc).expect("it ran");
        assert_eq!(row.addr, address, "{pc:#x}");
    }
}
