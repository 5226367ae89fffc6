//! The IR values for the sums of the values pass, so that a block computes each sum only once.
//!
//! The values pass alone decides the value of a sum: nothing here looks at how the IR computed it.

use cranelift_codegen::ir::{InstBuilder, Value};
use foldhash::HashMap;

use super::Lowering;
use crate::invariant::{BrokenInvariant, broken};
use crate::jit::analysis::values::{Base, Sum};

/// IR values of one block.
#[derive(Default)]
pub(super) struct Sums {
    /// Values of registers at the start of the block, if it has read them.
    entries: [Option<Value>; 32],
    /// Results of its instructions so far.
    pub(super) results: HashMap<usize, Value>,
    /// Sums with a nonzero constant.
    computed: Vec<(Sum, Value)>,
}

impl Lowering<'_> {
    /// Returns the value of a register that the next instruction reads; its value is `sum`.
    pub(super) fn operand(&mut self, register: u8, sum: Sum) -> Value {
        let value = self.register(register);
        if let Sum { base: Base::Entry(entry), offset: 0 } = sum {
            self.sums.entries[entry as usize & 31].get_or_insert(value);
        }
        value
    }

    /// Returns the value of `sum`, and computes it if the block has not done so. Must not be called in cold blocks,
    /// because values computed there do not reach the rest of the block.
    pub(super) fn sum(&mut self, sum: Sum) -> Result<Value, BrokenInvariant> {
        if let Some(&(_, value)) = self.sums.computed.iter().find(|(known, _)| *known == sum) {
            return Ok(value);
        }
        let Some(base) = self.base_value(sum.base)? else { return Ok(self.i32(sum.offset)) };
        if sum.offset == 0 {
            return Ok(base);
        }
        let value = self.plus(base, sum.offset as i32 as i64);
        self.sums.computed.push((sum, value));
        Ok(value)
    }

    /// Returns the value of a base; `None` for 0.
    fn base_value(&mut self, base: Base) -> Result<Option<Value>, BrokenInvariant> {
        match base {
            Base::Zero => Ok(None),
            // If no instruction has read the register yet, it still holds that value: a value that was overwritten
            // before any read is in no sum.
            Base::Entry(register) => {
                let value = self.sums.entries[register as usize & 31];
                Ok(Some(value.unwrap_or_else(|| self.operand(register, Sum { base, offset: 0 }))))
            }
            Base::Result(index) => match self.sums.results.get(&index) {
                Some(&value) => Ok(Some(value)),
                None => Err(broken(format!("a sum with the result of instruction {index}, which is not computed yet"))),
            },
        }
    }

    /// Returns `value + constant`.
    pub(super) fn plus(&mut self, value: Value, constant: i64) -> Value {
        match constant {
            0 => value,
            _ => self.builder.ins().iadd_imm_s(value, constant),
        }
    }
}
