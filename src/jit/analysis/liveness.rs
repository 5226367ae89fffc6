//! Which registers a block reads before it writes them: what an entry has to load. Pure.
//!
//! Registers are written through to the context before anything can look at them there, so nothing is live where a
//! region is left.

use super::region::{Block, Region};

/// A set of registers, one bit each; x0 is never in it.
pub(crate) type RegisterSet = u32;

/// The registers live at the start of each block of `region`.
pub(crate) fn live_in(region: &Region) -> Vec<RegisterSet> {
    let uses_and_defs: Vec<_> = region.blocks.iter().map(uses_and_defs).collect();
    let mut live = vec![0; region.blocks.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (index, block) in region.blocks.iter().enumerate().rev() {
            let out = block.end.successors().map(|successor| live[successor]).fold(0, |all, one| all | one);
            let (uses, defs) = uses_and_defs[index];
            let at_start = uses | (out & !defs);
            changed |= at_start != live[index];
            live[index] = at_start;
        }
    }
    live
}

/// Registers read before written in the block, and registers written in it.
pub(crate) fn uses_and_defs(block: &Block) -> (RegisterSet, RegisterSet) {
    let (mut uses, mut defs) = (0, 0);
    for placed in &block.instructions {
        let instruction = placed.instruction;
        let format = instruction.op.line().format;
        if format.has_rs1() {
            uses |= 1 << instruction.rs1 & !defs;
        }
        if format.has_rs2() {
            uses |= 1 << instruction.rs2 & !defs;
        }
        if format.has_rd() {
            defs |= 1 << instruction.rd;
        }
    }
    (uses & !1, defs & !1)
}
