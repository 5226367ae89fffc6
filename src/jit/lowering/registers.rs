//! Registers are SSA values inside the region and are *written through*. Before any point that may leave (an access
//! that may need help, the end of a block), every register changed since the last such point is stored in the context.
//! So exits store no registers.
//!
//! Small loops are *lazy*: they store their loop-carried registers (`loop_carried.rs`) on the paths out of the loop,
//! which are then separate.

use cranelift_codegen::ir::{InstBuilder, Value};
use tachy_runtime::{Slot, layout};

use super::{Lowering, TRUSTED};
use crate::jit::analysis::liveness::RegisterSet;

impl Lowering<'_> {
    pub(super) fn register(&mut self, number: u8) -> Value {
        match number {
            0 => self.i32(0),
            _ => self.builder.use_var(self.registers[number as usize & 31]),
        }
    }

    pub(super) fn set_register(&mut self, number: u8, value: Value) {
        self.builder.def_var(self.registers[number as usize & 31], value);
        self.dirty |= 1 << number;
    }

    /// Stores all dirty registers, so that the context's registers are exact.
    pub(super) fn flush(&mut self) {
        self.flush_but(0);
    }

    /// Stores all dirty registers except these.
    pub(super) fn flush_but(&mut self, kept: RegisterSet) {
        let kept = self.dirty & kept;
        self.dirty &= !kept;
        self.store_dirty();
        self.dirty = kept;
    }

    /// Stores all dirty registers on a path that needs it.
    pub(super) fn store_dirty(&mut self) {
        for register in registers_of(self.dirty) {
            let value = self.builder.use_var(self.registers[register as usize]);
            let slot = if register == 0 { Slot::SHUNT } else { Slot::x(register) };
            self.builder.ins().store(TRUSTED, value, self.base, layout::register(slot));
        }
    }

    /// Prepares for an assist: a lazy loop stores dirty registers in the cold path that makes the request, other code
    /// at once.
    pub(super) fn flush_unless_lazy(&mut self) {
        if !self.lazy {
            self.flush();
        }
    }
}

/// Returns the numbers of the registers in a set.
pub(super) fn registers_of(set: RegisterSet) -> impl Iterator<Item = u8> {
    (0..32).filter(move |&register| set & 1 << register != 0)
}
