//! Loop-carried registers: small loops keep the registers that they change out of the context from one round to the
//! next. They store them where the loop is left or an assist needs them. Pure.
//!
//! ```text
//! loop: addi x5,x5,-1      x5 and x7 are changed in the loop and live at its head, so they are loop-carried:
//!       add  x7,x7,x5      nothing is stored in a round
//!       bne  x5,x0,loop
//!       sw   x7,0(x2)      behind the loop both are stored
//! ```

use std::collections::BTreeSet;

use super::liveness::{RegisterSet, uses_and_defs};
use super::region::Region;

/// Maximum number of blocks of a small loop: each assist in it stores all loop-carried registers.
const LOOP_BLOCKS: usize = 6;

/// For each block of `region`, returns the registers that need not be in the context at its start. `live` says which
/// are live there: a loop carries registers that it changes from one round to the next.
pub(crate) fn loop_carried(region: &Region, live: &[RegisterSet]) -> Vec<RegisterSet> {
    let mut loop_carried = vec![0; region.blocks.len()];
    for small_loop in small_loops(region) {
        let changed = small_loop.blocks.iter().map(|&index| uses_and_defs(&region.blocks[index]).1);
        let changed = changed.fold(0, |all, one| all | one) & live[small_loop.head];
        small_loop.blocks.iter().for_each(|&index| loop_carried[index] = changed);
    }
    loop_carried
}

struct Loop {
    /// Its only block that can be entered from outside.
    head: usize,
    blocks: BTreeSet<usize>,
}

/// Returns the loops that have few blocks and contain no other loop.
fn small_loops(region: &Region) -> Vec<Loop> {
    let mut ways_in = vec![Vec::new(); region.blocks.len()];
    for (index, block) in region.blocks.iter().enumerate() {
        block.end.successors().for_each(|next| ways_in[next].push(index));
    }
    let back = ways_in.iter().enumerate().flat_map(|(head, from)| from.iter().map(move |&tail| (head, tail)));
    let mut loops: Vec<Loop> = back
        .filter(|(head, tail)| head <= tail)
        .filter_map(|(head, tail)| natural_loop(region, &ways_in, head, tail))
        .collect();
    loops.sort_by_key(|small_loop| small_loop.blocks.len());
    let mut taken = BTreeSet::new();
    loops.retain(|small_loop| {
        let is_free = taken.is_disjoint(&small_loop.blocks);
        if is_free {
            taken.extend(&small_loop.blocks);
        }
        is_free
    });
    loops
}

/// Returns the blocks from which `tail`, which goes back to `head`, is reached without going through `head`. Returns
/// `None` if there are many, or if they can be entered other than through `head`.
fn natural_loop(region: &Region, ways_in: &[Vec<usize>], head: usize, tail: usize) -> Option<Loop> {
    let mut blocks = BTreeSet::from([head]);
    let mut next = vec![tail];
    while let Some(index) = next.pop() {
        if !blocks.insert(index) {
            continue;
        }
        if blocks.len() > LOOP_BLOCKS || ways_in[index].is_empty() || region.entries.contains(&index) {
            return None;
        }
        next.extend(&ways_in[index]);
    }
    Some(Loop { head, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::analysis::liveness::live_in;
    use crate::jit::analysis::testing::{assemble, registers};

    #[test]
    fn small_loops_carry_what_they_change_and_read_again() {
        let large = "beq x6,x0,out\n ".repeat(6);
        let large = format!("main: addi x5,x5,-1\n {large} jal x0,main\nout: ecall");
        let cases: [(&str, &str, &[&str]); 6] = [
            (
                "a counter and a sum; x8 is written before it is read",
                "main: addi x5,x0,9\nloop: addi x5,x5,-1\n add x7,x7,x5\n addi x8,x5,1\n bne x5,x0,loop\n ecall",
                &["loop: x5 x7"],
            ),
            (
                "two blocks",
                "main: addi x9,x0,1\nloop: addi x5,x5,-1\n beq x5,x6,out\nmore: addi x7,x7,1\n jal x0,loop\nout: ecall",
                &["loop: x5 x7", "more: x5 x7"],
            ),
            (
                "the inner of two loops alone",
                "main: addi x5,x5,-1\ninner: addi x6,x6,-1\n bne x6,x0,inner\n bne x5,x0,main\n ecall",
                &["inner: x6"],
            ),
            ("no loop", "main: addi x5,x5,1\n beq x5,x0,out\n addi x6,x6,1\nout: ecall", &[]),
            (
                "a loop that is entered in its middle, where a call comes back",
                "main: addi x5,x0,9\nloop: addi x5,x5,-1\n jal x1,f\nback: bne x5,x0,loop\n ecall\nf: jalr x0,0(x1)",
                &[],
            ),
            ("seven blocks", &large, &[]),
        ];
        for (what, text, expected) in cases {
            let guest = assemble(text);
            let region = guest.region();
            let found = loop_carried(&region, &live_in(&region));
            assert_eq!(guest.by_block(&region, &found, registers), expected, "{what}");
        }
    }
}
