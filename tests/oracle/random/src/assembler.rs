//! Encodings of RV32IM and a place to put them. It must not know what a program is to do.

pub const ZERO: u32 = 0;
pub const RA: u32 = 1;
pub const T0: u32 = 5;
pub const T1: u32 = 6;
pub const A0: u32 = 10;
pub const A1: u32 = 11;
pub const A2: u32 = 12;
pub const A3: u32 = 13;
pub const A4: u32 = 14;
pub const A7: u32 = 17;

pub const ECALL: u32 = 0x0000_0073;
pub const EBREAK: u32 = 0x0010_0073;
pub const MRET: u32 = 0x3020_0073;

pub const LOAD: u32 = 0x03;
pub const OP_IMM: u32 = 0x13;
pub const OP: u32 = 0x33;
pub const BRANCH: u32 = 0x63;

pub fn r(funct7: u32, rs2: u32, rs1: u32, funct3: u32, rd: u32) -> u32 {
    funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | OP
}

pub fn i(opcode: u32, immediate: u32, rs1: u32, funct3: u32, rd: u32) -> u32 {
    immediate << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode
}

pub fn s(immediate: u32, rs2: u32, rs1: u32, funct3: u32) -> u32 {
    (immediate >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (immediate & 0x1f) << 7 | 0x23
}

pub fn b(offset: u32, rs2: u32, rs1: u32, funct3: u32) -> u32 {
    let high = (offset >> 12 & 1) << 6 | offset >> 5 & 0x3f;
    let low = offset & 0x1e | offset >> 11 & 1;
    high << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | low << 7 | BRANCH
}

pub fn lui(upper: u32, rd: u32) -> u32 {
    upper & 0xffff_f000 | rd << 7 | 0x37
}

pub fn auipc(upper: u32, rd: u32) -> u32 {
    upper & 0xffff_f000 | rd << 7 | 0x17
}

pub fn jal(offset: u32, rd: u32) -> u32 {
    let immediate = (offset >> 20 & 1) << 19 | (offset >> 1 & 0x3ff) << 9 | (offset >> 11 & 1) << 8;
    (immediate | offset >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

pub fn jalr(offset: u32, rs1: u32, rd: u32) -> u32 {
    i(0x67, offset & 0xfff, rs1, 0, rd)
}

pub fn addi(rd: u32, rs1: u32, immediate: u32) -> u32 {
    i(OP_IMM, immediate & 0xfff, rs1, 0, rd)
}

pub fn lw(rd: u32, offset: u32, rs1: u32) -> u32 {
    i(LOAD, offset & 0xfff, rs1, 2, rd)
}

pub fn sw(rs2: u32, offset: u32, rs1: u32) -> u32 {
    s(offset & 0xfff, rs2, rs1, 2)
}

/// Instructions from an address on.
pub struct Assembler {
    pub base: u32,
    pub words: Vec<u32>,
}

impl Assembler {
    pub fn new(base: u32) -> Self {
        Self { base, words: Vec::new() }
    }

    pub fn here(&self) -> u32 {
        self.base + 4 * self.words.len() as u32
    }

    pub fn emit(&mut self, word: u32) {
        self.words.push(word);
    }

    /// Two instructions, always.
    pub fn li(&mut self, rd: u32, value: u32) {
        self.emit(lui(value.wrapping_add(0x800), rd));
        self.emit(addi(rd, rd, value));
    }

    /// A jump whose target comes later; see [`Self::land`].
    pub fn gap(&mut self) -> usize {
        self.emit(0);
        self.words.len() - 1
    }

    /// Fills a gap with what `encode` makes of the distance from it to here.
    pub fn land(&mut self, gap: usize, encode: impl FnOnce(u32) -> u32) {
        self.words[gap] = encode(4 * (self.words.len() - gap) as u32);
    }

    /// Words by address.
    pub fn placed(&self) -> impl Iterator<Item = (u32, u32)> {
        self.words.iter().enumerate().map(|(at, &word)| (self.base + 4 * at as u32, word))
    }
}
