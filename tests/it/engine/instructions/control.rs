//! Tests branches and jumps: taken and not taken, to both ends of their reach, to misaligned addresses and holes, and
//! around the end of the address space.

use tachy::decode::{Instruction, encode};
use tachy::isa::{Class, Line, Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::{Cause, Program};

use super::{CODE, OPERANDS, Tested, assert_trap, lines, setups, states};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, End, Outcome, Setup, assert_same};
use crate::common::oracle;
use crate::common::rng::{CORNERS, Rng};

const POINTER: u8 = 28;
const END: u8 = 29;

fn branches() -> impl Iterator<Item = &'static Line> {
    lines(Tested::Control).filter(|line| line.class == Class::Branch)
}

fn branch(op: Op, rs1: u8, rs2: u8, distance: i32) -> u32 {
    encode(Instruction { op, rd: 0, rs1, rs2, imm: distance as u32 })
}

fn jal(rd: u8, distance: i32) -> u32 {
    encode(Instruction { op: Op::Jal, rd, rs1: 0, rs2: 0, imm: distance as u32 })
}

fn jalr(rd: u8, rs1: u8, imm: i32) -> u32 {
    encode(Instruction { op: Op::Jalr, rd, rs1, rs2: 0, imm: imm as u32 })
}

/// Every class of control flow has its tests below.
#[test]
fn every_line_is_tested() {
    for line in lines(Tested::Control) {
        match (line.class, line.op) {
            (Class::Branch, _) | (Class::Jump, Op::Jal) | (Class::JumpIndirect, Op::Jalr) => {}
            _ => panic!("{} goes somewhere and has no test", line.mnemonic),
        }
    }
}

/// Builds a loop over pairs of operands around one branch over `distance`, from the middle of a page of room on each
/// side.
fn branch_program(op: Op, [rs1, rs2]: [u8; 2], distance: i32, pairs: &[[u32; 2]]) -> (Case, u32) {
    let at = CODE + 0x1800;
    let mut asm = Assembler::new(CODE);
    let (top, next, over) = (asm.label(), asm.label(), asm.label());
    // The target lies before or after the loop. The code in between never executes.
    let far = |asm: &mut Assembler| {
        asm.pad_to(at.wrapping_add(distance as u32));
        asm.i(Op::Addi, 9, 9, 1);
        asm.jal(0, next);
    };
    asm.jal(0, over);
    if distance < 0 {
        far(&mut asm);
    }
    asm.pad_to(at - 24);
    asm.place(over);
    asm.li(POINTER, OPERANDS);
    asm.li(END, OPERANDS + 8 * pairs.len() as u32);
    asm.jal(0, top);
    asm.pad_to(at - 8);
    asm.place(top);
    asm.i(Op::Lw, rs1, POINTER, 0);
    asm.i(Op::Lw, rs2, POINTER, 4);
    asm.word(branch(op, rs1, rs2, distance));
    asm.place(next);
    asm.i(Op::Addi, POINTER, POINTER, 8);
    asm.branch(Op::Bltu, POINTER, END, top);
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    if distance > 0 {
        far(&mut asm);
    }
    let words: Vec<u32> = pairs.iter().flatten().copied().collect();
    let operands = Segment::from_words(OPERANDS, &words, Permissions::R);
    (Case::code(CODE, &asm.finish().words, vec![operands]), at)
}

const BRANCH_SHAPES: [[u8; 2]; 6] = [[5, 6], [31, 1], [5, 5], [0, 6], [5, 0], [0, 0]];

#[test]
fn branches_go_both_ways() {
    for line in branches() {
        let mut rng = Rng::new(line.op as u64);
        let mut pairs: Vec<[u32; 2]> = CORNERS.iter().flat_map(|&a| CORNERS.map(|b| [a, b])).collect();
        let random = states().div_ceil(BRANCH_SHAPES.len()).saturating_sub(pairs.len());
        // Random operands are equal once in four billion cases, so some are made equal.
        pairs.extend((0..random).map(|_| {
            let [a, b] = [rng.word(), rng.word()];
            if rng.one_in(8) { [a, a] } else { [a, b] }
        }));
        for (number, shape) in BRANCH_SHAPES.into_iter().enumerate() {
            let distance = [4092, -4096, 16, -64, 2048, -2048][number];
            let (case, at) = branch_program(line.op, shape, distance, &pairs);
            let what = format!("{} by {distance} of x{} and x{}", line.mnemonic, shape[0], shape[1]);
            let outcome = assert_same(&what, &case, &setups());
            let steps = outcome.rows.iter().enumerate().filter(|(_, row)| row.pc == at);
            let mut count = 0;
            for ((step, _), &[a, b]) in steps.zip(&pairs) {
                let value = |register, loaded| match register {
                    0 => 0,
                    register if register == shape[1] => b,
                    _ => loaded,
                };
                let taken = oracle::taken(line.op, value(shape[0], a), value(shape[1], b)).expect("a branch");
                let target = if taken { at.wrapping_add(distance as u32) } else { at + 4 };
                assert_eq!(outcome.rows[step + 1].pc, target, "{what}: {a:#x}, {b:#x}");
                count += 1;
            }
            assert_eq!(count, pairs.len(), "{what}");
        }
    }
}

/// A branch to a misaligned address traps at the branch if it is taken, and does nothing if it is not.
#[test]
fn branches_to_misaligned_places() {
    for line in branches() {
        let taken = |[a, b]: [u32; 2]| oracle::taken(line.op, a, b).expect("a branch");
        let pairs = [[1, 1], [1, 2], [2, 1], [0xffff_ffff, 1]];
        let not_taken: Vec<[u32; 2]> = pairs.into_iter().filter(|&pair| !taken(pair)).collect();
        let then_taken = pairs.into_iter().find(|&pair| taken(pair)).expect("each branch is taken for one of these");
        for distance in [2, -2, 6, 4094, -4094] {
            let mut operands = not_taken.repeat(30);
            operands.push(then_taken);
            let mut asm = Assembler::new(CODE);
            asm.word(jal(0, 0x1000));
            asm.pad_to(CODE + 0x1000);
            asm.li(POINTER, OPERANDS);
            let top = asm.label_here();
            asm.i(Op::Lw, 5, POINTER, 0);
            asm.i(Op::Lw, 6, POINTER, 4);
            let at = asm.here();
            asm.word(branch(line.op, 5, 6, distance));
            asm.i(Op::Addi, POINTER, POINTER, 8);
            asm.jal(0, top);
            let words: Vec<u32> = operands.iter().flatten().copied().collect();
            let segment = Segment::from_words(OPERANDS, &words, Permissions::R);
            let case = Case::code(CODE, &asm.finish().words, vec![segment]);
            let what = format!("{} by {distance}", line.mnemonic);
            let target = at.wrapping_add(distance as u32);
            let outcome = assert_trap(&what, &case, Cause::InstructionMisaligned, target);
            let passed = outcome.rows.iter().filter(|row| row.pc == at).count();
            assert_eq!(passed, operands.len() - 1, "{what}: each but the last");
        }
    }
}

/// Jumps and branches to themselves run until the limit.
#[test]
fn loops_of_one_instruction() {
    for word in [jal(0, 0), jal(5, 0), branch(Op::Beq, 0, 0, 0), branch(Op::Bgeu, 5, 5, 0)] {
        let case = Case::code(CODE, &[word], Vec::new()).limit_steps(3000);
        let outcome = assert_same("a jump to itself", &case, &setups());
        assert!(matches!(outcome.end, End::Failed { kind: "step-limit", .. }), "{:?}", outcome.end);
        assert_eq!(outcome.rows.len(), 3000);
    }
    let code = [encode(Instruction { op: Op::Auipc, rd: 5, rs1: 0, rs2: 0, imm: 0 }), jalr(6, 5, 4)];
    let outcome = assert_same("jalr to itself", &Case::code(CODE, &code, Vec::new()).limit_steps(3000), &setups());
    assert_eq!(outcome.rows.len(), 3000);
}

/// Runs code at one address that jumps to code at another, which ends at once. Checks that the jump arrived.
fn assert_jump(what: &str, from: u32, code: &[u32], to: u32) -> Outcome {
    let ebreak = encode(Instruction { op: Op::Ebreak, rd: 0, rs1: 0, rs2: 0, imm: 0 });
    let segments =
        vec![Segment::from_words(from, code, Permissions::RX), Segment::from_words(to, &[ebreak], Permissions::RX)];
    let case = Case::new(Program::from_segments(from, segments).expect("a test's own program"));
    let outcome = assert_same(what, &case, &setups());
    assert_eq!(outcome.rows.len(), code.len(), "{what}");
    assert_eq!(outcome.state.as_ref().map(|state| state.pc), Some(to), "{what}");
    outcome
}

#[test]
fn jal_reaches_both_ends() {
    for rd in [0, 1, 5, 31] {
        for distance in [4, 8, -4, -2048, 2048, 0xf_fffc, -0x10_0000] {
            let from = 0x20_0400;
            let what = format!("jal x{rd} by {distance}");
            let outcome = assert_jump(&what, from, &[jal(rd, distance)], from.wrapping_add(distance as u32));
            assert_eq!(outcome.rows[0].rd, from + 4, "{what}");
            let kept = outcome.state.as_ref().expect("it ran").registers[rd as usize];
            assert_eq!(kept, if rd == 0 { 0 } else { from + 4 }, "{what}");
        }
    }
}

#[test]
fn jalr_adds_and_drops_the_lowest_bit() {
    let target = 0x30_0800u32;
    for imm in [0, 1, -1, 4, 2047, -2048, 2046] {
        for odd in [0, 1] {
            for [rd, rs1] in [[1, 5], [0, 5], [5, 5], [31, 1]] {
                let base = (target + odd).wrapping_sub(imm as u32);
                let mut asm = Assembler::new(CODE);
                asm.li(rs1, base);
                asm.word(jalr(rd, rs1, imm));
                let what = format!("jalr x{rd}, {imm}(x{rs1}), odd {odd}");
                let code = asm.finish().words;
                let outcome = assert_jump(&what, CODE, &code, target);
                let row = outcome.rows.last().expect("the jump");
                assert_eq!((row.rs1, row.rd), (base, row.pc + 4), "{what}");
            }
        }
    }
    // With x0 as the base: the first and last pages of the address space.
    for imm in [0, 4, 2044, -4, -2048, 1, 2045] {
        assert_jump("jalr from x0", CODE, &[jalr(7, 0, imm)], imm as u32 & !1);
    }
}

/// Calls over any distance: the code determines the address, and various instructions may stand between its parts.
#[test]
fn jalr_behind_its_upper_part() {
    let from = 0x20_0400u32;
    for upper in [Op::Lui, Op::Auipc] {
        for imm in [0, 1, 4, -4, -2048, -2047, 2045] {
            for [rd, rs1] in [[1, 1], [1, 5], [0, 6], [31, 31], [5, 1]] {
                for between in [None, Some(Op::Addi), Some(Op::Xori), Some(Op::Fence)] {
                    let high = 0x30_1000u32;
                    let mut asm = Assembler::new(from);
                    asm.li(rs1, 0x7777);
                    let base = if upper == Op::Auipc { asm.here().wrapping_add(high) } else { high };
                    asm.op(upper, rs1, 0, 0, high as i32);
                    // None of these changes the register, except the first, which adds zero to it.
                    match between {
                        Some(Op::Addi) => asm.i(Op::Addi, rs1, rs1, 0),
                        Some(Op::Xori) => asm.i(Op::Xori, 7, rs1, 1),
                        Some(op) => asm.op(op, 0, 0, 0, 0),
                        None => {}
                    }
                    asm.word(jalr(rd, rs1, imm));
                    let what = format!("{upper:?}, {between:?}, jalr x{rd}, {imm}(x{rs1})");
                    let code = asm.finish().words;
                    let outcome = assert_jump(&what, from, &code, base.wrapping_add(imm as u32) & !1);
                    let row = outcome.rows.last().expect("the jump");
                    assert_eq!((row.rs1, row.rd), (base, row.pc + 4), "{what}");
                    let kept = outcome.state.as_ref().expect("it ran").registers[rd as usize];
                    assert_eq!(kept, if rd == 0 { 0 } else { row.pc + 4 }, "{what}");
                }
                let code = [
                    encode(Instruction { op: upper, rd: rs1, rs1: 0, rs2: 0, imm: 0x1000 }),
                    jalr(rd, rs1, imm & !3 | 2),
                ];
                let base = if upper == Op::Auipc { from + 0x1000 } else { 0x1000 };
                let target = base.wrapping_add((imm & !3 | 2) as u32);
                let what = format!("{upper:?}, jalr x{rd} to {target:#x}");
                let case = Case::code(from, &code, Vec::new());
                let outcome = assert_trap(&what, &case, Cause::InstructionMisaligned, target);
                assert_eq!(outcome.rows.len(), 1, "{what}");
            }
        }
    }
}

/// The jump alone, reached from elsewhere with another address in its register, goes to that address.
#[test]
fn jalr_without_its_upper_part() {
    for upper in [Op::Lui, Op::Auipc] {
        let mut asm = Assembler::new(CODE);
        let [other, top, jump, done] = [(); 4].map(|()| asm.label());
        let count = 9;
        asm.li(count, 100);
        asm.place(top);
        asm.i(Op::Addi, count, count, -1);
        asm.branch(Op::Beq, count, 0, done);
        asm.i(Op::Andi, 6, count, 1);
        asm.la(5, other);
        asm.branch(Op::Bne, 6, 0, jump);
        let (imm, target) = match upper {
            Op::Auipc => (0x1000, asm.here() + 0x1000),
            _ => (CODE + 0x1000, CODE + 0x1000),
        };
        asm.op(upper, 5, 0, 0, imm as i32);
        asm.place(jump);
        asm.word(jalr(0, 5, 0));
        asm.place(other);
        asm.i(Op::Addi, 7, 7, 1);
        asm.jal(0, top);
        asm.place(done);
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        asm.pad_to(target);
        asm.i(Op::Addi, 8, 8, 1);
        asm.jal(0, top);
        let words = asm.finish().words;
        let case = Case::code(CODE, &words, Vec::new());
        let outcome = assert_same(&format!("jalr behind {upper:?}, or not"), &case, &setups());
        let registers = outcome.state.expect("it ran").registers;
        assert_eq!((registers[7], registers[8]), (50, 49), "{upper:?}");
    }
}

/// Builds a loop around `body` that loads words from a table into each of `registers` in turn.
fn loop_over(words: &[u32], registers: &[u8], body: impl FnOnce(&mut Assembler)) -> Case {
    let mut asm = Assembler::new(CODE);
    asm.li(POINTER, OPERANDS);
    asm.li(END, OPERANDS + 4 * words.len() as u32);
    let top = asm.label_here();
    for (&register, offset) in registers.iter().zip((0..).step_by(4)) {
        asm.i(Op::Lw, register, POINTER, offset);
    }
    body(&mut asm);
    asm.i(Op::Addi, POINTER, POINTER, 4 * registers.len() as i32);
    asm.branch(Op::Bltu, POINTER, END, top);
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    let table = Segment::from_words(OPERANDS, words, Permissions::R);
    Case::code(CODE, &asm.finish().words, vec![table])
}

/// Counts the rows of `op`. The oracle has judged each of them.
fn count_of(outcome: &Outcome, op: Op) -> usize {
    outcome.rows.iter().filter(|row| op.line().matches(row.insn, Variant::Standard)).count()
}

/// Jumps to anywhere in a page of targets, each of which continues after the jump.
#[test]
fn jalr_in_many_states() {
    let pads = CODE + 0x4000;
    let (pad_count, back) = (1024, 9);
    let mut rng = Rng::new(1);
    let targets: Vec<u32> =
        (0..states() / 24 + 1).map(|_| pads + 4 * rng.between(0, pad_count) + rng.between(0, 2)).collect();
    let mut case = loop_over(&targets, &[8], |asm| {
        for imm in [0, -2048, 2047, 1, -1, 2046] {
            for [rd, rs1] in [[1, 5], [0, 31], [5, 5], [31, 1]] {
                let behind = asm.label();
                asm.la(back, behind);
                asm.li(6, 0u32.wrapping_sub(imm as u32));
                asm.r(Op::Add, rs1, 8, 6);
                asm.word(jalr(rd, rs1, imm));
                asm.place(behind);
            }
        }
    });
    let landing = Segment::from_words(pads, &vec![jalr(0, back, 0); pad_count as usize], Permissions::RX);
    let segments = case.program.segments().iter().cloned().chain([landing]).collect();
    case.program = Program::from_segments(CODE, segments).expect("a test's own program");
    let outcome = assert_same("jalr", &case, &setups());
    assert!(count_of(&outcome, Op::Jalr) >= 2 * states());
}

/// Jumps over one word, and back over two, whatever the registers hold.
#[test]
fn jal_in_many_states() {
    let mut rng = Rng::new(2);
    let words: Vec<u32> = (0..states().div_ceil(32) * 4).map(|_| rng.word()).collect();
    let case = loop_over(&words, &[1, 5, 6, 31], |asm| {
        for rd in [0, 1, 5, 6, 7, 31, 30, 10, 11, 12, 13] {
            asm.word(jal(rd, 12));
            asm.word(0);
            asm.word(jal(rd, 12));
            asm.word(jal(rd, -4));
            asm.word(0);
        }
    });
    let outcome = assert_same("jal", &case, &setups());
    assert!(count_of(&outcome, Op::Jal) >= states());
}

/// A jump to a misaligned address traps at the jump, and leaves rd unchanged.
#[test]
fn jumps_to_misaligned_places() {
    for rd in [0, 5, 6] {
        for distance in [2, 6, -2, 0xf_fffe, -0xf_fffe] {
            let code = [encode(Instruction { op: Op::Addi, rd: 6, rs1: 0, rs2: 0, imm: 77 }), jal(rd, distance)];
            let from = 0x20_0000;
            let what = format!("jal x{rd} by {distance}");
            let case = Case::code(from, &code, Vec::new());
            let target = (from + 4).wrapping_add(distance as u32);
            let outcome = assert_trap(&what, &case, Cause::InstructionMisaligned, target);
            assert_eq!(outcome.state.expect("it ran").registers[6], 77, "{what}");
        }
        for low in [2, 3] {
            let mut asm = Assembler::new(CODE);
            asm.li(5, CODE + low - 40);
            asm.word(jalr(rd, 5, 40));
            let case = Case::code(CODE, &asm.finish().words, Vec::new());
            let what = format!("jalr x{rd} to {low} above");
            let outcome = assert_trap(&what, &case, Cause::InstructionMisaligned, CODE + 2);
            assert_eq!(outcome.state.expect("it ran").registers[5], CODE + low - 40, "{what}");
        }
    }
}

/// A jump to memory that is not executable succeeds; the next fetch traps.
#[test]
fn jumps_to_holes() {
    let data = 0x5_0000;
    for target in [0x8000_0000, data, 0xefff_fffc, 0xffff_fffc, 0, CODE + 1024] {
        let mut asm = Assembler::new(CODE);
        asm.li(5, target);
        asm.word(jalr(1, 5, 0));
        let steps = (asm.here() - CODE) / 4;
        let segment = Segment::from_words(data, &[0x13; 4], Permissions::RW);
        let case = Case::code(CODE, &asm.finish().words, vec![segment]);
        let what = format!("jalr to {target:#x}");
        let outcome = assert_trap(&what, &case, Cause::FetchFault, target);
        assert_eq!(outcome.rows.len() as u32, steps, "{what}");
        assert_eq!(outcome.state.expect("it ran").registers[1], CODE + 4 * steps, "{what}: the jump itself is done");
    }
    let case = Case::code(CODE, &[jal(1, 0x1000)], Vec::new());
    assert_trap("jal to a hole", &case, Cause::FetchFault, CODE + 0x1000);
    let case = Case::code(CODE, &[branch(Op::Beq, 0, 0, -0x1000)], Vec::new());
    assert_trap("a branch to a hole", &case, Cause::FetchFault, CODE - 0x1000);
    // Runs off the end of a page full of code.
    let case = Case::code(CODE, &[0x13; 256], Vec::new());
    assert_trap("running off the code", &case, Cause::FetchFault, CODE + 1024);
    // Runs off the end of code in the middle of a page: zeros are an illegal instruction.
    let case = Case::code(CODE, &[0x13; 100], Vec::new());
    let outcome = assert_same("running into zeros", &case, &setups());
    assert!(matches!(&outcome.end, End::Failed { text, .. } if text.contains("word 0x00000000")), "{:?}", outcome.end);
}

/// The instruction after the last one of the address space is the first: by sequence, by branch and by jump.
#[test]
fn the_address_space_goes_around() {
    let nop = 0x13;
    let ebreak = 0x0010_0073;
    for last in [nop, branch(Op::Beq, 0, 0, 8), jal(1, 8), jal(0, 0x10), branch(Op::Bne, 0, 0, 8)] {
        let bottom = [ebreak, ebreak, jal(0, -0xc), ebreak, ebreak];
        let segments = vec![
            Segment::from_words(0xffff_fff0, &[nop, nop, nop, last], Permissions::RX),
            Segment::from_words(0, &bottom, Permissions::RX),
        ];
        let case = Case::new(Program::from_segments(0xffff_fff0, segments).expect("a test's own program"));
        let outcome = assert_same("around the end", &case, &[Setup::eager(), Setup::eager().region_instructions(1)]);
        assert!(outcome.state.expect("it ran").pc < 0x20, "it came around");
    }
}
