//! Which blocks of a region ask for their steps, and for how many at once. Pure.
//!
//! A block with one way in, which comes from another block, need not ask: the block before it asks for both. So along
//! every path from a block that asks, up to the next that asks, there are at most as many steps as the first took.
//!
//! ```text
//!    A asks for 2 + max(3, 1) = 5      B and C have one way in, from A: they do not ask
//!    2 steps                           D has two ways in: it asks for itself
//!   /       \
//!  B 3      C 1
//!   \       /
//!    D asks for 4
//! ```
//!
//! A chain of such blocks requests again before it exceeds what fits a row buffer ([`BLOCK_INSTRUCTIONS`]).

use super::region::{BLOCK_INSTRUCTIONS, Region};

/// The budget of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Whether the block itself has to ask, rather than the one before it.
    pub(crate) asks: bool,
    /// Steps of the block and of those behind it that do not ask, on the longest path.
    pub(crate) steps: usize,
}

/// Returns the share of each block.
pub(crate) fn shares(region: &Region) -> Vec<Share> {
    let count = region.blocks.len();
    let steps = |index: usize| region.blocks[index].instructions.len();
    let mut ways_in = vec![0; count];
    for next in region.blocks.iter().flat_map(|block| block.end.successors()) {
        ways_in[next] += 1;
    }
    for &entry in &region.entries {
        ways_in[entry] = usize::MAX;
    }
    // Steps from the block that asks up to each block, from the front to the back; blocks that no other covers ask.
    let mut before: Vec<Option<usize>> = vec![None; count];
    let mut order: Vec<usize> = (0..count).filter(|&index| ways_in[index] != 1).collect();
    let mut done = 0;
    while let Some(&index) = order.get(done) {
        done += 1;
        let so_far = before[index].unwrap_or(0) + steps(index);
        for next in region.blocks[index].end.successors().filter(|&next| ways_in[next] == 1) {
            if so_far + steps(next) <= BLOCK_INSTRUCTIONS {
                before[next] = Some(so_far);
            }
            order.push(next);
        }
    }
    let mut shares: Vec<Share> =
        (0..count).map(|index| Share { asks: before[index].is_none(), steps: steps(index) }).collect();
    for &index in order.iter().rev() {
        let behind = region.blocks[index].end.successors().filter(|&next| !shares[next].asks);
        shares[index].steps += behind.map(|next| shares[next].steps).max().unwrap_or(0);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::analysis::testing::assemble;

    #[test]
    fn a_block_with_one_way_in_counts_on_the_block_before_it() {
        let long = "addi x5,x5,1\n ".repeat(40);
        let two_long = format!("main: {long} beq x5,x0,end\nnext: {long} jal x0,main\nend: jal x0,main");
        let cases: [(&str, &str, &[&str]); 4] = [
            ("one block", "main: addi x5,x5,1\n jal x0,main", &["main: asks for 2"]),
            (
                "the longer of two ways",
                "main: beq x5,x0,a\nb: addi x6,x6,1\n jal x0,main\na: addi x6,x6,1\n addi x6,x6,1\n jal x0,main",
                &["main: asks for 4", "b: has 2", "a: has 3"],
            ),
            (
                "two ways in",
                "main: beq x5,x0,a\nb: addi x6,x6,1\na: addi x6,x6,1\n jal x0,main",
                &["main: asks for 2", "b: has 1", "a: asks for 2"],
            ),
            ("more than fits", &two_long, &["main: asks for 42", "next: asks for 41", "end: has 1"]),
        ];
        for (what, text, expected) in cases {
            let guest = assemble(text);
            let region = guest.region();
            let text = |share: &Share| match share {
                Share { asks: true, steps } => format!("asks for {steps}"),
                Share { asks: false, steps } => format!("has {steps}"),
            };
            assert_eq!(guest.by_block(&region, &shares(&region), text), expected, "{what}");
        }
    }
}
