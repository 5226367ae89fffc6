//! Arithmetic on hostile values, in the chains that a translator likes to simplify: combined shifts, sums of constants,
//! products and quotients, copies, and unused results.

use super::*;

const SHIFTS: [Op; 3] = [Op::Sll, Op::Srl, Op::Sra];
const PRODUCTS: [Op; 8] = [Op::Mul, Op::Mulh, Op::Mulhsu, Op::Mulhu, Op::Div, Op::Divu, Op::Rem, Op::Remu];
const OTHERS: [Op; 7] = [Op::Add, Op::Sub, Op::Slt, Op::Sltu, Op::Xor, Op::Or, Op::And];
const BRANCHES: [Op; 6] = [Op::Beq, Op::Bne, Op::Blt, Op::Bge, Op::Bltu, Op::Bgeu];
const IMMEDIATE: [Op; 6] = [Op::Addi, Op::Slti, Op::Sltiu, Op::Xori, Op::Ori, Op::Andi];

impl Draft {
    /// Emits a few instructions of one kind.
    pub(super) fn chain(&mut self) {
        match self.rng.below(18) {
            0..6 => self.joined_shifts(),
            6 => self.operations(&SHIFTS),
            7..10 => self.operations(&PRODUCTS),
            10 | 11 => self.operations(&OTHERS),
            12 => self.immediates(),
            13 => self.sums(),
            14..17 => self.branches(),
            _ => self.copies(),
        }
    }

    /// Emits two shifts with related amounts and an instruction that combines them: a rotation, or something that looks
    /// like one.
    fn joined_shifts(&mut self) {
        let n = self.rng.between(1, 32);
        let amounts = match self.rng.below(12) {
            0..3 => (n, 32 - n),
            3..6 => self.rng.pick(&[(0, 32), (32, 0), (0, 32), (32, 0), (0, 0)]),
            6 => (n, n),
            7 => (n.wrapping_neg(), n),
            8 => (n, 64 - n),
            9 => (32 + n, n.wrapping_neg()),
            10 => self.rng.pick(&[(33, -1i32 as u32), (-32i32 as u32, 64), (16, 16), (32, 32), (31, 33)]),
            _ => self.hostile_pair(),
        };
        let ops = match self.rng.below(8) {
            0 => self.rng.pick(&[(Op::Sll, Op::Sra), (Op::Sra, Op::Sll)]),
            1 => self.rng.pick(&[(Op::Srl, Op::Srl), (Op::Sll, Op::Sll)]),
            2..5 => (Op::Srl, Op::Sll),
            _ => (Op::Sll, Op::Srl),
        };
        let value = self.rich_source(&[]);
        let other = if self.rng.one_in(4) { value } else { self.rich_source(&[value]) };
        let first = self.fresh(&[value, other]);
        self.shift(ops.0, first, value, amounts.0, &[other]);
        if self.rng.one_in(8) {
            self.asm.i(Op::Addi, first, first, 0);
        }
        let second = self.fresh(&[first]);
        self.shift(ops.1, second, other, amounts.1, &[first]);
        let join = self.rng.pick(&[Op::Or, Op::Or, Op::Or, Op::Or, Op::Or, Op::Xor, Op::Add, Op::Sub, Op::And]);
        let (a, b) = if self.rng.one_in(2) { (first, second) } else { (second, first) };
        let rd = self.destination();
        self.asm.r(join, rd, a, b);
    }

    /// Picks a register that often has many bits set and many clear, and that is not in `taken`.
    fn rich_source(&mut self, taken: &[u8]) -> u8 {
        if self.rng.one_in(2) {
            return self.source();
        }
        let (register, bits) = (self.fresh(taken), self.rng.bits() as u32);
        match self.rng.one_in(3) {
            true => self.put(register, bits),
            false => self.asm.op(Op::Lui, register, 0, 0, (bits & !0xfff) as i32),
        }
        register
    }

    /// Emits a shift by `amount`: sometimes an immediate if it fits, otherwise a register. Does not change `kept`.
    fn shift(&mut self, op: Op, rd: u8, value: u8, amount: u32, kept: &[u8]) {
        let immediate = match op {
            Op::Sll => Op::Slli,
            Op::Srl => Op::Srli,
            _ => Op::Srai,
        };
        if amount < 32 && self.rng.one_in(2) {
            return self.asm.i(immediate, rd, value, amount as i32);
        }
        let taken = [kept, &[value]].concat();
        let by = match self.rng.one_in(2) {
            true => self.known_operand(amount, &taken),
            false => self.operand(amount, &taken),
        };
        self.asm.r(op, rd, value, by);
    }

    /// Emits instructions on the same two registers, of which one or both are hostile. Sometimes repeats them with
    /// operands that are built in other ways.
    fn operations(&mut self, ops: &[Op]) {
        let (a, b) = self.hostile_pair();
        let plain = self.source();
        let kind = self.rng.below(9);
        let op = self.rng.pick(ops);
        for _ in 0..self.rng.between(1, 3) {
            let rs1 = if kind == 0 { plain } else { self.operand(a, &[plain]) };
            let rs2 = match kind {
                1 => plain,
                2 => rs1,
                3 => self.hostile_operand(&[plain, rs1]),
                4..6 => self.known_operand(b, &[plain, rs1]),
                _ => self.operand(b, &[plain, rs1]),
            };
            for number in 0..self.rng.between(1, 5) {
                let op = if number == 0 { op } else { self.rng.pick(ops) };
                let rd = if self.rng.one_in(12) { 0 } else { self.fresh(&[plain, rs1, rs2]) };
                let (rs1, rs2) = if self.rng.one_in(4) { (rs2, rs1) } else { (rs1, rs2) };
                self.asm.r(op, rd, rs1, rs2);
            }
        }
    }

    /// Emits branches on the same two registers, each over one instruction.
    fn branches(&mut self) {
        let (a, b) = self.hostile_pair();
        let rs1 = self.operand(a, &[]);
        let rs2 = match self.rng.below(4) {
            0 => self.source(),
            1 => self.known_operand(b, &[rs1]),
            _ => self.operand(b, &[rs1]),
        };
        for _ in 0..self.rng.between(1, 4) {
            let op = self.rng.pick(&BRANCHES);
            let (rs1, rs2) = if self.rng.one_in(3) { (rs2, rs1) } else { (rs1, rs2) };
            let over = self.asm.label();
            self.asm.branch(op, rs1, rs2, over);
            let (rd, imm) = (self.fresh(&[rs1, rs2]), self.edge_immediate());
            self.asm.i(Op::Addi, rd, rd, imm);
            self.asm.place(over);
        }
    }

    /// Emits two dependent instructions with edge-case immediates.
    fn immediates(&mut self) {
        let mut register = self.hostile_operand(&[]);
        for _ in 0..self.rng.between(1, 4) {
            let (op, imm, rd) = (self.rng.pick(&IMMEDIATE), self.edge_immediate(), self.destination());
            self.asm.i(op, rd, register, imm);
            register = if rd == 0 { register } else { rd };
        }
    }

    /// Emits sums of an upper part and immediates, or of constants in registers, that wrap around at either end.
    fn sums(&mut self) {
        let mut register = self.working();
        let upper = self.rng.pick(&[0, 0x1000, 0x7fff_f000, 0x8000_0000, 0xffff_f000, 0xffff_e000, 0xfffe_f000u32]);
        match self.rng.below(3) {
            0 => self.asm.op(Op::Lui, register, 0, 0, upper as i32),
            1 => self.asm.op(Op::Auipc, register, 0, 0, upper as i32),
            _ => {
                let value = self.hostile();
                self.put(register, value);
            }
        }
        for _ in 0..self.rng.between(1, 6) {
            let rd = if self.rng.one_in(2) { register } else { self.working() };
            match self.rng.below(4) {
                0 => {
                    let other = self.hostile_operand(&[register]);
                    let op = self.rng.pick(&[Op::Add, Op::Sub]);
                    let (a, b) = if self.rng.one_in(2) { (register, other) } else { (other, register) };
                    self.asm.r(op, rd, a, b);
                }
                _ => {
                    let imm = self.edge_immediate();
                    self.asm.i(Op::Addi, rd, register, imm);
                }
            }
            register = rd;
        }
    }

    /// Emits copies back and forth, of a register to itself, and with results for x0 in between.
    fn copies(&mut self) {
        let (a, b) = self.two_working();
        let value = self.hostile();
        self.put(a, value);
        for _ in 0..self.rng.between(2, 6) {
            let (from, to) = self.rng.pick(&[(a, b), (b, a), (a, a), (0, a), (b, 0)]);
            match self.rng.below(6) {
                0 | 1 => self.asm.i(Op::Addi, to, from, 0),
                2 => {
                    let op = self.rng.pick(&[Op::Sub, Op::Xor, Op::And, Op::Or, Op::Slt, Op::Sltu, Op::Add, Op::Sll]);
                    self.asm.r(op, to, from, from);
                }
                3 => {
                    let (op, imm) = (self.rng.pick(&IMMEDIATE), self.edge_immediate());
                    self.asm.i(op, 0, from, imm);
                }
                4 => {
                    let op = self.rng.pick(&[Op::Add, Op::Or, Op::Xor, Op::Sub]);
                    self.asm.r(op, to, 0, from);
                }
                _ => {
                    let (op, other) = (self.rng.pick(&PRODUCTS), self.source());
                    self.asm.r(op, 0, from, other);
                }
            }
        }
    }
}
