//! Events of a structured program besides computing: code that is overwritten, data within code, system calls and
//! traps.

use super::*;

impl Generator {
    /// Overwrites an instruction: an earlier, a later or the very next one, or one in another function.
    pub(super) fn patch(&mut self) {
        let (pointer, value) = self.draft.two_working();
        let next = self.rng().one_in(4);
        let site = match self.rng().below(3) {
            _ if next => self.asm().label(),
            0 | 1 if !self.sites.is_empty() => self.draft.rng.pick(&self.sites),
            _ => {
                let label = self.asm().label();
                self.sites_ahead.push(label);
                label
            }
        };
        self.asm().la(pointer, site);
        match self.rng().below(8) {
            // Changes part of the immediate or of rs1.
            0 => {
                let (imm, source) = (self.rng().between(2, 4), self.draft.source());
                self.asm().store(Op::Sb, source, imm as i32, pointer);
            }
            // From standard input.
            1 => {
                self.asm().i(Op::Addi, A7, 0, 63);
                self.asm().la(A1, site);
                self.asm().i(Op::Addi, A0, 0, 0);
                self.asm().i(Op::Addi, A2, 0, 4);
                self.asm().op(Op::Ecall, 0, 0, 0, 0);
            }
            // A different instruction in each round of the surrounding loop.
            2..5 if self.nesting > 0 => {
                let words: Vec<Constant> = (0..4).map(|_| Constant::Word(self.patch_word())).collect();
                let Some(offset) = self.draft.constant(&words) else { return self.place_if(next, site) };
                let counter = COUNTERS[self.nesting - 1];
                self.asm().i(Op::Andi, value, counter, 3);
                self.asm().i(Op::Slli, value, value, 2);
                self.asm().r(Op::Add, value, value, CONSTANT_POINTER);
                self.asm().i(Op::Lw, value, value, offset);
                self.asm().store(Op::Sw, value, 0, pointer);
            }
            _ => {
                let word = self.patch_word();
                self.asm().li(value, word);
                self.asm().store(Op::Sw, value, 0, pointer);
            }
        }
        if self.rng().one_in(4) {
            self.asm().op(Op::FenceI, 0, 0, 0, 0);
        }
        self.place_if(next, site);
    }

    fn place_if(&mut self, here: bool, site: Label) {
        if here {
            self.asm().place(site);
            self.site_instruction();
            self.sites.push(site);
        }
    }

    /// Returns the word that overwrites a site: mostly arithmetic, otherwise a jump over the next instruction, a
    /// branch, or an illegal instruction.
    fn patch_word(&mut self) -> u32 {
        match self.rng().below(40) {
            0 => 0,
            1 | 2 => encode(Instruction { op: Op::Jal, rd: 0, rs1: 0, rs2: 0, imm: 4 }),
            3 | 4 => {
                let (rs1, rs2) = (self.draft.source(), self.draft.source());
                encode(Instruction { op: Op::Bltu, rd: 0, rs1, rs2, imm: 4 })
            }
            5 => {
                let rd = self.draft.working();
                encode(Instruction { op: Op::Lw, rd, rs1: SP, rs2: 0, imm: 0 })
            }
            _ => encode(self.draft.random_compute()),
        }
    }

    /// Emits words of data in the middle of code, which are read and written but never executed.
    pub(super) fn island(&mut self) {
        if self.islands.is_empty() || self.rng().one_in(3) {
            let over = self.asm().label();
            self.asm().jal(0, over);
            let island = self.asm().label_here();
            for _ in 0..4 {
                let word = self.rng().word();
                self.asm().word(word);
            }
            self.asm().place(over);
            self.islands.push(island);
        }
        let island = self.draft.rng.pick(&self.islands);
        let (pointer, value) = self.draft.two_working();
        self.asm().la(pointer, island);
        for _ in 0..self.rng().between(1, 4) {
            let at = self.rng().between(0, 16) as i32;
            match self.rng().below(4) {
                0 => self.asm().i(Op::Lw, value, pointer, at & !3),
                1 => self.asm().store(Op::Sb, value, at, pointer),
                2 => self.asm().store(Op::Sh, value, at & !1, pointer),
                _ => self.asm().store(Op::Sw, value, at & !3, pointer),
            }
        }
    }

    pub(super) fn ecall(&mut self) {
        if self.draft.with_kernel {
            return self.draft.kernel_call();
        }
        let number = self.rng().pick(&[63, 64, 64, 214, 214, 5, 0xffff_ffff]);
        let [a0, a1, a2] = match number {
            63 | 64 => {
                let descriptor = self.rng().pick(&[0, 1, 1, 2, 3]);
                let buffer = match self.rng().below(6) {
                    // Unmapped, read-only, and around the end of mapped memory.
                    0 => 0x20,
                    1 => CONSTANTS,
                    2 => DATA_END - 4 * self.rng().between(0, 3),
                    _ => DATA + self.rng().between(0, 3000),
                };
                [descriptor, buffer, 4 * self.rng().between(0, 12)]
            }
            // The heap begins on the page after the constants.
            214 => [self.rng().pick(&[0, 0x6_0400, 0x6_1234, 0x6_2000, 0x7_0000, 0xf000_0000]), 0, 0],
            _ => [self.rng().word(), self.rng().word(), 0],
        };
        for (register, value) in [(A0, a0), (A1, a1), (A2, a2), (A7, number)] {
            self.asm().li(register, value);
        }
        self.asm().op(Op::Ecall, 0, 0, 0, 0);
        // Uses the heap if the program got one: brk returned its end.
        if number == 214 && self.rng().one_in(2) {
            let (skip, limit) = (self.asm().label(), 0x6_1000);
            self.asm().li(A1, limit);
            self.asm().branch(Op::Bltu, A0, A1, skip);
            let (source, offset) = (self.draft.source(), self.rng().between(1, 500) as i32);
            self.asm().store(Op::Sw, source, -4 * offset, A1);
            self.asm().i(Op::Lhu, A2, A1, -4 * offset + 2);
            self.asm().place(skip);
        }
    }

    /// Emits a trap behind a condition that hardly ever holds.
    pub(super) fn rare_trap(&mut self) {
        let (a, b) = (self.draft.source(), self.draft.source());
        let skip = self.asm().label();
        self.asm().branch(Op::Bne, a, b, skip);
        if a == b || self.rng().one_in(3) {
            self.draft.compute();
        } else {
            self.trap();
        }
        self.asm().place(skip);
    }

    /// Emits an instruction that traps.
    pub(super) fn trap(&mut self) {
        let (register, other) = self.draft.two_working();
        match self.rng().below(18) {
            0 => self.asm().op(Op::Ebreak, 0, 0, 0, 0),
            1 => {
                let word = self.rng().pick(&[0, 0xffff_ffff, 0x0000_0001, 0x3020_0073, 0xc000_2573, 0x0000_2007]);
                self.asm().word(word);
            }
            2 => {
                self.asm().li(register, DATA + 1);
                let (op, imm) = self.rng().pick(&[(Op::Lw, 0), (Op::Lh, 0), (Op::Lhu, -2), (Op::Lw, 1)]);
                self.asm().i(op, other, register, imm);
            }
            3 => {
                self.asm().li(register, DATA + 1);
                let (op, imm) = self.rng().pick(&[(Op::Sw, 0), (Op::Sh, 0), (Op::Sw, 1), (Op::Sh, 2)]);
                self.asm().store(op, other, imm, register);
            }
            4 => {
                let address = self.rng().pick(&[0, 0x7_fffc, 0xefff_fffc, 0xf000_0000, 0xffff_fffc, DATA_END]);
                self.asm().li(register, address);
                let op = self.rng().pick(&[Op::Lw, Op::Lhu, Op::Lb]);
                self.asm().i(op, other, register, 0);
            }
            5 => {
                let address = self.rng().pick(&[0, 0x7_fffc, CONSTANTS, CONSTANTS + 4, DATA - 4, 0xef7f_fffc]);
                self.asm().li(register, address);
                let op = self.rng().pick(&[Op::Sw, Op::Sh, Op::Sb]);
                self.asm().store(op, other, 0, register);
            }
            // Jumps to unmapped memory, to data, to misaligned addresses.
            6 | 7 => {
                let address = self.rng().pick(&[0, DATA, 0xdead_0000, 0xffff_fffc, 0xf000_0000]);
                self.asm().li(register, address);
                self.asm().i(Op::Jalr, RA, register, 0);
            }
            8 => {
                let here = self.asm().here();
                self.asm().li(register, here);
                self.asm().i(Op::Jalr, register, register, 2);
            }
            9 => self.asm().op(Op::Jal, RA, 0, 0, 6),
            10 => self.asm().op(Op::Beq, 0, 0, 0, -2),
            11 | 12 | 15..18 => self.draft.forbidden_group(),
            // There is no code at either end of the address space.
            13 => {
                let (imm, link) = (self.draft.edge_immediate(), self.draft.destination());
                self.asm().i(Op::Jalr, link, 0, imm);
            }
            _ => {
                let (value, op) = (self.draft.source(), self.rng().pick(&[Op::Lw, Op::Lb]));
                self.asm().i(op, register, value, 0);
            }
        }
    }
}
