//! Regions: which blocks are translated together. Pure: it reads words through a function and knows neither memory nor
//! Cranelift.
//!
//! A region is grown from an entry pc along fall-through, branches, jumps and calls, breadth first, up to a cap on
//! instructions. Its blocks are maximal runs of instructions that are entered only at their first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::decode::{Instruction, decode};
use crate::isa::{Class, Variant};

/// Instructions in one block, at the most: the budget is checked once a block, so a block must fit a row buffer.
pub(crate) const BLOCK_INSTRUCTIONS: usize = 64;

/// Where control goes from a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To this block of the region.
    Block(usize),
    /// Out of the region, to this pc.
    Out(u32),
    /// Nowhere: the address is misaligned, so the jump itself traps.
    Misaligned,
}

/// How a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Goes on there: by falling through, or by its last instruction, a jump.
    Goto(Target),
    /// Its last instruction is a branch.
    Branch {
        /// When it is taken.
        taken: Target,
        /// When it is not.
        fall: Target,
    },
    /// Its last instruction jumps to an address in a register.
    Indirect,
    /// The interpreter does what follows: a system instruction, or nothing that could be translated.
    Interpret,
}

/// A word and what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) pc: u32,
    pub(crate) word: u32,
    pub(crate) instruction: Instruction,
}

/// A run of instructions with one way in.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Address of the first instruction; of what the interpreter must do, if there is none.
    pub(crate) pc: u32,
    pub(crate) instructions: Vec<Placed>,
    pub(crate) end: End,
}

/// What is translated as one function.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub(crate) blocks: Vec<Block>,
    /// Indices of the blocks that can be entered from outside: the one asked for first, then return points of calls.
    pub(crate) entries: Vec<usize>,
}

impl Region {
    /// Guest instructions in the region.
    pub(crate) fn instructions(&self) -> usize {
        self.blocks.iter().map(|block| block.instructions.len()).sum()
    }

    /// Grows a region from `entry`. `fetch` gives the word at a pc that may be translated. `None` when not even the
    /// first instruction can be.
    pub(crate) fn discover(
        entry: u32,
        variant: Variant,
        cap: usize,
        fetch: impl Fn(u32) -> Option<u32>,
    ) -> Option<Region> {
        let mut growth = Growth {
            variant,
            fetch,
            cap,
            placed: BTreeMap::new(),
            leaders: BTreeSet::from([entry]),
            returns: Vec::new(),
            queue: VecDeque::from([entry]),
        };
        while let Some(leader) = growth.queue.pop_front() {
            growth.walk(leader);
        }
        growth.placed.contains_key(&entry).then(|| growth.into_region(entry))
    }
}

struct Growth<F> {
    variant: Variant,
    fetch: F,
    cap: usize,
    placed: BTreeMap<u32, Placed>,
    /// Addresses at which blocks begin.
    leaders: BTreeSet<u32>,
    /// Return points of the calls in the region.
    returns: Vec<u32>,
    queue: VecDeque<u32>,
}

impl<F: Fn(u32) -> Option<u32>> Growth<F> {
    /// The instruction at `pc`, if the region can hold it: no system instructions, no misaligned jumps.
    fn translatable(&self, pc: u32) -> Option<Placed> {
        let word = (self.fetch)(pc)?;
        let instruction = decode(word, self.variant)?;
        let misaligned = |distance: u32| !pc.wrapping_add(distance).is_multiple_of(4);
        let class = instruction.op.line().class;
        let refused = class == Class::System || (class == Class::Jump && misaligned(instruction.imm));
        (!refused).then_some(Placed { pc, word, instruction })
    }

    /// Places instructions from `leader` on until control goes elsewhere, known ground or the cap is reached.
    fn walk(&mut self, leader: u32) {
        let mut pc = leader;
        while self.placed.len() < self.cap && !self.placed.contains_key(&pc) {
            let Some(placed) = self.translatable(pc) else { return };
            self.placed.insert(pc, placed);
            let instruction = placed.instruction;
            let next = pc.wrapping_add(4);
            let target = pc.wrapping_add(instruction.imm);
            match instruction.op.line().class {
                Class::Branch => {
                    self.lead(next);
                    // A misaligned target is met when the branch is taken.
                    if target.is_multiple_of(4) {
                        self.lead(target);
                    }
                    return;
                }
                Class::Jump => {
                    self.lead(target);
                    self.call_returns(instruction, next);
                    return;
                }
                Class::JumpIndirect => {
                    self.call_returns(instruction, next);
                    return;
                }
                _ => pc = next,
            }
        }
        // Stopped by the cap or by known ground: what comes next is a block of its own, here or outside.
        self.leaders.insert(pc);
    }

    fn lead(&mut self, pc: u32) {
        if self.leaders.insert(pc) || !self.placed.contains_key(&pc) {
            self.queue.push_back(pc);
        }
    }

    /// A jump that keeps its return address is a call: control will come back to `next`.
    fn call_returns(&mut self, instruction: Instruction, next: u32) {
        if instruction.rd != 0 {
            self.lead(next);
            self.returns.push(next);
        }
    }

    fn into_region(self, entry: u32) -> Region {
        let starts = self.block_starts();
        let index: BTreeMap<u32, usize> = starts.iter().enumerate().map(|(index, &pc)| (pc, index)).collect();
        let to = |pc: u32| match index.get(&pc) {
            _ if !pc.is_multiple_of(4) => Target::Misaligned,
            Some(&block) => Target::Block(block),
            None => Target::Out(pc),
        };
        let blocks = starts.iter().map(|&start| self.block(start, &to)).collect();
        let mut entries = Vec::new();
        for pc in std::iter::once(entry).chain(self.returns.iter().copied()) {
            if let Some(&block) = index.get(&pc)
                && !entries.contains(&block)
            {
                entries.push(block);
            }
        }
        Region { blocks, entries }
    }

    /// The placed leaders, and a further start wherever a run would exceed the longest block.
    fn block_starts(&self) -> Vec<u32> {
        let mut starts: Vec<u32> = Vec::new();
        let mut length = 0;
        let mut expected = None;
        for &pc in self.placed.keys() {
            if self.leaders.contains(&pc) || expected != Some(pc) || length == BLOCK_INSTRUCTIONS {
                starts.push(pc);
                length = 0;
            }
            length += 1;
            expected = pc.checked_add(4);
        }
        starts
    }

    fn block(&self, start: u32, to: &impl Fn(u32) -> Target) -> Block {
        let mut instructions = Vec::new();
        let mut pc = start;
        loop {
            let here = to(pc);
            if pc != start && matches!(here, Target::Block(_)) {
                return Block { pc: start, instructions, end: End::Goto(here) };
            }
            let Some(&placed) = self.placed.get(&pc) else {
                // The cap was reached here, or the interpreter must do this one.
                let end = match self.translatable(pc) {
                    Some(_) => End::Goto(Target::Out(pc)),
                    None => End::Interpret,
                };
                return Block { pc: start, instructions, end };
            };
            instructions.push(placed);
            let next = pc.wrapping_add(4);
            let target = pc.wrapping_add(placed.instruction.imm);
            let end = match placed.instruction.op.line().class {
                Class::Branch => End::Branch { taken: to(target), fall: to(next) },
                Class::Jump => End::Goto(to(target)),
                Class::JumpIndirect => End::Indirect,
                _ => {
                    pc = next;
                    continue;
                }
            };
            return Block { pc: start, instructions, end };
        }
    }
}
