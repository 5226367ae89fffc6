//! Arithmetic as IR: the second writing of what the interpreter says in Rust.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::Lowering;
use crate::isa::{Format, Op};
use crate::jit::region::Placed;

impl Lowering<'_> {
    /// The value an instruction of class Compute gives to rd, out of its operands.
    pub(super) fn compute(&mut self, placed: &Placed, a: Option<Value>, b: Option<Value>) -> Value {
        let instruction = placed.instruction;
        let imm = instruction.imm;
        match instruction.op {
            Op::Lui => return self.i32(imm),
            Op::Auipc => return self.i32(placed.pc.wrapping_add(imm)),
            // `li` and `mv`.
            Op::Addi if instruction.rs1 == 0 => return self.i32(imm),
            Op::Addi if imm == 0 && a.is_some() => return a.unwrap_or(self.base),
            _ => {}
        }
        let zero = |lowering: &mut Self| lowering.i32(0);
        let a = a.unwrap_or_else(|| zero(self));
        // The second operand: rs2, or the immediate in its place.
        let b = match instruction.op.line().format {
            Format::R => b.unwrap_or_else(|| zero(self)),
            _ => self.i32(imm),
        };
        match instruction.op {
            Op::Add | Op::Addi => self.builder.ins().iadd(a, b),
            Op::Sub => self.builder.ins().isub(a, b),
            Op::Xor | Op::Xori => self.builder.ins().bxor(a, b),
            Op::Or => match self.rotation(a, b).or_else(|| self.rotation(b, a)) {
                Some(rotated) => rotated,
                None => self.builder.ins().bor(a, b),
            },
            Op::Ori => self.builder.ins().bor(a, b),
            Op::And | Op::Andi => self.builder.ins().band(a, b),
            // Cranelift takes shift amounts modulo the width, as RISC-V does.
            Op::Sll | Op::Slli => self.builder.ins().ishl(a, b),
            Op::Srl | Op::Srli => self.builder.ins().ushr(a, b),
            Op::Sra | Op::Srai => self.builder.ins().sshr(a, b),
            Op::Slt | Op::Slti => self.less(IntCC::SignedLessThan, a, b),
            Op::Sltu | Op::Sltiu => self.less(IntCC::UnsignedLessThan, a, b),
            Op::Mul => self.builder.ins().imul(a, b),
            Op::Mulh => self.high_product(a, true, b, true),
            Op::Mulhsu => self.high_product(a, true, b, false),
            Op::Mulhu => self.high_product(a, false, b, false),
            Op::Div | Op::Rem => self.divide_signed(instruction.op, a, b),
            Op::Divu | Op::Remu => self.divide_unsigned(instruction.op, a, b),
            // Not of class Compute.
            _ => a,
        }
    }

    fn less(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        let less = self.builder.ins().icmp(condition, a, b);
        self.builder.ins().uextend(types::I32, less)
    }

    /// The high half of the product of two words, each signed or not.
    fn high_product(&mut self, a: Value, a_signed: bool, b: Value, b_signed: bool) -> Value {
        let [a, b] = [(a, a_signed), (b, b_signed)].map(|(value, signed)| match signed {
            true => self.builder.ins().sextend(types::I64, value),
            false => self.builder.ins().uextend(types::I64, value),
        });
        let product = self.builder.ins().imul(a, b);
        let high = self.builder.ins().ushr_imm_u(product, 32);
        self.builder.ins().ireduce(types::I32, high)
    }

    /// `div` and `rem`. Where the host would trap, by zero and at the one overflow, it divides by 1 instead: that gives
    /// the overflow's results at once, and for zero the results are chosen afterwards.
    fn divide_signed(&mut self, op: Op, a: Value, b: Value) -> Value {
        let by_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let by_minus_one = self.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let lowest = self.builder.ins().icmp_imm_s(IntCC::Equal, a, i32::MIN as i64);
        let overflow = self.builder.ins().band(by_minus_one, lowest);
        let unsafe_divisor = self.builder.ins().bor(by_zero, overflow);
        let one = self.i32(1);
        let divisor = self.builder.ins().select(unsafe_divisor, one, b);
        match op {
            Op::Div => {
                let quotient = self.builder.ins().sdiv(a, divisor);
                let minus_one = self.i32(u32::MAX);
                self.builder.ins().select(by_zero, minus_one, quotient)
            }
            _ => {
                let remainder = self.builder.ins().srem(a, divisor);
                self.builder.ins().select(by_zero, a, remainder)
            }
        }
    }

    /// `divu` and `remu`, with results of their own for a divisor of zero.
    fn divide_unsigned(&mut self, op: Op, a: Value, b: Value) -> Value {
        let by_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let one = self.i32(1);
        let divisor = self.builder.ins().select(by_zero, one, b);
        match op {
            Op::Divu => {
                let quotient = self.builder.ins().udiv(a, divisor);
                let all_ones = self.i32(u32::MAX);
                self.builder.ins().select(by_zero, all_ones, quotient)
            }
            _ => {
                let remainder = self.builder.ins().urem(a, divisor);
                self.builder.ins().select(by_zero, a, remainder)
            }
        }
    }
}
