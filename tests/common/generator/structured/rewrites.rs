//! Code that is overwritten close by: the next instructions of the same block, those after the end of the page, and
//! data between instructions that is written continually.

use super::*;

impl Generator {
    /// Overwrites some of the next instructions in sequence, off one register.
    pub(super) fn rewrite_ahead(&mut self) {
        let (pointer, value) = self.draft.two_working();
        let count = self.rng().between(1, 5);
        let first = self.asm().label();
        self.asm().la(pointer, first);
        for _ in 0..self.rng().between(1, 4) {
            let site = 4 * self.rng().between(0, count) as i32;
            match self.rng().below(6) {
                // Part of the immediate, or of rs1.
                0 => self.asm().store(Op::Sb, value, site + 3, pointer),
                1 => self.asm().store(Op::Sh, value, site + 2, pointer),
                2 => {
                    // The word of another site.
                    let from = 4 * self.rng().between(0, count) as i32;
                    self.asm().i(Op::Lw, value, pointer, from);
                    self.asm().store(Op::Sw, value, site, pointer);
                }
                _ => {
                    let word = self.immediate_word();
                    self.asm().li(value, word);
                    self.asm().store(Op::Sw, value, site, pointer);
                }
            }
        }
        if self.rng().one_in(4) {
            self.draft.compute();
        }
        self.asm().place(first);
        for _ in 0..count {
            let word = self.immediate_word();
            self.asm().word(word);
        }
    }

    /// Overwrites an instruction of the next page, shortly before it executes.
    pub(super) fn rewrite_next_page(&mut self) {
        // Surrounding branches must span the padding up to the end of the page.
        if self.branches > 0 {
            return self.rewrite_ahead();
        }
        let here = self.asm().here();
        let before = 4 * self.rng().between(1, 8);
        let start = (here + 8 + before).next_multiple_of(1024) - before;
        let go = self.asm().label();
        self.asm().jal(0, go);
        self.asm().pad_to(start);
        self.asm().place(go);
        self.rewrite_ahead();
    }

    /// Increments a word in the middle of the code, each time that control passes.
    pub(super) fn count_in_code(&mut self) {
        let (pointer, value) = self.draft.two_working();
        let (word, over) = (self.asm().label(), self.asm().label());
        let count = |generator: &mut Self| {
            let (load, store, offset) = generator.rng().pick(&[
                (Op::Lw, Op::Sw, 0),
                (Op::Lhu, Op::Sh, 0),
                (Op::Lh, Op::Sh, 2),
                (Op::Lbu, Op::Sb, 1),
                (Op::Lb, Op::Sb, 3),
            ]);
            generator.asm().la(pointer, word);
            generator.asm().i(load, value, pointer, offset);
            generator.asm().i(Op::Addi, value, value, 1);
            generator.asm().store(store, value, offset, pointer);
        };
        // The word lies after the code that counts, or before it.
        let behind = self.rng().one_in(2);
        if behind {
            count(self);
        }
        self.asm().jal(0, over);
        self.asm().place(word);
        let start = self.rng().word();
        self.asm().word(start);
        self.asm().place(over);
        if !behind {
            count(self);
        }
    }

    /// Returns an instruction with or without an immediate, in which every byte above the lowest two may be
    /// overwritten.
    pub(super) fn immediate_word(&mut self) -> u32 {
        let op = self.rng().pick(&[Op::Addi, Op::Xori, Op::Ori, Op::Andi, Op::Slti, Op::Sltiu]);
        let (rd, rs1, imm) = (self.draft.working(), self.draft.source(), self.draft.edge_immediate());
        encode(Instruction { op, rd, rs1, rs2: 0, imm: imm as u32 })
    }
}
