//! A minimal assembler: instructions by the names of the table, and labels.

use tachy::decode::{Instruction, decode, encode};
use tachy::isa::{Op, Variant};

/// A place in the code that may be used before it is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

/// Code under construction.
pub struct Assembler {
    base: u32,
    words: Vec<u32>,
    /// Address of each label, once placed.
    labels: Vec<Option<u32>>,
    /// Words that wait for a label's address.
    waiting: Vec<(usize, Label)>,
}

/// Code with every label's address.
pub struct Assembled {
    pub words: Vec<u32>,
    labels: Vec<Option<u32>>,
}

impl Assembled {
    pub fn address(&self, label: Label) -> u32 {
        self.labels[label.0].expect("a label that was never placed")
    }
}

impl Assembler {
    pub fn new(base: u32) -> Assembler {
        Assembler { base, words: Vec::new(), labels: Vec::new(), waiting: Vec::new() }
    }

    /// Returns the address of the first word.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// Returns the address of the next word.
    pub fn here(&self) -> u32 {
        self.base + 4 * self.words.len() as u32
    }

    pub fn word(&mut self, word: u32) {
        self.words.push(word);
    }

    /// Emits an instruction. Operands that its format lacks are ignored.
    pub fn op(&mut self, op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) {
        let instruction = Instruction { op, rd, rs1, rs2, imm: imm as u32 };
        self.word(encode(instruction));
    }

    pub fn r(&mut self, op: Op, rd: u8, rs1: u8, rs2: u8) {
        self.op(op, rd, rs1, rs2, 0);
    }

    pub fn i(&mut self, op: Op, rd: u8, rs1: u8, imm: i32) {
        self.op(op, rd, rs1, 0, imm);
    }

    /// Emits a store: `op rs2, imm(rs1)`.
    pub fn store(&mut self, op: Op, rs2: u8, imm: i32, rs1: u8) {
        self.op(op, 0, rs1, rs2, imm);
    }

    /// Loads a constant with `lui` and `addi`, or with only one of them if that is enough.
    pub fn li(&mut self, rd: u8, value: u32) {
        let low = (value << 20) as i32 >> 20;
        let high = value.wrapping_sub(low as u32);
        if high == 0 {
            self.i(Op::Addi, rd, 0, low);
            return;
        }
        self.op(Op::Lui, rd, 0, 0, high as i32);
        if low != 0 {
            self.i(Op::Addi, rd, rd, low);
        }
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    pub fn place(&mut self, label: Label) {
        let here = self.here();
        assert!(self.labels[label.0].replace(here).is_none(), "a label placed twice");
    }

    /// Places a new label at the next word.
    pub fn label_here(&mut self) -> Label {
        let label = self.label();
        self.place(label);
        label
    }

    /// Fills up to an address ahead with zeros, which are not valid instructions.
    pub fn pad_to(&mut self, address: u32) {
        assert!(address >= self.here() && address.is_multiple_of(4), "{address:#x} is not ahead of {:#x}", self.here());
        self.words.resize(((address - self.base) / 4) as usize, 0);
    }

    /// Returns the address of a placed label.
    pub fn address(&self, label: Label) -> u32 {
        self.labels[label.0].expect("a label that was not placed yet")
    }

    /// Returns the number of bytes since a placed label.
    pub fn distance(&self, from: Label) -> u32 {
        self.here() - self.labels[from.0].expect("a label that was not placed yet")
    }

    pub fn branch(&mut self, op: Op, rs1: u8, rs2: u8, to: Label) {
        self.waiting.push((self.words.len(), to));
        self.op(op, 0, rs1, rs2, 0);
    }

    pub fn jal(&mut self, rd: u8, to: Label) {
        self.waiting.push((self.words.len(), to));
        self.op(Op::Jal, rd, 0, 0, 0);
    }

    /// Loads a label's address, always with `lui` and `addi`.
    pub fn la(&mut self, rd: u8, to: Label) {
        self.waiting.push((self.words.len(), to));
        self.op(Op::Lui, rd, 0, 0, 0);
        self.waiting.push((self.words.len(), to));
        self.i(Op::Addi, rd, rd, 0);
    }

    /// Emits a call over any distance: `lui` or `auipc` of `register`, and the `jalr` that adds the rest.
    pub fn call_far(&mut self, upper: Op, rd: u8, register: u8, to: Label) {
        self.waiting.push((self.words.len(), to));
        self.op(upper, register, 0, 0, 0);
        self.waiting.push((self.words.len(), to));
        self.i(Op::Jalr, rd, register, 0);
    }

    pub fn finish(mut self) -> Assembled {
        for (index, label) in std::mem::take(&mut self.waiting) {
            let target = self.labels[label.0].expect("a label that was never placed");
            let pc = self.base + 4 * index as u32;
            let emitted = |index: usize| decode(self.words[index], Variant::Standard).expect("what was emitted here");
            let mut instruction = emitted(index);
            let upper = |value: u32| value.wrapping_add(0x800) & !0xfff;
            instruction.imm = match instruction.op {
                Op::Jalr if emitted(index - 1).op == Op::Auipc => target.wrapping_sub(pc - 4),
                Op::Addi | Op::Jalr => target,
                Op::Lui => upper(target),
                Op::Auipc => upper(target.wrapping_sub(pc)),
                _ => target.wrapping_sub(pc),
            };
            let word = encode(instruction);
            if !matches!(instruction.op, Op::Addi | Op::Jalr) {
                assert_eq!(decode(word, Variant::Standard), Some(instruction), "a target out of reach");
            }
            self.words[index] = word;
        }
        Assembled { words: self.words, labels: self.labels }
    }
}
