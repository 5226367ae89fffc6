//! Random instructions that come to an end: straight code, short loops, jumps ahead, calls of leaves. It must not know
//! how a program begins and ends.

use crate::assembler::{
    A0, A7, Assembler, ECALL, OP_IMM, RA, T0, T1, ZERO, addi, auipc, b, i, jal, jalr, lui, r, s, sw,
};
use crate::calls;
use crate::places::{MACHINE_BANK, Places, USER_BANK};
use crate::rng::Rng;

/// Registers that hold addresses; only [`Body::rebase`] changes them, and stores into the banks.
const BASES: [u32; 4] = [18, 19, 20, 21];
/// The count of the inner loop.
const INNER: u32 = 25;
/// Where a user program goes on after a jump into nowhere.
pub const RECOVERY: u32 = 26;
/// The count of the outer loop.
pub const OUTER: u32 = 27;

const NOP: u32 = 0x13;

/// How the code will run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Machine,
    User,
}

/// Emits random code.
pub struct Body<'a> {
    pub rng: &'a mut Rng,
    pub asm: Assembler,
    pub places: &'a Places,
    pub mode: Mode,
    /// Addresses of instructions that may be written over.
    sites: Vec<u32>,
    /// Entries of functions that change a0 to a7 only.
    leaves: Vec<u32>,
}

impl<'a> Body<'a> {
    pub fn new(rng: &'a mut Rng, base: u32, places: &'a Places, mode: Mode) -> Self {
        Self { rng, asm: Assembler::new(base), places, mode, sites: Vec::new(), leaves: Vec::new() }
    }

    /// Functions to call, to be emitted where nobody falls into them.
    pub fn leaves(&mut self, count: usize) {
        for _ in 0..count {
            self.leaves.push(self.asm.here());
            for _ in 0..self.rng.within(1, 6) {
                let rd = self.rng.within(A0, A7 + 1);
                let word = self.compute(rd);
                self.asm.emit(word);
            }
            self.site();
            self.asm.emit(jalr(0, RA, ZERO));
            // Some leaves lie pages away.
            let far = if self.rng.one_in(3) { self.rng.below(300) } else { 0 };
            (0..far).for_each(|_| self.asm.emit(NOP));
        }
    }

    pub fn steps(&mut self, count: u32) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Gives all address registers a value.
    pub fn rebase_all(&mut self) {
        BASES.iter().for_each(|&base| self.rebase(base));
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..34 => {
                let rd = self.any_rd();
                let word = self.compute(rd);
                self.asm.emit(word);
            }
            34..50 => self.load(),
            50..64 => self.store(),
            64..72 => self.skip(),
            72..75 => self.jump(),
            75..80 => {
                let base = self.rng.pick(&BASES);
                self.rebase(base);
            }
            80..84 => self.far_access(),
            84..88 if self.mode == Mode::Machine => self.bank_access(),
            84..88 => self.trap(),
            88..92 => self.patch(),
            92..95 if self.mode == Mode::Machine => calls::machine_call(self),
            92..95 => self.user_call(),
            95..97 => self.inner_loop(),
            97..99 => self.call_leaf(),
            _ => self.site(),
        }
    }

    /// A register to write: any but those that keep the program together. x0 is one.
    fn any_rd(&mut self) -> u32 {
        loop {
            let rd = self.rng.below(32);
            if !BASES.contains(&rd) && ![INNER, RECOVERY, OUTER].contains(&rd) {
                return rd;
            }
        }
    }

    fn compute(&mut self, rd: u32) -> u32 {
        let (rs1, rs2, funct3) = (self.rng.below(32), self.rng.below(32), self.rng.below(8));
        match self.rng.below(10) {
            0..3 => r(1, rs2, rs1, funct3, rd),
            3..6 => r(if matches!(funct3, 0 | 5) && self.rng.one_in(2) { 0x20 } else { 0 }, rs2, rs1, funct3, rd),
            6..9 => {
                let immediate = match funct3 {
                    1 => self.rng.below(32),
                    5 => self.rng.below(32) | if self.rng.one_in(2) { 0x400 } else { 0 },
                    _ => self.rng.below(4096),
                };
                i(OP_IMM, immediate, rs1, funct3, rd)
            }
            _ => {
                let upper = self.rng.word();
                if self.rng.one_in(2) { lui(upper, rd) } else { auipc(upper, rd) }
            }
        }
    }

    /// Offset and width of an access at a base, which is a multiple of 4 well inside or at the border of a page.
    fn access(&mut self, functs: &[u32]) -> (u32, u32) {
        let funct3 = self.rng.pick(functs);
        let offset = self.rng.below(160).wrapping_sub(64);
        let aligned = offset & !((1 << (funct3 & 3)) - 1);
        let misaligned = match self.mode {
            Mode::Machine => self.rng.one_in(3000),
            Mode::User => self.rng.one_in(60),
        };
        (if misaligned { offset | 1 } else { aligned } & 0xfff, funct3)
    }

    fn load(&mut self) {
        let (offset, funct3) = self.access(&[0, 1, 2, 2, 2, 4, 5]);
        let (base, rd) = (self.rng.pick(&BASES), self.any_rd());
        self.asm.emit(i(0x03, offset, base, funct3, rd));
    }

    fn store(&mut self) {
        let (offset, funct3) = self.access(&[0, 1, 2, 2, 2]);
        let (base, rs2) = (self.rng.pick(&BASES), self.rng.below(32));
        self.asm.emit(s(offset, rs2, base, funct3));
    }

    fn rebase(&mut self, base: u32) {
        let address = self.places.anywhere(self.rng) & !3;
        self.asm.li(base, address);
    }

    /// A page that was perhaps never seen.
    fn far_access(&mut self) {
        let address = match self.rng.below(3) {
            0 => self.rng.within(0x0001_0000, 0x0400_0000),
            1 => self.rng.within(0x0001_0000, 0xbfff_ff00),
            _ => self.places.anywhere(self.rng),
        } & !3;
        self.asm.li(T0, address);
        let rd = self.any_rd();
        let word = if self.rng.one_in(2) { i(0x03, 0, T0, 2, rd) } else { sw(self.rng.below(32), 0, T0) };
        self.asm.emit(word);
    }

    /// Registers as memory: of either bank, x0's word among them, and the shunts behind.
    fn bank_access(&mut self) {
        let bank = self.rng.pick(&[MACHINE_BANK, USER_BANK]);
        let register = self.rng.below(33).min(31);
        let offset = if self.rng.one_in(8) { 0x100 } else { 4 * register };
        let keeps_the_program = (18..28).contains(&register) && offset < 0x80;
        self.asm.li(T0, bank);
        if self.rng.one_in(2) || keeps_the_program {
            let rd = self.any_rd();
            let (byte, funct3) = self.rng.pick(&[(0, 2), (0, 2), (1, 0), (2, 1), (3, 4), (2, 5)]);
            self.asm.emit(i(0x03, offset + byte, T0, funct3, rd));
        } else {
            let (byte, funct3) = self.rng.pick(&[(0, 2), (0, 2), (1, 0), (2, 1)]);
            let rs2 = self.rng.below(32);
            self.asm.emit(s(offset + byte, rs2, T0, funct3));
        }
    }

    /// A branch over some instructions, or not.
    fn skip(&mut self) {
        let gap = self.asm.gap();
        let count = self.rng.within(1, 6);
        for _ in 0..count {
            let rd = self.any_rd();
            let word = self.compute(rd);
            self.asm.emit(word);
        }
        let (rs1, rs2, funct3) = (self.rng.below(32), self.rng.below(32), self.rng.pick(&[0, 1, 4, 5, 6, 7]));
        self.asm.land(gap, |distance| b(distance, rs2, rs1, funct3));
    }

    /// A jump ahead, direct or through a register.
    fn jump(&mut self) {
        let rd = self.any_rd();
        if self.rng.one_in(2) {
            let gap = self.asm.gap();
            (0..self.rng.below(4)).for_each(|_| self.asm.emit(NOP));
            self.asm.land(gap, |distance| jal(distance, rd));
        } else {
            let over = self.rng.within(0, 4);
            let target = self.asm.here() + 12 + 4 * over;
            // Bit 0 of the sum is cleared.
            let odd = self.rng.below(2);
            self.asm.li(T1, target.wrapping_sub(16));
            self.asm.emit(jalr(16 + odd, T1, rd));
            (0..over).for_each(|_| self.asm.emit(NOP));
        }
    }

    fn inner_loop(&mut self) {
        let count = self.rng.within(2, 12);
        self.asm.li(INNER, count);
        let start = self.asm.here();
        for _ in 0..self.rng.within(1, 5) {
            match self.rng.below(4) {
                0 => self.load(),
                1 => self.store(),
                _ => {
                    let rd = self.any_rd();
                    let word = self.compute(rd);
                    self.asm.emit(word);
                }
            }
        }
        self.asm.emit(addi(INNER, INNER, 0xfff));
        // x0 may hold anything, so the end is told by the sign.
        let zero = self.zero();
        let distance = start.wrapping_sub(self.asm.here());
        self.asm.emit(b(distance, INNER, zero, 4));
    }

    /// A register that is 0 now. x0 need not be.
    fn zero(&mut self) -> u32 {
        self.asm.emit(lui(0, T0));
        T0
    }

    fn call_leaf(&mut self) {
        if self.leaves.is_empty() {
            return;
        }
        let leaf = self.rng.pick(&self.leaves);
        let distance = leaf.wrapping_sub(self.asm.here());
        self.asm.emit(jal(distance, RA));
    }

    /// An instruction that others may write over.
    fn site(&mut self) {
        self.sites.push(self.asm.here());
        self.asm.emit(NOP);
    }

    /// Writes an instruction over a site that was, or the one after next.
    fn patch(&mut self) {
        let rd = self.rng.within(A0, A7 + 1);
        let word = self.compute(rd);
        self.asm.li(T1, word);
        if self.sites.is_empty() || self.rng.one_in(2) {
            let site = self.asm.here() + 16;
            self.asm.li(T0, site);
            self.asm.emit(sw(T1, 0, T0));
            self.asm.emit(NOP);
            self.site();
        } else {
            let site = self.rng.pick(&self.sites);
            self.asm.li(T0, site);
            self.asm.emit(sw(T1, 0, T0));
        }
    }

    /// Something that traps in user mode.
    fn trap(&mut self) {
        let here = self.asm.here();
        match self.rng.below(8) {
            0 => self.asm.emit(crate::assembler::EBREAK),
            1 => {
                // Any word at all, with the low bits that instructions have. System instructions, which might end all,
                // and jumps, which might never come back, are left to the others.
                let word = self.rng.word() | 3;
                let is_known =
                    matches!(word & 0x7f, 0x73 | 0x6f | 0x67 | 0x63 | 0x03 | 0x23 | 0x13 | 0x33 | 0x37 | 0x17);
                self.asm.emit(if is_known { 0x0000_000f } else { word });
            }
            2 => self.asm.emit(self.rng.word() & !3),
            3 => {
                // A jump to a place that is no multiple of 4.
                self.asm.li(T1, here + 6);
                let rd = self.any_rd();
                self.asm.emit(jalr(0, T1, rd));
            }
            4 => {
                // A jump to nowhere; the kernel comes back to the recovery address.
                let nowhere = self.rng.pick(&[0, 0x1000, 0xffff_0000, 0xc000_0000, 0xfff0_0000]);
                self.asm.li(RECOVERY, here + 20);
                self.asm.li(T1, nowhere);
                self.asm.emit(jalr(0, T1, ZERO));
            }
            5 | 6 => {
                let address = self.rng.pick(&[0, 0xfffc, 0xc000_0000, 0xffff_0000, 0xffff_fffc]);
                self.asm.li(T0, address);
                let rd = self.any_rd();
                let word = if self.rng.one_in(2) { i(0x03, 0, T0, 2, rd) } else { sw(rd, 0, T0) };
                self.asm.emit(word);
            }
            _ => self.asm.emit(b(6, ZERO, ZERO, 0)),
        }
    }

    /// A call of the kernel: t0 picks the routine, and is not 0.
    fn user_call(&mut self) {
        let number = self.rng.within(1, 9);
        self.asm.li(T0, number);
        self.asm.emit(ECALL);
    }
}
