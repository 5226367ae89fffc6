//! Arithmetic as IR: the second formulation of the semantics that the interpreter writes in Rust.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::operations::{Compute, Extension};
use super::{Lowering, arguments};
use crate::invariant::{BrokenInvariant, broken};
use crate::isa::Format;
use crate::jit::analysis::region::Placed;
use crate::jit::analysis::values::Form;

/// The requested result of a division.
#[derive(Clone, Copy)]
enum Part {
    Quotient,
    Remainder,
}

impl Lowering<'_> {
    /// Returns the value that the values pass has found for an instruction's result, if it has found one.
    pub(super) fn known_value(&mut self, form: Form) -> Result<Option<Value>, BrokenInvariant> {
        Ok(match form {
            Form::Sum(sum) => Some(self.sum(sum)?),
            Form::RotateRight(value, bits) => {
                let value = self.sum(value)?;
                Some(self.builder.ins().rotr_imm_u(value, i64::from(bits)))
            }
            Form::Operation | Form::Shift(_) | Form::Disjoint => None,
        })
    }

    /// Returns the value that an instruction assigns to rd, computed from its operands.
    pub(super) fn compute(
        &mut self,
        compute: Compute,
        placed: &Placed,
        form: Form,
        [a, b]: [Option<Value>; 2],
    ) -> Result<Value, BrokenInvariant> {
        if let Some(value) = self.known_value(form)? {
            return Ok(value);
        }
        let instruction = placed.instruction;
        let a = operand(a, placed)?;
        // The second operand: rs2, or the immediate in its place.
        let b = match (form, instruction.op.line().format) {
            (Form::Shift(bits), _) => self.i32(bits),
            (_, Format::R) => operand(b, placed)?,
            (_, Format::I | Format::Shift) => self.i32(instruction.imm),
            (_, Format::S | Format::B | Format::U | Format::J | Format::None) => {
                return Err(broken(format!("{:?} computes of two operands", instruction.op)));
            }
        };
        Ok(match compute {
            Compute::Add => self.builder.ins().iadd(a, b),
            Compute::Subtract => self.builder.ins().isub(a, b),
            Compute::Xor => self.builder.ins().bxor(a, b),
            Compute::Or if form == Form::Disjoint => self.builder.ins().iadd(a, b),
            Compute::Or => self.builder.ins().bor(a, b),
            Compute::And => self.builder.ins().band(a, b),
            // Cranelift takes shift amounts modulo the width, as RISC-V does.
            Compute::ShiftLeft => self.builder.ins().ishl(a, b),
            Compute::ShiftRight(Extension::Unsigned) => self.builder.ins().ushr(a, b),
            Compute::ShiftRight(Extension::Signed) => self.builder.ins().sshr(a, b),
            Compute::Less(Extension::Signed) => self.less(IntCC::SignedLessThan, a, b),
            Compute::Less(Extension::Unsigned) => self.less(IntCC::UnsignedLessThan, a, b),
            Compute::Multiply => self.builder.ins().imul(a, b),
            Compute::MultiplyHigh(of_a, of_b) => self.high_product((a, of_a), (b, of_b)),
            Compute::Divide(extension) => self.divide(Part::Quotient, extension, a, b),
            Compute::Remainder(extension) => self.divide(Part::Remainder, extension, a, b),
        })
    }

    fn less(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        let less = self.builder.ins().icmp(condition, a, b);
        self.builder.ins().uextend(types::I32, less)
    }

    /// Returns the high half of the product of two words.
    fn high_product(&mut self, a: (Value, Extension), b: (Value, Extension)) -> Value {
        let [a, b] = [a, b].map(|(value, extension)| match extension {
            Extension::Signed => self.builder.ins().sextend(types::I64, value),
            Extension::Unsigned => self.builder.ins().uextend(types::I64, value),
        });
        let product = self.builder.ins().imul(a, b);
        let high = self.builder.ins().ushr_imm_u(product, 32);
        self.builder.ins().ireduce(types::I32, high)
    }

    /// Lowers a division. The host may trap in a division by zero, and in a signed one by -1. The results of these
    /// divisors are computed in a separate block, so that all other divisions wait only for a branch that is easily
    /// predicted.
    fn divide(&mut self, part: Part, extension: Extension, a: Value, b: Value) -> Value {
        let is_rare = match extension {
            Extension::Signed => {
                let above = self.builder.ins().iadd_imm_s(b, 1);
                self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, above, 1)
            }
            Extension::Unsigned => self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0),
        };
        let [usual, rare, done] = std::array::from_fn(|_| self.builder.create_block());
        let result = self.builder.append_block_param(done, types::I32);
        self.builder.ins().brif(is_rare, rare, &[], usual, &[]);

        self.open(usual);
        let ins = self.builder.ins();
        let value = match (part, extension) {
            (Part::Quotient, Extension::Signed) => ins.sdiv(a, b),
            (Part::Remainder, Extension::Signed) => ins.srem(a, b),
            (Part::Quotient, Extension::Unsigned) => ins.udiv(a, b),
            (Part::Remainder, Extension::Unsigned) => ins.urem(a, b),
        };
        self.builder.ins().jump(done, &arguments(&[value]));

        self.open_cold(rare);
        let value = match (part, extension) {
            (Part::Quotient, Extension::Unsigned) => self.i32(u32::MAX),
            (Part::Remainder, Extension::Unsigned) => a,
            (_, Extension::Signed) => {
                let by_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
                let [at_zero, at_minus_one] = match part {
                    Part::Quotient => [self.i32(u32::MAX), self.builder.ins().ineg(a)],
                    Part::Remainder => [a, self.i32(0)],
                };
                self.builder.ins().select(by_zero, at_zero, at_minus_one)
            }
        };
        self.builder.ins().jump(done, &arguments(&[value]));
        self.open(done);
        result
    }
}

/// Returns an operand that the format of the instruction must have.
pub(super) fn operand(value: Option<Value>, placed: &Placed) -> Result<Value, BrokenInvariant> {
    value.ok_or_else(|| broken(format!("{:?} at {:#010x} lacks an operand", placed.instruction.op, placed.pc)))
}
