//! Where the returns of a region may lead inside it: behind those of its calls from which they can be come to. Pure.
//!
//! A guess, and no more: what it says is compared with the address that is really returned to.

use super::region::{Block, End, Region, Target};
use crate::isa::Class;

/// The register that calls keep their return address in.
pub(super) const RETURN_ADDRESS: u8 = 1;

/// For each block of `region` that ends in a return, the blocks behind the calls that may have led there.
pub(crate) fn known_returns(region: &Region) -> Vec<Vec<usize>> {
    let mut known = vec![Vec::new(); region.blocks.len()];
    for (callees, back) in region.blocks.iter().filter_map(|block| call(region, block)) {
        let mut seen = vec![false; region.blocks.len()];
        let mut next = callees.to_vec();
        while let Some(index) = next.pop() {
            let block = &region.blocks[index];
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            match call(region, block) {
                // What is called in turn comes back here.
                Some((_, behind)) => next.push(behind),
                None if is_return(block) => known[index].push(back),
                None => next.extend(block.end.successors()),
            }
        }
    }
    known
}

/// The blocks that `block` may call and the one behind the call, as far as they are in the region.
fn call<'a>(region: &Region, block: &'a Block) -> Option<(&'a [usize], usize)> {
    let last = block.instructions.last()?;
    let is_jump = matches!(last.instruction.op.line().class, Class::Jump | Class::JumpIndirect);
    let is_call = is_jump && last.instruction.rd == RETURN_ADDRESS;
    let callees = match &block.end {
        End::Goto(Target::Block(callee)) => std::slice::from_ref(callee),
        End::Indirect if !block.known_targets.is_empty() => &block.known_targets,
        _ => return None,
    };
    let behind = region.blocks.binary_search_by_key(&last.pc.wrapping_add(4), |block| block.pc).ok()?;
    is_call.then_some((callees, behind))
}

fn is_return(block: &Block) -> bool {
    block.instructions.last().is_some_and(|last| {
        let instruction = last.instruction;
        block.end == End::Indirect && instruction.rd == 0 && instruction.rs1 == RETURN_ADDRESS
    })
}
