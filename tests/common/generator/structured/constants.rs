//! Control flow that depends on hostile constants: branches on them, jumps to addresses computed from them, and loops
//! that carry them from round to round.

use super::*;

const BRANCHES: [Op; 6] = [Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu];

impl Generator {
    /// Emits a branch on two hostile values, or on one and a register.
    pub(super) fn constant_branch(&mut self) -> u64 {
        let before = self.asm().here();
        let op = self.rng().pick(&BRANCHES);
        let (first, second) = self.draft.hostile_pair();
        let plain = self.draft.source();
        let a = if self.rng().one_in(4) { plain } else { self.draft.operand(first, &[plain]) };
        let b = match self.rng().below(8) {
            0 => a,
            1 | 2 => plain,
            3 | 4 => self.draft.known_operand(second, &[a, plain]),
            _ => self.draft.operand(second, &[a, plain]),
        };
        let cost = (self.asm().here() - before) / 4;
        u64::from(cost) + 1 + self.ways(op, a, b)
    }

    /// Emits an indirect jump to an address that the block's constants determine: an upper part and the rest, a base
    /// that is off by the immediate, a sum that wraps around, or an odd address.
    pub(super) fn constant_jump(&mut self) {
        let [target, over, end] = std::array::from_fn(|_| self.asm().label());
        self.asm().jal(0, over);
        self.asm().place(target);
        self.draft.compute();
        self.asm().jal(0, end);
        self.asm().place(over);
        let address = self.asm().address(target);
        let register = self.draft.working();
        // `jalr` ignores the lowest bit of the sum.
        let odd = self.rng().below(2) as u32;
        let sum = address + odd;
        let low = (sum << 20) as i32 >> 20;
        let mut imm = self.draft.edge_immediate();
        match self.rng().below(6) {
            0 => {
                imm = low;
                self.asm().op(Op::Lui, register, 0, 0, sum.wrapping_sub(low as u32) as i32);
            }
            1 => {
                // Like a call over any distance, except that the rest is added in two parts.
                let upper = sum.wrapping_add(0x800) & !0xfff;
                self.asm().op(Op::Lui, register, 0, 0, upper as i32);
                let part = sum.wrapping_sub(upper) as i32 / 2;
                self.asm().i(Op::Addi, register, register, part);
                imm = sum.wrapping_sub(upper) as i32 - part;
            }
            2 => {
                let here = self.asm().here();
                let distance = sum.wrapping_sub(here);
                imm = (distance << 20) as i32 >> 20;
                self.asm().op(Op::Auipc, register, 0, 0, distance.wrapping_sub(imm as u32) as i32);
            }
            3 => self.draft.put_sum(register, sum.wrapping_sub(imm as u32), &[]),
            _ => self.draft.put(register, sum.wrapping_sub(imm as u32)),
        }
        if self.rng().one_in(3) {
            let rd = self.draft.fresh(&[register]);
            let instruction = Instruction { rd, ..self.draft.random_compute() };
            self.asm().word(encode(instruction));
        }
        let other = self.draft.destination();
        let link = self.rng().pick(&[0, 0, register, other]);
        self.asm().i(Op::Jalr, link, register, imm);
        self.asm().place(end);
    }

    /// Emits a loop of chains over registers that are set before it. Some of them change a little in each round.
    pub(super) fn hostile_loop(&mut self) -> u64 {
        let before = self.asm().here();
        let counter = COUNTERS[self.nesting];
        self.nesting += 1;
        let mut held = 0;
        while held < 2 && self.draft.can_hold() {
            let changes = self.rng().one_in(2);
            self.draft.hold(changes);
            held += 1;
        }
        let times = self.rng().between(2, 14);
        self.asm().i(Op::Addi, counter, 0, times as i32);
        let top = self.asm().label_here();
        for _ in 0..self.rng().between(1, 4) {
            match self.rng().below(6) {
                0 | 1 => self.draft.access_group(),
                2 => self.draft.compute(),
                _ => self.draft.chain(),
            }
        }
        for at in self.draft.held.len() - held..self.draft.held.len() {
            if let (register, None) = self.draft.held[at] {
                let step = self.rng().pick(&[1, -1, 2, 31, 32, -32, 1024, -2048]);
                self.asm().i(Op::Addi, register, register, step);
            }
        }
        self.asm().i(Op::Addi, counter, counter, -1);
        self.asm().branch(Op::Blt, 0, counter, top);
        self.draft.release(held);
        self.nesting -= 1;
        u64::from((self.asm().here() - before) / 4) * u64::from(times)
    }
}
