//! What is known of a value from how it was made: constants, sums with a constant, shifts by one. Cranelift's optimiser
//! would find these too, but costs more than they give; so they are looked for where guests have them all the time.

use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Value};

use super::Lowering;

impl Lowering<'_> {
    /// `value + constant`, where both may be constant or `value` a sum with a constant already.
    pub(super) fn add(&mut self, value: Value, constant: i64) -> Value {
        if constant == 0 {
            return value;
        }
        let (value, constant) = match self.operation(value) {
            Some((Opcode::Iadd, inner, before)) => (inner, constant.wrapping_add(before)),
            _ => (value, constant),
        };
        self.builder.ins().iadd_imm_s(value, constant)
    }

    /// The rotated value, where `left` and `right` are one value shifted left and right by what makes 32 together.
    pub(super) fn rotation(&mut self, left: Value, right: Value) -> Option<Value> {
        let (Opcode::Ishl, value, left_bits) = self.operation(left)? else { return None };
        let (Opcode::Ushr, same, right_bits) = self.operation(right)? else { return None };
        (value == same && left_bits + right_bits == 32).then(|| self.builder.ins().rotr_imm_u(value, right_bits))
    }

    /// How `value` was made out of another one and a constant, if it was.
    fn operation(&self, value: Value) -> Option<(Opcode, Value, i64)> {
        let InstructionData::Binary { opcode, args: [first, second] } = self.made_by(value)? else { return None };
        let InstructionData::UnaryImm { imm, .. } = self.made_by(second)? else { return None };
        Some((opcode, self.builder.func.dfg.resolve_aliases(first), imm.bits()))
    }

    fn made_by(&self, value: Value) -> Option<InstructionData> {
        let dfg = &self.builder.func.dfg;
        dfg.value_def(dfg.resolve_aliases(value)).inst().map(|inst| dfg.insts[inst])
    }
}
