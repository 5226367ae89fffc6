//! Arithmetic as IR: the second writing of what the interpreter says in Rust.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::{Lowering, arguments};
use crate::isa::{Format, Op};
use crate::jit::analysis::region::Placed;
use crate::jit::analysis::values::Form;

impl Lowering<'_> {
    /// The value an instruction of class Compute gives to rd, out of its operands.
    pub(super) fn compute(&mut self, placed: &Placed, form: Form, a: Option<Value>, b: Option<Value>) -> Value {
        match form {
            Form::Sum(sum) => return self.sum(sum),
            Form::RotateRight(value, bits) => {
                let value = self.sum(value);
                return self.builder.ins().rotr_imm_u(value, i64::from(bits));
            }
            Form::Operation | Form::Shift(_) | Form::Disjoint => {}
        }
        let instruction = placed.instruction;
        let zero = |lowering: &mut Self| lowering.i32(0);
        let a = a.unwrap_or_else(|| zero(self));
        // The second operand: rs2, or the immediate in its place.
        let b = match (form, instruction.op.line().format) {
            (Form::Shift(bits), _) => self.i32(bits),
            (_, Format::R) => b.unwrap_or_else(|| zero(self)),
            _ => self.i32(instruction.imm),
        };
        match instruction.op {
            Op::Add | Op::Addi => self.builder.ins().iadd(a, b),
            Op::Sub => self.builder.ins().isub(a, b),
            Op::Xor | Op::Xori => self.builder.ins().bxor(a, b),
            Op::Or if form == Form::Disjoint => self.builder.ins().iadd(a, b),
            Op::Or | Op::Ori => self.builder.ins().bor(a, b),
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
            Op::Div | Op::Rem | Op::Divu | Op::Remu => self.divide(instruction.op, a, b),
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

    /// Divisions. By zero, and in signed ones by -1, the host might trap: what they give then is worked out beside the way
    /// of all others, which wait for nothing but a branch that is easily guessed.
    fn divide(&mut self, op: Op, a: Value, b: Value) -> Value {
        let is_rare = match op {
            Op::Div | Op::Rem => {
                let above = self.builder.ins().iadd_imm_s(b, 1);
                self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, above, 1)
            }
            _ => self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0),
        };
        let [usual, rare, done] = std::array::from_fn(|_| self.builder.create_block());
        let result = self.builder.append_block_param(done, types::I32);
        self.builder.ins().brif(is_rare, rare, &[], usual, &[]);

        self.open(usual);
        let ins = self.builder.ins();
        let value = match op {
            Op::Div => ins.sdiv(a, b),
            Op::Rem => ins.srem(a, b),
            Op::Divu => ins.udiv(a, b),
            _ => ins.urem(a, b),
        };
        self.builder.ins().jump(done, &arguments(&[value]));

        self.open_cold(rare);
        let value = match op {
            Op::Divu => self.i32(u32::MAX),
            Op::Remu => a,
            _ => {
                let by_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
                let [at_zero, at_minus_one] = match op {
                    Op::Div => [self.i32(u32::MAX), self.builder.ins().ineg(a)],
                    _ => [a, self.i32(0)],
                };
                self.builder.ins().select(by_zero, at_zero, at_minus_one)
            }
        };
        self.builder.ins().jump(done, &arguments(&[value]));
        self.open(done);
        result
    }
}
