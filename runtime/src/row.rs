//! The row: the values that one step read, computed and wrote.

use bytemuck::{Pod, Zeroable};

/// Bytes of a row.
pub const ROW_BYTES: usize = size_of::<Row>();

/// One step of an execution trace: eight little-endian words, 32 bytes, in this order.
///
/// The step's number is the row's index in the trace, and the next row's `pc` is where the step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Row {
    /// Address of the instruction.
    pub pc: u32,
    /// Its encoding.
    pub insn: u32,
    /// Value read from the first source register; 0 if the instruction has none.
    pub rs1: u32,
    /// Value read from the second source register; 0 if the instruction has none.
    pub rs2: u32,
    /// Value computed for the destination register, even if that is x0; 0 if the instruction has none.
    pub rd: u32,
    /// Effective byte address of a load or store, else 0.
    pub addr: u32,
    /// The aligned word at `addr & !3` before the step; 0 without access.
    pub mem_before: u32,
    /// The same word after the step; equal to `mem_before` for a load, 0 without access.
    pub mem_after: u32,
}

const _: () = assert!(ROW_BYTES == 32);
