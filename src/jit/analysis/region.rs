//! The definition of a region: blocks that are compiled together, how they end, and where they are entered. It must not
//! know how they were found.

use crate::decode::Instruction;

/// Maximum number of instructions in one block, and in blocks that request their steps together: they must fit a row
/// buffer.
pub(crate) const BLOCK_INSTRUCTIONS: usize = 64;

/// Maximum number of targets that an indirect jump compares with, one after the other.
pub(crate) const FEW_TARGETS: usize = 4;

/// Where control goes from a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To this block of the region.
    Block(usize),
    /// Out of the region, to this pc.
    Out(u32),
    /// To the system instruction at this pc, which the machine executes.
    System(u32),
    /// Nowhere: the address is misaligned, so the jump itself traps.
    Misaligned,
}

/// How a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Continues there: by falling through, or by a jump as its last instruction.
    Goto(Target),
    /// Its last instruction is a branch.
    Branch {
        /// The target if it is taken.
        taken: Target,
        /// The target if it is not.
        fall: Target,
    },
    /// Its last instruction jumps to an address in a register.
    Indirect,
    /// The interpreter continues here, with something that cannot be compiled.
    Interpret,
}

impl End {
    /// Returns the targets that are known.
    fn targets(self) -> impl Iterator<Item = Target> {
        let targets = match self {
            End::Goto(target) => [Some(target), None],
            End::Branch { taken, fall } => [Some(taken), Some(fall)],
            End::Indirect | End::Interpret => [None, None],
        };
        targets.into_iter().flatten()
    }

    /// Returns the blocks of the region that control can go to directly.
    pub(crate) fn successors(self) -> impl Iterator<Item = usize> {
        self.targets().filter_map(|target| match target {
            Target::Block(block) => Some(block),
            Target::Out(_) | Target::System(_) | Target::Misaligned => None,
        })
    }

    /// Returns the addresses of the system instructions that control can go to directly.
    pub(crate) fn systems(self) -> impl Iterator<Item = u32> {
        self.targets().filter_map(|target| match target {
            Target::System(pc) => Some(pc),
            Target::Block(_) | Target::Out(_) | Target::Misaligned => None,
        })
    }
}

/// A word and its decoded instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) pc: u32,
    pub(crate) word: u32,
    pub(crate) instruction: Instruction,
}

/// A run of instructions with one way in.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    /// Address of the first instruction; if there is none, of the instruction that the interpreter must execute.
    pub(crate) pc: u32,
    pub(crate) instructions: Vec<Placed>,
    pub(crate) end: End,
    /// The targets of its indirect jump inside the region, if only few are known. All are entries.
    pub(crate) known_targets: Vec<usize>,
}

impl Block {
    /// Returns the address behind its last instruction; its own if it has none.
    pub(crate) fn end_pc(&self) -> u32 {
        self.pc.wrapping_add(4 * self.instructions.len() as u32)
    }
}

/// The code that is compiled as one function.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    /// Address at which discovery began: the first entry.
    pub(crate) entry: u32,
    /// In the order of their addresses.
    pub(crate) blocks: Vec<Block>,
    /// Indices of the blocks that can be entered from outside: first the one at which discovery began, then the targets
    /// of indirect jumps, which are return points of calls and known targets of jump tables.
    pub(crate) entries: Vec<usize>,
    /// Addresses of the system instructions to which its blocks lead, ascending.
    pub(crate) systems: Vec<u32>,
    /// Addresses where the cap cut straight-line code: they are as hot as the code that leads there.
    pub(crate) cuts: Vec<u32>,
}

impl Region {
    /// Returns the number of guest instructions in the region.
    pub(crate) fn instructions(&self) -> usize {
        self.blocks.iter().map(|block| block.instructions.len()).sum()
    }

    /// Returns a measure of the work to compile it: its instructions, and the system instructions to which it leads.
    pub(crate) fn size(&self) -> usize {
        self.instructions() + self.systems.len()
    }

    /// Returns the addresses of the words that it was made for: its instructions, block by block, and the system
    /// instructions to which it leads. The latter are not compiled, but without them it may be of no use.
    pub(crate) fn pcs(&self) -> impl Iterator<Item = u32> {
        let instructions = self.blocks.iter().flat_map(|block| block.instructions.iter().map(|placed| placed.pc));
        instructions.chain(self.systems.iter().copied())
    }

    /// Returns whether the word at `pc` is one of [`Region::pcs`].
    pub(crate) fn contains(&self, pc: u32) -> bool {
        self.systems.binary_search(&pc).is_ok() || self.has_instruction(pc)
    }

    fn has_instruction(&self, pc: u32) -> bool {
        let behind = self.blocks.partition_point(|block| block.pc <= pc);
        let block = behind.checked_sub(1).map(|index| &self.blocks[index]);
        block.is_some_and(|block| ((pc - block.pc) / 4) < block.instructions.len() as u32)
    }

    /// Returns the addresses of the entries, first the one at which discovery began.
    pub(crate) fn entry_pcs(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|&entry| self.blocks[entry].pc)
    }
}
