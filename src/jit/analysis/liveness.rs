//! Liveness: which registers a block reads before it writes them. An entry has to load these. Pure.
//!
//! Registers are written through to the context before anything can read them there, so no register is live where a
//! region is left.

use super::region::{Block, Region};

/// A set of registers, one bit each; x0 is never in it.
pub(crate) type RegisterSet = u32;

/// Returns the registers live at the start of each block of `region`.
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

/// Returns the registers read before they are written in the block, and the registers written in it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::analysis::testing::{assemble, registers};

    #[test]
    fn live_registers_are_read_before_they_are_written() {
        let cases: [(&str, &str, &[&str]); 4] = [
            ("read, then written", "main: addi x5,x6,1\n add x6,x5,x7\n ecall", &["main: x6 x7"]),
            ("x0 is never live", "main: add x5,x0,x0\n sw x0,0(x5)\n ecall", &[]),
            (
                "on one of two ways",
                "main: beq x5,x0,a\nb: addi x6,x7,1\n jal x0,main\na: addi x8,x9,1\n jal x0,main",
                &["main: x5 x7 x9", "b: x5 x7 x9", "a: x5 x7 x9"],
            ),
            (
                "written on the way there",
                "main: addi x6,x0,1\nloop: add x7,x7,x6\n bne x7,x8,loop\n addi x9,x7,0\n ecall",
                &["main: x7 x8", "loop: x6 x7 x8", "loop+8: x7"],
            ),
        ];
        for (what, text, expected) in cases {
            let guest = assemble(text);
            let region = guest.region();
            assert_eq!(guest.by_block(&region, &live_in(&region), registers), expected, "{what}");
        }
    }
}
