//! Disassembles words in the syntax of GNU objdump.
//!
//! The text is the mnemonic, one space, and the operands joined by commas. The table's format and class determine the
//! layout; only the pseudo-instructions have a list of their own. The disassembler must not know what an instruction
//! does, nor any symbol: a target is an address.
//!
//! It deliberately differs from `objdump -d` (binutils 2.40) in four points:
//! - `addi` and similar instructions keep the table's name, which 2.40 shortens to `add`;
//! - an address always has its `0x`;
//! - a word that is no instruction of the variant is `.word`, even if another extension defines it;
//! - a fence with reserved fields set still prints as a fence.
#![expect(clippy::indexing_slicing, reason = "constant tables, by indices of as many bits as they have entries")]

use crate::decode::{Instruction, decode};
use crate::isa::{Class, Format, Op, Variant};

/// Register names of the calling convention, by number.
pub const REGISTERS: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2",
    "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
];

/// The numbers of the registers that pseudo-instructions leave out.
const ZERO: u8 = 0;
const RA: u8 = 1;

/// A write to a read-only CSR. It is illegal in every variant; compilers emit it where control must never arrive.
const UNIMP: u32 = 0xc000_1073;

/// Returns the text of `word` at address `pc`, decoded for `variant`; `.word 0x........` if it is no instruction.
pub fn disassemble(word: u32, pc: u32, variant: Variant) -> String {
    match decode(word, variant) {
        Some(Instruction { op: Op::Fence, .. }) => fence(word),
        Some(instruction) => text(instruction, pc),
        None if word == UNIMP => "unimp".to_string(),
        None => format!(".word {word:#010x}"),
    }
}

/// Returns the text of an instruction that shows every operand it has. It uses the first pseudo-instruction that fits,
/// in the order in which objdump tries them, and otherwise the layout of the format.
fn text(instruction: Instruction, pc: u32) -> String {
    let Instruction { op, rd: d, rs1: a, rs2: b, imm } = instruction;
    let [rd, rs1, rs2] = [d, a, b].map(|number| REGISTERS[usize::from(number & 31)]);
    let target = pc.wrapping_add(imm);
    let imm = imm as i32;
    let line = op.line();
    let name = line.mnemonic;

    match (op, d, a, b, imm) {
        (Op::Addi, ZERO, ZERO, _, 0) => "nop".to_string(),
        (Op::Addi, _, ZERO, _, _) => format!("li {rd},{imm}"),
        (Op::Addi, _, _, _, 0) => format!("mv {rd},{rs1}"),
        (Op::Andi, _, _, _, 255) => format!("zext.b {rd},{rs1}"),
        (Op::Xori, _, _, _, -1) => format!("not {rd},{rs1}"),
        (Op::Sltiu, _, _, _, 1) => format!("seqz {rd},{rs1}"),
        (Op::Sub, _, ZERO, _, _) => format!("neg {rd},{rs2}"),
        (Op::Sltu, _, ZERO, _, _) => format!("snez {rd},{rs2}"),
        (Op::Slt, _, _, ZERO, _) => format!("sltz {rd},{rs1}"),
        (Op::Slt, _, ZERO, _, _) => format!("sgtz {rd},{rs2}"),
        (Op::Beq, _, _, ZERO, _) => format!("beqz {rs1},{target:#x}"),
        (Op::Bne, _, _, ZERO, _) => format!("bnez {rs1},{target:#x}"),
        (Op::Bge, _, ZERO, _, _) => format!("blez {rs2},{target:#x}"),
        (Op::Bge, _, _, ZERO, _) => format!("bgez {rs1},{target:#x}"),
        (Op::Blt, _, _, ZERO, _) => format!("bltz {rs1},{target:#x}"),
        (Op::Blt, _, ZERO, _, _) => format!("bgtz {rs2},{target:#x}"),
        (Op::Jal, ZERO, ..) => format!("j {target:#x}"),
        (Op::Jal, RA, ..) => format!("jal {target:#x}"),
        (Op::Jalr, ZERO, RA, _, 0) => "ret".to_string(),
        (Op::Jalr, ZERO, _, _, 0) => format!("jr {rs1}"),
        (Op::Jalr, ZERO, ..) => format!("jr {imm}({rs1})"),
        (Op::Jalr, RA, _, _, 0) => format!("jalr {rs1}"),
        (Op::Jalr, RA, ..) => format!("jalr {imm}({rs1})"),
        (Op::Jalr, _, _, _, 0) => format!("jalr {rd},{rs1}"),
        _ => match (line.format, line.class) {
            (Format::R, _) => format!("{name} {rd},{rs1},{rs2}"),
            (Format::I, Class::Load | Class::JumpIndirect) => format!("{name} {rd},{imm}({rs1})"),
            (Format::I, _) => format!("{name} {rd},{rs1},{imm}"),
            (Format::Shift, _) => format!("{name} {rd},{rs1},{imm:#x}"),
            (Format::S, _) => format!("{name} {rs2},{imm}({rs1})"),
            (Format::B, _) => format!("{name} {rs1},{rs2},{target:#x}"),
            (Format::U, _) => format!("{name} {rd},{:#x}", imm as u32 >> 12),
            (Format::J, _) => format!("{name} {rd},{target:#x}"),
            (Format::None, _) => name.to_string(),
        },
    }
}

/// Returns the text of a `fence`. It takes the word because the decoder drops the operands of a fence.
fn fence(word: u32) -> String {
    match word >> 20 {
        0x0ff => "fence".to_string(),
        0x833 => "fence.tso".to_string(),
        sets => format!("fence {},{}", accesses(sets >> 4), accesses(sets)),
    }
}

/// Formats the low four bits of `set` as a fence's access set: device input and output, memory reads and writes.
fn accesses(set: u32) -> &'static str {
    const SETS: [&str; 16] =
        ["unknown", "w", "r", "rw", "o", "ow", "or", "orw", "i", "iw", "ir", "irw", "io", "iow", "ior", "iorw"];
    SETS[(set & 15) as usize]
}
