//! Rows as IR: the sources of a step's 32 bytes, and how they are stored.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use tachy_runtime::ROW_BYTES;

use super::{Lowering, TRUSTED};
use crate::jit::analysis::region::Placed;
use crate::trace::Level;

/// The parts of a row that are not known at compile time; an absent part is 0.
#[derive(Default, Clone, Copy)]
pub(super) struct RowParts {
    pub(super) rs1: Option<Value>,
    pub(super) rs2: Option<Value>,
    pub(super) rd: Option<Value>,
    /// Address, word before, word after.
    pub(super) memory: Option<[Value; 3]>,
}

impl Lowering<'_> {
    /// Writes the current instruction's row, if the level requires rows: four stores of two columns each.
    pub(super) fn write_row(&mut self, placed: &Placed, row: &RowParts) {
        if self.level == Level::Off {
            return;
        }
        #[cfg(feature = "wrong-lowerings")]
        let row = &super::wrong::row(self, placed, row);
        // The block's last row ends at `after`.
        let offset = -(self.left as i32) * ROW_BYTES as i32;
        let constants = (placed.word as u64) << 32 | placed.pc as u64;
        let constants = self.builder.ins().iconst(types::I64, constants as i64);
        let operands = self.pair(row.rs1, row.rs2);
        let [address, before, after] = row.memory.map_or([None; 3], |memory| memory.map(Some));
        let result = self.pair(row.rd, address);
        let memory = self.pair(before, after);
        for (pair, column_bytes) in [(constants, 0), (operands, 8), (result, 16), (memory, 24)] {
            self.builder.ins().store(TRUSTED, pair, self.after, offset + column_bytes);
        }
    }

    /// Combines two columns into one value, the first in the low half.
    fn pair(&mut self, first: Option<Value>, second: Option<Value>) -> Value {
        let [first, second] =
            [first, second].map(|part| part.map(|value| self.builder.ins().uextend(types::I64, value)));
        let second = second.map(|value| self.builder.ins().ishl_imm_u(value, 32));
        match (first, second) {
            (Some(first), Some(second)) => self.builder.ins().bor(first, second),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.builder.ins().iconst(types::I64, 0),
        }
    }
}
