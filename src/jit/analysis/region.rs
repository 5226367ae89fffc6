//! What a region is: blocks that are translated together, how they end, where they are entered. It must not know how
//! they were found.

use crate::decode::Instruction;

/// Instructions in one block, and in blocks that ask for their steps together, at the most: they must fit a row buffer.
pub(crate) const BLOCK_INSTRUCTIONS: usize = 64;

/// Places that an indirect jump compares its target with, one after the other, at the most.
pub(crate) const FEW_TARGETS: usize = 4;

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

impl End {
    /// The blocks of the region that control can go to directly.
    pub(crate) fn successors(self) -> impl Iterator<Item = usize> {
        let targets = match self {
            End::Goto(target) => [Some(target), None],
            End::Branch { taken, fall } => [Some(taken), Some(fall)],
            End::Indirect | End::Interpret => [None, None],
        };
        targets.into_iter().flatten().filter_map(|target| match target {
            Target::Block(block) => Some(block),
            Target::Out(_) | Target::Misaligned => None,
        })
    }
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
    /// Where its indirect jump is known to go inside the region, if it is known to go to few places. All are entries.
    pub(crate) known_targets: Vec<usize>,
}

impl Block {
    /// Address behind its last instruction; its own if it has none.
    pub(crate) fn end_pc(&self) -> u32 {
        self.pc.wrapping_add(4 * self.instructions.len() as u32)
    }
}

/// What is translated as one function.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    /// Address that discovery began at: the first entry.
    pub(crate) entry: u32,
    /// In the order of their addresses.
    pub(crate) blocks: Vec<Block>,
    /// Indices of the blocks that can be entered from outside: the one that discovery began at, then where control
    /// comes by indirect jumps: return points of calls, known targets of jump tables.
    pub(crate) entries: Vec<usize>,
    /// Where the cap cut straight-line code: as hot as what leads there.
    pub(crate) cuts: Vec<u32>,
}

impl Region {
    /// Guest instructions in the region.
    pub(crate) fn instructions(&self) -> usize {
        self.blocks.iter().map(|block| block.instructions.len()).sum()
    }

    /// Addresses of its instructions, block by block.
    pub(crate) fn pcs(&self) -> impl Iterator<Item = u32> {
        self.blocks.iter().flat_map(|block| block.instructions.iter().map(|placed| placed.pc))
    }

    /// Whether the instruction at `pc` is one of its own.
    pub(crate) fn contains(&self, pc: u32) -> bool {
        let behind = self.blocks.partition_point(|block| block.pc <= pc);
        let block = behind.checked_sub(1).map(|index| &self.blocks[index]);
        block.is_some_and(|block| ((pc - block.pc) / 4) < block.instructions.len() as u32)
    }

    /// Addresses of the entries, the one that discovery began at first.
    pub(crate) fn entry_pcs(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|&entry| self.blocks[entry].pc)
    }
}
