//! Which registers a block may begin with newer than the context has them: in small loops they are stored where the loop
//! is left or somebody asks, not in each round. Pure.

use std::collections::BTreeSet;

use super::liveness::{RegisterSet, uses_and_defs};
use super::region::Region;

/// Blocks of a loop that is small, at the most: each place in it that asks stores all that the loop carries.
const LOOP_BLOCKS: usize = 6;

/// For each block of `region`, the registers that need not be in the context when it begins. `live` says which are live
/// then: a loop carries what it changes from one round to the next.
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
    /// The only block of it that can be come to from outside.
    head: usize,
    blocks: BTreeSet<usize>,
}

/// Loops with few blocks, none of which has another in it.
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

/// The blocks from which `tail` is reached without going through `head`, to which it goes back; `None` if they are many,
/// or can be come to other than through `head`.
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
