//! Decodes words to instructions, driven by the instruction table alone.
//!
//! [`decode`] is total: every word is an instruction of the variant or `None`. It must not know what an instruction
//! does, nor where the word came from.
#![expect(clippy::indexing_slicing, reason = "constant tables, by indices of as many bits as they have entries")]

use crate::isa::{Format, Op, TABLE, Variant};

/// A decoded instruction: the operation and its operand fields.
///
/// Fields that the operation's format does not have are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// The operation.
    pub op: Op,
    /// Destination register number, 0..32.
    pub rd: u8,
    /// First source register number, 0..32.
    pub rs1: u8,
    /// Second source register number, 0..32.
    pub rs2: u8,
    /// The immediate, sign-extended to 32 bits: the amount of a shift, an upper immediate already shifted, or the
    /// distance of a branch or jump in bytes.
    pub imm: u32,
}

/// Bits of a word that form the lookup key: the five opcode bits above the low two, and funct3.
const KEY_BITS: u32 = 0x0000_707c;
const KEYS: usize = 1 << 8;

/// Lines of the table by key. Each line is listed under every key that it can have in some variant.
///
/// The lines of key `k` are `order[start[k]..start[k + 1]]`. There are at most four per key; by opcode alone there
/// would be up to eighteen.
struct Index {
    order: [u8; places(KEYS)],
    start: [u8; KEYS + 1],
}

static INDEX: Index = build_index();

/// Returns the key of a word.
const fn key_of(word: u32) -> usize {
    ((word >> 2) & 31 | (word >> 7) & 0xe0) as usize
}

/// Returns whether a word with this key can be this line in some variant.
const fn can_be(line: usize, key: usize) -> bool {
    let key = key as u32;
    let differs = (key & 31) << 2 ^ (key >> 5) << 12 ^ TABLE[line].match_bits;
    let mut variant = 0;
    while variant < Variant::ALL.len() {
        if let Some(ignored) = TABLE[line].ignored_bits(Variant::ALL[variant])
            && differs & KEY_BITS & TABLE[line].mask_bits & !ignored == 0
        {
            return true;
        }
        variant += 1;
    }
    false
}

/// Returns how many places of the index the first `keys` keys take.
const fn places(keys: usize) -> usize {
    let (mut places, mut key) = (0, 0);
    while key < keys {
        let mut line = 0;
        while line < TABLE.len() {
            places += can_be(line, key) as usize;
            line += 1;
        }
        key += 1;
    }
    places
}

const fn build_index() -> Index {
    let mut index = Index { order: [0; places(KEYS)], start: [0; KEYS + 1] };
    let (mut next, mut key) = (0, 0);
    while key < KEYS {
        index.start[key] = next as u8;
        let mut line = 0;
        while line < TABLE.len() {
            if can_be(line, key) {
                index.order[next] = line as u8;
                next += 1;
            }
            line += 1;
        }
        key += 1;
    }
    assert!(next == index.order.len() && next <= u8::MAX as usize, "each place is taken, and counted in a byte");
    index.start[KEYS] = next as u8;
    index
}

/// Decodes one 32-bit word for `variant`; returns `None` if it is no instruction there.
pub fn decode(word: u32, variant: Variant) -> Option<Instruction> {
    let key = key_of(word);
    let lines = &INDEX.order[INDEX.start[key] as usize..INDEX.start[key + 1] as usize];
    let line = lines.iter().map(|&line| &TABLE[line as usize]).find(|line| line.matches(word, variant))?;
    let format = line.format;
    Some(Instruction {
        op: line.op,
        rd: if format.has_rd() { field(word, 7) } else { 0 },
        rs1: if format.has_rs1() { field(word, 15) } else { 0 },
        rs2: if format.has_rs2() { field(word, 20) } else { 0 },
        imm: immediate(word, format),
    })
}

/// Returns a register number: the five bits of `word` from bit `low` up.
fn field(word: u32, low: u32) -> u8 {
    ((word >> low) & 31) as u8
}

/// Returns the immediate of `word` in `format`, by the manual's "immediate encoding variants".
fn immediate(word: u32, format: Format) -> u32 {
    let signed = word as i32;
    match format {
        Format::R | Format::None => 0,
        Format::I => (signed >> 20) as u32,
        Format::Shift => (word >> 20) & 31,
        Format::S => ((signed >> 25) << 5) as u32 | (word >> 7) & 0x1f,
        Format::B => {
            ((signed >> 31) << 12) as u32
                | (word << 4) & 0x0000_0800
                | (word >> 20) & 0x0000_07e0
                | (word >> 7) & 0x0000_001e
        }
        Format::U => word & 0xffff_f000,
        Format::J => {
            ((signed >> 31) << 20) as u32 | word & 0x000f_f000 | (word >> 9) & 0x0000_0800 | (word >> 20) & 0x0000_07fe
        }
    }
}

/// Encodes `instruction`: the inverse of [`decode`], in the standard variant's canonical form.
///
/// Truncates register numbers and immediates that do not fit their fields. A generator of programs that needs exact
/// results decodes the word and compares.
pub fn encode(instruction: Instruction) -> u32 {
    let line = instruction.op.line();
    let format = line.format;
    let mut word = line.match_bits;
    if format.has_rd() {
        word |= (instruction.rd as u32 & 31) << 7;
    }
    if format.has_rs1() {
        word |= (instruction.rs1 as u32 & 31) << 15;
    }
    if format.has_rs2() {
        word |= (instruction.rs2 as u32 & 31) << 20;
    }
    let imm = instruction.imm;
    word | match format {
        Format::R | Format::None => 0,
        Format::I => imm << 20,
        Format::Shift => (imm & 31) << 20,
        Format::S => (imm & 0xfe0) << 20 | (imm & 0x1f) << 7,
        Format::B => (imm & 0x1000) << 19 | (imm & 0x7e0) << 20 | (imm & 0x1e) << 7 | (imm & 0x800) >> 4,
        Format::U => imm & 0xffff_f000,
        Format::J => (imm & 0x10_0000) << 11 | (imm & 0x7fe) << 20 | (imm & 0x800) << 9 | imm & 0xf_f000,
    }
}
