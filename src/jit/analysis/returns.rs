//! Returns: finds the blocks to which a region's returns may lead. These are the blocks behind the calls that reach
//! them. Pure.
//!
//! This is a guess. Generated code compares it with the real return address.
//!
//! ```text
//! each block gets the set of calls whose callee contains it, capped at a few:
//!     the target of a call gets that call; a block hands its set on to its successors
//!     a call inside a callee hands the set on to the block behind it, since the inner callee returns there
//! ```
//!
//! Sets only grow, and stop at one more than the cap, so each block is visited a few times, however many calls there
//! are.

use super::region::{Block, End, FEW_TARGETS, Region, Target};
use crate::isa::Class;

/// The register in which calls save their return address.
pub(crate) const RETURN_ADDRESS: u8 = 1;

/// For each block of `region` that ends in a return, returns the blocks behind the calls that may have led there. A
/// list longer than [`FEW_TARGETS`] means that there are more, and is incomplete.
pub(crate) fn known_returns(region: &Region) -> Vec<Vec<usize>> {
    let Walk { mut behind_calls, .. } = Walk::through(region);
    for (behind, block) in behind_calls.iter_mut().zip(&region.blocks) {
        if !is_return(block) {
            behind.clear();
        }
        behind.sort_unstable();
    }
    behind_calls
}

/// The state of the walk through a region.
struct Walk {
    /// For each block, the blocks behind the calls whose callee contains it.
    behind_calls: Vec<Vec<usize>>,
    /// Blocks whose set has changed since they passed it on.
    changed: Vec<usize>,
    /// Number of visits to blocks.
    visits: usize,
}

impl Walk {
    fn through(region: &Region) -> Walk {
        let mut walk = Walk { behind_calls: vec![Vec::new(); region.blocks.len()], changed: Vec::new(), visits: 0 };
        let calls: Vec<_> = region.blocks.iter().map(|block| call(region, block)).collect();
        for &(callees, behind) in calls.iter().flatten() {
            callees.iter().for_each(|&callee| walk.give(callee, &[behind]));
        }
        while let Some(index) = walk.changed.pop() {
            let block = &region.blocks[index];
            let found = walk.behind_calls[index].clone();
            walk.visits += 1;
            match calls[index] {
                Some((_, behind)) => walk.give(behind, &found),
                None => block.end.successors().for_each(|next| walk.give(next, &found)),
            }
        }
        walk
    }

    /// Adds `found` to the set of the block with this index, until the set is full.
    fn give(&mut self, index: usize, found: &[usize]) {
        self.visits += 1;
        let known = &mut self.behind_calls[index];
        let before = known.len();
        for new in found {
            if known.len() <= FEW_TARGETS && !known.contains(new) {
                known.push(*new);
            }
        }
        if known.len() > before {
            self.changed.push(index);
        }
    }
}

/// Returns the blocks that `block` may call and the one behind the call, if they are in the region.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Instruction, encode};
    use crate::isa::Op;
    use crate::jit::analysis::testing::{Guest, START, assemble};

    fn insn(op: Op, rd: u8, rs1: u8, imm: i32) -> u32 {
        encode(Instruction { op, rd, rs1, rs2: 0, imm: imm as u32 })
    }

    /// Builds `count` calls to the targets that `callee` selects, then a jump to the first call, then a function that
    /// consists of a branch and a return.
    fn calls(count: usize, callee: impl Fn(usize) -> usize) -> Region {
        let mut words: Vec<u32> =
            (0..count).map(|at| insn(Op::Jal, 1, 0, 4 * (callee(at) as i32 - at as i32))).collect();
        words.push(insn(Op::Jal, 0, 0, -4 * count as i32));
        words.extend([insn(Op::Beq, 0, 5, 4), insn(Op::Jalr, 0, 1, 0)]);
        Guest::of_words(&words).region()
    }

    /// Returns the pcs behind the calls to which a return at `pc` may return.
    fn returns_at(region: &Region, pc: u32) -> Vec<u32> {
        let pc = START + pc;
        let index = region.blocks.iter().position(|block| block.pc == pc).expect("a block of the region");
        known_returns(region)[index].iter().map(|&behind| region.blocks[behind].pc - START).collect()
    }

    #[test]
    fn a_return_leads_behind_the_calls_of_its_function() {
        for count in 1..=FEW_TARGETS {
            let region = calls(count, |_| count + 1);
            let behind: Vec<u32> = (1..=count as u32).map(|at| 4 * at).collect();
            assert_eq!(returns_at(&region, 4 * (count as u32 + 2)), behind);
        }
        let many = calls(FEW_TARGETS + 3, |_| FEW_TARGETS + 4);
        assert!(returns_at(&many, 4 * (FEW_TARGETS as u32 + 5)).len() > FEW_TARGETS);
    }

    #[test]
    fn returns_lead_behind_the_calls_that_may_reach_them() {
        let cases: [(&str, &str, &[&str]); 4] = [
            ("two callers", "main: jal x1,f\na: jal x1,f\nb: jal x0,main\nf: jalr x0,0(x1)", &["f: a b"]),
            (
                "a function that calls another",
                "main: jal x1,outer\na: jal x0,main\nouter: addi x6,x1,0\n jal x1,inner\nb: addi x1,x6,0\n \
                 jalr x0,0(x1)\ninner: jalr x0,0(x1)",
                &["b: a", "inner: b"],
            ),
            (
                "two ways through a function",
                "main: jal x1,f\na: jal x0,main\nf: beq x5,x0,g\n jalr x0,0(x1)\ng: jalr x0,0(x1)",
                &["f+4: a", "g: a"],
            ),
            ("a jump through another register is no return", "main: jal x1,f\na: jal x0,main\nf: jalr x0,0(x5)", &[]),
        ];
        for (what, text, expected) in cases {
            let guest = assemble(text);
            let region = guest.region();
            let names = |behind: &Vec<usize>| {
                let names: Vec<String> = behind.iter().map(|&block| guest.name(region.blocks[block].pc)).collect();
                names.join(" ")
            };
            assert_eq!(guest.by_block(&region, &known_returns(&region), names), expected, "{what}");
        }
    }

    /// However many calls pass through a block, it is visited only a few times.
    #[test]
    fn visits_are_few_for_any_number_of_calls() {
        for count in [10, 100, 1000, 4000] {
            // Calls of the following function, of one function, and of any other call.
            let regions =
                [calls(count, |at| at + 1), calls(count, |_| count + 1), calls(count, |at| (at * 7 + 3) % count)];
            for region in regions {
                let (walk, blocks) = (Walk::through(&region), region.blocks.len());
                assert!(blocks > count, "each call is a block");
                // A visit from its call, and at most two from other blocks each time that their sets grow.
                assert!(walk.visits <= (2 + 3 * (FEW_TARGETS + 1)) * blocks, "{} of {blocks} blocks", walk.visits);
                assert!(walk.behind_calls.iter().all(|behind| behind.len() <= FEW_TARGETS + 1));
            }
        }
    }
}
