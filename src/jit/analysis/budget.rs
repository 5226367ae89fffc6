//! Which blocks of a region ask for their steps, and for how many at once. Pure.
//!
//! A block with one way in, which comes from another block, need not ask: the block before it asks for both. So along
//! every path from a block that asks, up to the next that does, there are at most as many steps as it took.

use super::region::{BLOCK_INSTRUCTIONS, Region};

/// What a block may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Whether the block has to ask, rather than the one before it.
    pub(crate) asks: bool,
    /// Steps of the block and of those behind it that do not ask, on the longest path.
    pub(crate) steps: usize,
}

/// The share of each block.
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
    // Steps from the block that asks up to each block, from the front to the back; those that are not reached so ask.
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
