//! Discovery: finds the blocks of a region. It reads words through a trait and knows neither memory nor Cranelift.
//! Pure.
//!
//! A region grows from an entry pc along fall-through, branches, jumps and calls, breadth first, up to a cap on
//! instructions. Its blocks are maximal runs of instructions that control enters only at their first.
//!
//! ```text
//! queue = [entry]
//! while queue: walk from its first:
//!     place instructions one after the other, until one is placed already, another region begins, the cap is reached,
//!         or the interpreter has to do one
//!     at a branch:         queue the next instruction, and the target if it is warm
//!     at a jump or call:   queue the target if it is known and warm, and the place behind a call as an entry
//!     at any other jump:   queue the targets that it was seen to go to as entries
//!     before an ecall:     queue the place behind it as an entry; an ecall counts towards the cap
//! cut what was placed into blocks: at queued addresses, at gaps, at page boundaries, at 64 instructions
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tachy_runtime::PAGE_BYTES;

use super::region::{BLOCK_INSTRUCTIONS, Block, End, FEW_TARGETS, Placed, Region, Target};
use super::returns::known_returns;
use super::values::Values;
use crate::decode::{Instruction, decode};
use crate::isa::{Class, Op, Variant};

/// The input of discovery: guest code, and facts about how it ran.
pub(crate) trait Code {
    /// Returns the word at `pc`, if it may be compiled.
    fn fetch(&self, pc: u32) -> Option<u32>;

    /// Returns whether the target of a jump is worth following.
    fn is_warm(&self, pc: u32) -> bool;

    /// Returns whether growth stops at `pc`, to avoid recompiling another region's code.
    fn stops_at(&self, pc: u32) -> bool;

    /// Returns the known targets of the indirect jump at `pc`.
    fn targets(&self, pc: u32) -> &[u32];
}

/// Maximum number of entries of a region. Each loads its registers, and all registers that any entry needs merge where
/// they meet. With an entry at each of a thousand instructions, compilation takes eight times as long.
const ENTRIES: usize = 64;

impl Region {
    /// Grows a region from `entry`, up to `cap` instructions and ecalls. Returns `None` if the first is neither an ecall nor
    /// an instruction that can be compiled.
    pub(crate) fn discover(entry: u32, variant: Variant, cap: usize, code: &impl Code) -> Option<Region> {
        let mut discovery = Discovery {
            entry,
            variant,
            code,
            cap,
            placed: BTreeMap::new(),
            ecalls: BTreeSet::new(),
            leaders: BTreeSet::from([entry]),
            indirect_entries: Vec::new(),
            is_indirect_entry: BTreeSet::new(),
            cuts: Vec::new(),
            queue: VecDeque::from([entry]),
        };
        while let Some(leader) = discovery.queue.pop_front() {
            discovery.walk(leader);
        }
        (discovery.placed.contains_key(&entry) || discovery.ecalls.contains(&entry)).then(|| discovery.into_region())
    }
}

struct Discovery<'a, C> {
    entry: u32,
    variant: Variant,
    code: &'a C,
    cap: usize,
    placed: BTreeMap<u32, Placed>,
    /// The ecalls that were reached. A run of them is as long as the guest likes.
    ecalls: BTreeSet<u32>,
    /// Addresses at which blocks begin.
    leaders: BTreeSet<u32>,
    /// Targets of indirect jumps: return points of calls, and targets of jump tables. Each occurs once, in the order in
    /// which they were found; the set is for look-ups.
    indirect_entries: Vec<u32>,
    is_indirect_entry: BTreeSet<u32>,
    cuts: Vec<u32>,
    queue: VecDeque<u32>,
}

impl<C: Code> Discovery<'_, C> {
    /// Returns the instruction at `pc`, if the guest may run it there. Nothing is at a misaligned pc, where R0VM may be
    /// after an `mret`, because entries are word-aligned.
    fn instruction(&self, pc: u32) -> Option<Placed> {
        if !pc.is_multiple_of(4) {
            return None;
        }
        let word = self.code.fetch(pc)?;
        Some(Placed { pc, word, instruction: decode(word, self.variant)? })
    }

    /// Returns the system instruction at `pc`, if there is one.
    fn system(&self, pc: u32) -> Option<Op> {
        let op = self.instruction(pc)?.instruction.op;
        (op.line().class == Class::System).then_some(op)
    }

    /// Returns the instruction at `pc`, if the region can contain it. A region contains no system instructions and no
    /// misaligned jumps.
    fn translatable(&self, pc: u32) -> Option<Placed> {
        let placed = self.instruction(pc)?;
        let instruction = placed.instruction;
        let misaligned = |distance: u32| !pc.wrapping_add(distance).is_multiple_of(4);
        let class = instruction.op.line().class;
        let refused = class == Class::System || (class == Class::Jump && misaligned(instruction.imm));
        (!refused).then_some(placed)
    }

    /// Places instructions from `leader` on until control goes elsewhere, or reaches known ground or the cap.
    fn walk(&mut self, leader: u32) {
        let mut pc = leader;
        let mut run = Vec::new();
        while self.size() < self.cap && !self.placed.contains_key(&pc) && !self.is_foreign(pc) {
            let Some(placed) = self.translatable(pc) else {
                // A system call comes back behind itself, at once or from the kernel.
                if self.system(pc) == Some(Op::Ecall) && self.ecalls.insert(pc) {
                    self.enter_indirectly(pc.wrapping_add(4));
                }
                return;
            };
            self.placed.insert(pc, placed);
            run.push(placed);
            let instruction = placed.instruction;
            let next = pc.wrapping_add(4);
            let target = pc.wrapping_add(instruction.imm);
            match instruction.op.line().class {
                Class::Branch => {
                    self.lead(next);
                    // A misaligned target only matters when the branch is taken.
                    if target.is_multiple_of(4) && self.code.is_warm(target) {
                        self.lead(target);
                    }
                    return;
                }
                Class::Jump | Class::JumpIndirect => {
                    match constant_target(&run) {
                        Some(target) if self.code.is_warm(target) => self.lead(target),
                        Some(_) => {}
                        None => self.indirect_entries_from(pc),
                    }
                    self.call_returns(instruction, next);
                    return;
                }
                Class::Compute | Class::Load | Class::Store | Class::Fence | Class::System => pc = next,
            }
        }
        // The cap or known ground stopped the walk: the next instruction begins a block of its own, here or outside.
        self.leaders.insert(pc);
        if pc != leader && self.size() >= self.cap {
            self.cuts.push(pc);
        }
    }

    fn size(&self) -> usize {
        self.placed.len() + self.ecalls.len()
    }

    /// Returns whether another region begins at `pc` that this one is not meant to replace.
    fn is_foreign(&self, pc: u32) -> bool {
        pc != self.entry && self.code.stops_at(pc)
    }

    fn lead(&mut self, pc: u32) {
        if self.leaders.insert(pc) || !self.placed.contains_key(&pc) {
            self.queue.push_back(pc);
        }
    }

    /// Does [`Discovery::lead`] for the target of an indirect jump.
    fn enter_indirectly(&mut self, pc: u32) {
        self.lead(pc);
        if self.is_indirect_entry.insert(pc) {
            self.indirect_entries.push(pc);
        }
    }

    /// Handles a jump that saves its return address: it is a call, so control will return to `next`.
    fn call_returns(&mut self, instruction: Instruction, next: u32) {
        if instruction.rd != 0 && self.code.is_warm(next) {
            self.enter_indirectly(next);
        }
    }

    /// Turns the known targets of the indirect jump at `pc` into entries, so that the jump stays inside the region.
    fn indirect_entries_from(&mut self, pc: u32) {
        for &target in self.code.targets(pc) {
            if target.is_multiple_of(4) && self.code.is_warm(target) {
                self.enter_indirectly(target);
            }
        }
    }

    fn into_region(self) -> Region {
        let starts = self.block_starts();
        let index: BTreeMap<u32, usize> = starts.iter().enumerate().map(|(index, &pc)| (pc, index)).collect();
        let to = |pc: u32| match index.get(&pc) {
            _ if !pc.is_multiple_of(4) => Target::Misaligned,
            Some(&block) => Target::Block(block),
            None if self.system(pc).is_some() => Target::System(pc),
            None => Target::Out(pc),
        };
        let blocks: Vec<Block> = starts.iter().map(|&start| self.block(start, &to)).collect();
        let systems: BTreeSet<u32> = blocks.iter().flat_map(|block| block.end.systems()).collect();
        let systems = systems.into_iter().collect();
        let mut entries = Vec::new();
        for pc in std::iter::once(self.entry).chain(self.indirect_entries.iter().copied()) {
            if let Some(&block) = index.get(&pc)
                && entries.len() < ENTRIES
                && !entries.contains(&block)
            {
                entries.push(block);
            }
        }
        let mut region = Region { entry: self.entry, blocks, entries, systems, cuts: self.cuts };
        for (index, known) in known_returns(&region).into_iter().enumerate() {
            let Region { blocks, entries, .. } = &mut region;
            if known.len() <= FEW_TARGETS {
                blocks[index].known_targets.extend(known);
            }
            blocks[index].known_targets.retain(|target| entries.contains(target));
        }
        region
    }

    /// Returns the placed leaders, and a further start wherever a run would exceed the longest block. A system instruction
    /// to which control jumps is a block without instructions, so that it can be an entry.
    fn block_starts(&self) -> Vec<u32> {
        let is_system = |pc: &u32| !self.placed.contains_key(pc) && self.system(*pc).is_some();
        let mut starts: Vec<u32> = self.leaders.iter().copied().filter(is_system).collect();
        let mut length = 0;
        let mut expected = None;
        for &pc in self.placed.keys() {
            if self.leaders.contains(&pc)
                || expected != Some(pc)
                || length == BLOCK_INSTRUCTIONS
                || pc % PAGE_BYTES == 0
            {
                starts.push(pc);
                length = 0;
            }
            length += 1;
            expected = pc.checked_add(4);
        }
        starts.sort_unstable();
        starts
    }

    /// Returns the blocks that are known targets of the indirect jump at `pc`; none if there are many.
    fn known_targets(&self, pc: u32, to: &impl Fn(u32) -> Target) -> Vec<usize> {
        let targets = self.code.targets(pc);
        let inside = targets.iter().filter(|target| self.is_indirect_entry.contains(target)).map(|&target| to(target));
        let blocks = inside.filter_map(|target| match target {
            Target::Block(block) => Some(block),
            Target::Out(_) | Target::System(_) | Target::Misaligned => None,
        });
        blocks.take(if targets.len() <= FEW_TARGETS { FEW_TARGETS } else { 0 }).collect()
    }

    fn block(&self, start: u32, to: &impl Fn(u32) -> Target) -> Block {
        let mut instructions = Vec::new();
        let mut pc = start;
        loop {
            let here = to(pc);
            if pc != start && matches!(here, Target::Block(_)) {
                return Block { pc: start, instructions, end: End::Goto(here), known_targets: Vec::new() };
            }
            let Some(&placed) = self.placed.get(&pc) else {
                // The cap or another region was reached here, or the interpreter must execute this instruction.
                let end = match (self.system(pc), self.translatable(pc)) {
                    (Some(_), _) => End::Goto(Target::System(pc)),
                    (None, Some(_)) => End::Goto(Target::Out(pc)),
                    (None, None) => End::Interpret,
                };
                return Block { pc: start, instructions, end, known_targets: Vec::new() };
            };
            instructions.push(placed);
            let next = pc.wrapping_add(4);
            let target = pc.wrapping_add(placed.instruction.imm);
            let end = match placed.instruction.op.line().class {
                Class::Branch => End::Branch { taken: to(target), fall: to(next) },
                Class::Jump | Class::JumpIndirect => match constant_target(&instructions) {
                    Some(target) => End::Goto(to(target)),
                    None => End::Indirect,
                },
                Class::Compute | Class::Load | Class::Store | Class::Fence | Class::System => {
                    pc = next;
                    continue;
                }
            };
            let known_targets = match end {
                End::Indirect => self.known_targets(pc, to),
                End::Goto(_) | End::Branch { .. } | End::Interpret => Vec::new(),
            };
            return Block { pc: start, instructions, end, known_targets };
        }
    }
}

/// Returns the target of the last instruction, a jump, if these instructions alone determine it: the jump is direct, or
/// its register holds a constant, as in calls over any distance. The result is always aligned.
fn constant_target(run: &[Placed]) -> Option<u32> {
    let jump = run.last()?;
    let target = match jump.instruction.op {
        Op::Jal => jump.pc.wrapping_add(jump.instruction.imm),
        _ => Values::of_block(run).last()?.address.as_constant()? & !1,
    };
    target.is_multiple_of(4).then_some(target)
}

#[cfg(test)]
mod tests {
    use crate::jit::analysis::testing::{Guest, assemble};

    /// Checks the blocks and entries of the region at the start of the code.
    fn assert_region(what: &str, guest: &Guest, blocks: &[&str], entries: &str) {
        let region = guest.region();
        assert_eq!(
            (guest.blocks(&region), guest.entries(&region)),
            (blocks.iter().map(|it| it.to_string()).collect(), entries.to_owned()),
            "{what}"
        );
    }

    #[test]
    fn blocks_end_where_control_goes_elsewhere() {
        let straight = assemble("main: addi x5,x0,1\n addi x6,x5,1\n ecall");
        assert_region("a system instruction is the machine's", &straight, &["main 2 -> system main+8"], "main");

        let a_loop = assemble("main: addi x5,x0,9\nloop: addi x5,x5,-1\n bne x5,x0,loop\ndone: ecall");
        assert_region(
            "a loop",
            &a_loop,
            &["main 1 -> loop", "loop 2 -> loop or done", "done 0 -> system done"],
            "main",
        );

        let jump = assemble("main: jal x0,there\n addi x5,x0,1\nthere: addi x6,x0,1\n jalr x0,0(x7)");
        assert_region("what is jumped over is left out", &jump, &["main 1 -> there", "there 2 -> indirect"], "main");

        let misaligned = assemble("main: beq x5,x6,6\n addi x5,x5,1\n ecall");
        assert_region(
            "a branch to a misaligned address traps when it is taken",
            &misaligned,
            &["main 1 -> nowhere or main+4", "main+4 1 -> system main+8"],
            "main",
        );
    }

    #[test]
    fn calls_come_back_to_an_entry() {
        let call = assemble("main: jal x1,f\nback: jal x0,main\nf: addi x5,x5,1\n jalr x0,0(x1)");
        let blocks = ["main 1 -> f", "back 1 -> main", "f 2 -> indirect, maybe back"];
        assert_region("a call", &call, &blocks, "main back");

        let far = assemble("main: auipc x6,0x1\n jalr x1,8(x6)\nback: ecall\n .org 0x1008\nf: jalr x0,0(x1)");
        let blocks = ["main 2 -> f", "back 0 -> system back", "f 1 -> indirect, maybe back"];
        assert_region("a call by way of a constant is direct", &far, &blocks, "main back");

        let system = assemble(
            "main: jal x0,call\ncall: ecall\nback: addi x5,x5,1\n ebreak\nunreached: addi x5,x5,1\n jal x0,main",
        );
        let blocks = ["main 1 -> call", "call 0 -> system call", "back 1 -> system back+4"];
        assert_region("a system call comes back, a breakpoint does not", &system, &blocks, "main back");

        let first = assemble("main: ecall\nback: addi x5,x5,1\n jal x0,main");
        assert_region("a system call is first", &first, &["main 0 -> system main", "back 2 -> main"], "main back");
        let alone = assemble("main: ebreak\n addi x5,x5,1");
        assert!(alone.find_region(10).is_none(), "a breakpoint does not come back");
    }

    #[test]
    fn targets_of_jump_tables_are_entries() {
        let text = "main: lw x5,0(x6)\njump: jalr x0,0(x5)\na: jal x0,main\nb: jal x0,main\nc: jal x0,main";
        let table = assemble(text).targets("jump", "a b");
        let blocks = ["main 2 -> indirect, maybe a b", "a 1 -> main", "b 1 -> main"];
        assert_region("known targets", &table, &blocks, "main a b");
        let unknown = assemble(text);
        assert_region("unknown targets", &unknown, &["main 2 -> indirect"], "main");
    }

    #[test]
    fn growth_stops_at_what_is_cold_or_of_others() {
        let text = "main: beq x5,x0,rare\n addi x6,x6,1\nnext: addi x7,x7,1\n jal x0,main\nrare: ecall";
        let cold = assemble(text).cold("rare");
        assert_region(
            "a branch that is rarely taken",
            &cold,
            &["main 1 -> system rare or main+4", "main+4 3 -> main"],
            "main",
        );
        let other = assemble(text).others("next").cold("rare");
        assert_region("another region", &other, &["main 1 -> system rare or main+4", "main+4 1 -> out next"], "main");
    }

    #[test]
    fn blocks_are_cut_at_pages_and_at_their_longest() {
        let text = format!("main: jal x0,late\n .org 0x3f8\nlate: {}", "addi x5,x5,1\n ".repeat(3)) + "ecall";
        let page = assemble(&text);
        assert_region("a page", &page, &["main 1 -> late", "late 2 -> late+8", "late+8 1 -> system late+12"], "main");
        let long = assemble(&("main: ".to_owned() + &"addi x5,x5,1\n ".repeat(70) + "ecall"));
        assert_region("64 instructions", &long, &["main 64 -> main+256", "main+256 6 -> system main+280"], "main");
    }

    #[test]
    fn the_cap_cuts_and_remembers_where() {
        let long = assemble(&("main: ".to_owned() + &"addi x5,x5,1\n ".repeat(70) + "ecall"));
        let region = long.region_up_to(10);
        assert_eq!(long.blocks(&region), ["main 10 -> out main+40"]);
        assert_eq!(region.cuts, [long.at("main") + 40]);

        let calls = assemble(&("main: ".to_owned() + &"ecall\n ".repeat(1000)));
        let region = calls.region_up_to(10);
        assert_eq!((region.blocks.len(), region.size(), region.instructions()), (11, 11, 0), "a run of ecalls");
    }
}
