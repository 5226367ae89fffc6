//! What is known of a value from how it was made: sums with a constant, shifts by one. Cranelift's optimiser
//! would find these too, but costs more than they give; so they are looked for where guests have them all the time.

use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, Value, types};

use super::Lowering;

impl Lowering<'_> {
    /// `value + constant`, from what `value` is made of if it is a sum with a constant already.
    pub(super) fn add(&mut self, value: Value, constant: i64) -> Value {
        if constant == 0 {
            return value;
        }
        match self.unfolded(value, constant) {
            (value, 0) => value,
            (value, constant) => self.builder.ins().iadd_imm_s(value, constant),
        }
    }

    /// As [`Lowering::add`], of addresses: what is computed twice in a block is computed once. Not for cold blocks, from
    /// which nothing leads back to what is computed there.
    pub(super) fn sum(&mut self, value: Value, constant: u32) -> Value {
        let parts = self.unfolded(value, constant as i32 as i64);
        if let Some(&(_, sum)) = self.sums.iter().find(|(known, _)| *known == parts) {
            return sum;
        }
        let sum = self.add(value, constant as i32 as i64);
        self.sums.push((parts, sum));
        sum
    }

    /// The same sum, of a value that is no sum with a constant itself.
    fn unfolded(&self, value: Value, constant: i64) -> (Value, i64) {
        match self.operation(value) {
            // Values of 32 bits wrap around, and these are as good as their low half.
            Some((Opcode::Iadd, inner, before)) => match self.builder.func.dfg.value_type(value) {
                types::I32 => (inner, (before.wrapping_add(constant)) as i32 as i64),
                _ => (inner, before.wrapping_add(constant)),
            },
            _ => (value, constant),
        }
    }

    /// `left | right`, where these are values shifted left and right by what makes 32 together: a rotation, if it is one
    /// value. Otherwise their sum, which is the same as they have no bit in common; Cranelift makes a double shift of
    /// the `or`, and AMD's processors take several steps for that.
    pub(super) fn joined(&mut self, left: Value, right: Value) -> Option<Value> {
        let (Opcode::Ishl, value, left_bits) = self.operation(left)? else { return None };
        let (Opcode::Ushr, other, right_bits) = self.operation(right)? else { return None };
        (left_bits + right_bits == 32).then(|| match value == other {
            true => self.builder.ins().rotr_imm_u(value, right_bits),
            false => self.builder.ins().iadd(left, right),
        })
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
