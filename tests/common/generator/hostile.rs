//! Values at which code is likely to fail, and the ways in which a register gets one. The block itself shows some of
//! these values to a translator and hides others.

use super::*;

/// Edges of shift amounts, signs, widths, immediates, pages and the address space.
const HOSTILE: [u32; 56] = [
    0,
    1,
    2,
    3,
    31,
    32,
    33,
    63,
    64,
    65,
    -1i32 as u32,
    -2i32 as u32,
    -31i32 as u32,
    -32i32 as u32,
    -33i32 as u32,
    -64i32 as u32,
    0x7f,
    0x80,
    0x81,
    0xff,
    0x100,
    -128i32 as u32,
    -129i32 as u32,
    0x3ff,
    0x400,
    0x401,
    -1024i32 as u32,
    // Twelve bits, signed and unsigned.
    2047,
    2048,
    -2048i32 as u32,
    -2049i32 as u32,
    0xfff,
    0x1000,
    0x1001,
    -4096i32 as u32,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    -0x8000i32 as u32,
    -0x8001i32 as u32,
    0xf_ffff,
    0x10_0000,
    0x10_0001,
    0x7fff_f7ff,
    0x7fff_f800,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0x8000_0800,
    0xaaaa_aaaa,
    0x5555_5555,
    0xffff_f7ff,
    0xffff_fffc,
    0xffff_0000,
];

/// The most error-prone values.
const WORST: [u32; 12] =
    [0, 1, -1i32 as u32, 2, 31, 32, 33, -32i32 as u32, 0x7fff_ffff, 0x8000_0000, 0x8000_0000, 0xffff_f000];

/// Pairs whose product or quotient is a special case, or whose signed and unsigned comparisons differ.
const WORST_PAIRS: [(u32, u32); 10] = [
    (0x8000_0000, -1i32 as u32),
    (0x8000_0000, 0),
    (0x8000_0000, 1),
    (0x8000_0000, 0x8000_0000),
    (0x7fff_ffff, -1i32 as u32),
    (0x7fff_ffff, 0x8000_0000),
    (-1i32 as u32, 0),
    (-1i32 as u32, -1i32 as u32),
    (1, -1i32 as u32),
    (0, 0),
];

/// Edges of a twelve-bit immediate.
const IMMEDIATES: [i32; 24] =
    [0, 1, 2, 3, 4, -1, -2, -4, 31, 32, 33, -31, -32, -33, 64, 127, 128, 255, 1023, 1024, -1024, 2046, 2047, -2048];

/// Registers that are set before a program's loop, with their value if it does not change.
pub(super) type Held = (u8, Option<u32>);

impl Draft {
    pub(super) fn hostile(&mut self) -> u32 {
        match self.rng.below(8) {
            0 => self.rng.word(),
            1 => (1u32 << self.rng.between(0, 32)).wrapping_add(self.rng.between(0, 3)).wrapping_sub(1),
            2..5 => self.rng.pick(&WORST),
            _ => self.rng.pick(&HOSTILE),
        }
    }

    /// Picks two of these values, often related: equal, neighbours, or negatives of each other.
    pub(super) fn hostile_pair(&mut self) -> (u32, u32) {
        if self.rng.one_in(3) {
            let (first, second) = self.rng.pick(&WORST_PAIRS);
            return if self.rng.one_in(3) { (second, first) } else { (first, second) };
        }
        let first = self.hostile();
        let second = match self.rng.below(8) {
            0 | 1 => first,
            2 => first.wrapping_add(1),
            3 => first.wrapping_sub(1),
            4 => first.wrapping_neg(),
            _ => self.hostile(),
        };
        (first, second)
    }

    pub(super) fn edge_immediate(&mut self) -> i32 {
        self.rng.pick(&IMMEDIATES)
    }

    /// Picks a working register that is not in `taken`, which must have fewer entries than there are working registers.
    pub(super) fn fresh(&mut self, taken: &[u8]) -> u8 {
        loop {
            let register = self.working();
            if !taken.contains(&register) {
                return register;
            }
        }
    }

    /// Returns a register with a hostile value: one of the surrounding loop, or one that is set here and not in
    /// `taken`.
    pub(super) fn hostile_operand(&mut self, taken: &[u8]) -> u8 {
        if !self.held.is_empty() && self.rng.one_in(2) {
            return self.rng.pick(&self.held).0;
        }
        let value = self.hostile();
        self.operand(value, taken)
    }

    /// Returns a register that holds `value`.
    pub(super) fn operand(&mut self, value: u32, taken: &[u8]) -> u8 {
        let held = self.held.iter().find(|(_, held)| *held == Some(value)).map(|&(register, _)| register);
        match held {
            Some(register) if !self.rng.one_in(3) => register,
            _ if value == 0 && self.rng.one_in(3) => 0,
            _ => {
                let register = self.fresh(taken);
                self.put(register, value);
                register
            }
        }
    }

    /// Returns a register that is set to the value here, in the plainest way.
    pub(super) fn known_operand(&mut self, value: u32, taken: &[u8]) -> u8 {
        let register = self.fresh(taken);
        self.asm.li(register, value);
        register
    }

    /// Sets `register` to the value in one of many ways.
    pub(super) fn put(&mut self, register: u8, value: u32) {
        match self.rng.below(9) {
            0..4 => self.asm.li(register, value),
            4 | 5 => self.put_in_steps(register, value),
            _ => self.put_unknown(register, value),
        }
    }

    /// Uses two or three instructions without outside operands.
    fn put_in_steps(&mut self, register: u8, value: u32) {
        let imm = self.edge_immediate();
        match self.rng.below(7) {
            0 | 1 => {
                self.asm.li(register, value.wrapping_sub(imm as u32));
                self.asm.i(Op::Addi, register, register, imm);
            }
            2 => {
                let distance = value.wrapping_sub(self.asm.here());
                let low = (distance << 20) as i32 >> 20;
                self.asm.op(Op::Auipc, register, 0, 0, distance.wrapping_sub(low as u32) as i32);
                self.asm.i(Op::Addi, register, register, low);
            }
            3 => {
                let low = (value << 20) as i32 >> 20;
                self.asm.op(Op::Lui, register, 0, 0, ((value ^ low as u32) & !0xfff) as i32);
                self.asm.i(Op::Xori, register, register, low);
            }
            4 if value != 0 => {
                let zeros = value.trailing_zeros();
                self.asm.li(register, value >> zeros);
                self.asm.i(Op::Slli, register, register, zeros as i32);
            }
            5 => {
                self.asm.li(register, !value);
                self.asm.i(Op::Xori, register, register, -1);
            }
            _ => {
                self.asm.li(register, value.wrapping_neg());
                self.asm.r(Op::Sub, register, 0, register);
            }
        }
    }

    /// Sets `register` to the value as the sum of another register and a constant, which usually wraps around. Does not
    /// change `taken`.
    pub(super) fn put_sum(&mut self, register: u8, value: u32, taken: &[u8]) {
        let rest = match self.rng.below(3) {
            0 => self.hostile(),
            // A constant that takes one instruction.
            _ => self.rng.pick(&[0x8000_0000, 0x8000_0000, 0x7fff_f000, 0xffff_f000, 0x1000, -2048i32 as u32, 2047]),
        };
        self.put(register, value.wrapping_sub(rest));
        let taken = [taken, &[register]].concat();
        let other = match self.rng.one_in(2) {
            true => self.known_operand(rest, &taken),
            false => self.operand(rest, &taken),
        };
        self.asm.r(Op::Add, register, register, other);
    }

    /// Sets `register` from the table of constants, through memory, or in an earlier block.
    fn put_unknown(&mut self, register: u8, value: u32) {
        match self.rng.below(6) {
            0 => {
                let next = self.asm.label();
                self.asm.li(register, value);
                match self.rng.below(3) {
                    0 => self.asm.jal(0, next),
                    1 => self.asm.branch(Op::Bne, 0, 0, next),
                    _ => self.asm.branch(Op::Beq, 0, 0, next),
                }
                self.asm.place(next);
            }
            1 => {
                let offset = -4 * self.rng.between(1, 64) as i32;
                self.asm.li(register, value);
                self.asm.store(Op::Sw, register, offset, SP);
                self.asm.i(Op::Lw, register, SP, offset);
            }
            2 => {
                let imm = self.edge_immediate();
                self.load_constant(register, value.wrapping_sub(imm as u32));
                self.asm.i(Op::Addi, register, register, imm);
            }
            _ => self.load_constant(register, value),
        }
    }

    /// Loads a word of the table of constants, or computes the value if the table is full.
    pub(super) fn load_constant(&mut self, register: u8, value: u32) {
        let known = self.words.get(&value).copied();
        let offset = known.or_else(|| {
            let offset = self.constant(&[Constant::Word(value)])?;
            self.words.insert(value, offset);
            Some(offset)
        });
        match offset {
            Some(offset) => self.asm.i(Op::Lw, register, CONSTANT_POINTER, offset),
            None => self.asm.li(register, value),
        }
    }

    /// Reserves a working register and sets it to a hostile value, so that a loop can rely on it. Its value is unknown
    /// if it `changes`.
    pub(super) fn hold(&mut self, changes: bool) {
        let register = self.working();
        let value = self.hostile();
        self.put(register, value);
        self.working.retain(|&other| other != register);
        self.held.push((register, (!changes).then_some(value)));
    }

    /// Returns whether another register may be reserved: chains need some registers that they can write.
    pub(super) fn can_hold(&self) -> bool {
        self.working.len() > 4
    }

    /// Releases the last `count` reserved registers.
    pub(super) fn release(&mut self, count: usize) {
        for _ in 0..count {
            let (register, _) = self.held.pop().expect("as many as were held");
            self.working.push(register);
        }
    }
}
