//! Soups: sequences of random instructions, with branches and jumps from anywhere to anywhere. They have control flow
//! that no compiler and no structured program produces. Most run until their step limit.

use super::*;

/// Hold addresses of random instructions.
const CODE_POINTERS: [u8; 3] = [24, 25, 26];
/// Holds an instruction that stores into code write.
const PATCH: u8 = 27;

pub fn generate(seed: u64, rng: Rng, length: Length, with_kernel: bool) -> RandomProgram {
    let mut draft = Draft::new(rng, with_kernel);
    let code_writable = draft.rng.one_in(3);
    let entry = draft.asm.here();
    draft.set_pointers();
    let count = draft.rng.between(20, 120);
    let labels: Vec<Label> = (0..=count).map(|_| draft.asm.label()).collect();
    for pointer in CODE_POINTERS {
        let label = draft.rng.pick(&labels);
        draft.asm.la(pointer, label);
    }
    let patch = encode(draft.random_compute());
    draft.asm.li(PATCH, patch);
    for &label in &labels[..count as usize] {
        draft.asm.place(label);
        draft.ingredient(&labels, code_writable);
    }
    draft.asm.place(labels[count as usize]);
    draft.asm.word(0);
    let limit_steps = 500 + draft.rng.below(length.steps / 8);
    draft.finish(seed, entry, code_writable, limit_steps)
}

impl Draft {
    /// Emits one instruction, or a few that belong together.
    fn ingredient(&mut self, labels: &[Label], code_writable: bool) {
        let target = self.rng.pick(labels);
        match self.rng.below(40) {
            0..21 => self.compute(),
            21 | 22 => self.chain(),
            23 => self.access_group(),
            24..29 => {
                let (op, imm) = self.rng.pick(&[
                    (Op::Lw, 0),
                    (Op::Lh, 2),
                    (Op::Lhu, 6),
                    (Op::Lb, 1),
                    (Op::Lbu, 3),
                    (Op::Sw, 8),
                    (Op::Sh, 10),
                    (Op::Sb, 7),
                    (Op::Sw, 0),
                    (Op::Lw, 4),
                ]);
                let (rd, rs2) = (self.destination(), self.source());
                self.asm.op(op, rd, DATA_POINTER, rs2, imm);
            }
            29..36 => {
                let op = self.rng.pick(&[Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu]);
                let (rs1, mut rs2) = (self.source(), self.source());
                if self.rng.one_in(4) {
                    rs2 = self.hostile_operand(&[rs1]);
                }
                self.asm.branch(op, rs1, rs2, target);
            }
            36 => {
                let rd = self.destination();
                self.asm.jal(rd, target);
            }
            37 => {
                let (rd, register) = (self.destination(), self.rng.pick(&CODE_POINTERS));
                let imm = self.rng.pick(&[0, 0, 4, 5, 8, -4]);
                self.asm.i(Op::Jalr, rd, register, imm);
            }
            38 if code_writable => {
                let (register, imm) = (self.rng.pick(&CODE_POINTERS), self.rng.pick(&[0, 4, 8, -4, -8]));
                self.asm.store(Op::Sw, PATCH, imm, register);
            }
            38 => self.asm.op(Op::Fence, 0, 0, 0, 0),
            _ => match self.rng.below(4) {
                0 => {
                    let (rd, rs1) = (self.destination(), self.source());
                    self.asm.i(Op::Jalr, rd, rs1, 0);
                }
                1 => {
                    let (rd, rs1) = (self.destination(), self.source());
                    self.asm.i(Op::Lw, rd, rs1, 0);
                }
                _ if self.with_kernel => self.kernel_call(),
                _ => self.asm.op(Op::Ecall, 0, 0, 0, 0),
            },
        }
    }
}
