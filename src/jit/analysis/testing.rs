//! Helpers for the unit tests of the JIT: they assemble guest code from text, and format the results of the analyses as
//! text.
//!
//! ```text
//! main: addi x5,x0,3          a label is the name of its address
//! loop: addi x5,x5,-1
//!       bne x5,x0,loop
//!       .org 0x400            goes on so many bytes behind the start
//!       lw x6,8(x5)
//! ```
//!
//! Registers are x0 to x31; the immediates of lui and auipc are the upper 20 bits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::discover::Code;
use super::liveness::RegisterSet;
use super::region::{Block, End, Region, Target};
use crate::decode::{Instruction, decode, encode};
use crate::isa::{Format, TABLE, Variant};

/// Where assembled code begins.
pub(crate) const START: u32 = 0x1_0000;

/// Guest code, and the facts known about it. All of it is warm unless a test says otherwise.
#[derive(Default)]
pub(crate) struct Guest {
    words: BTreeMap<u32, u32>,
    labels: BTreeMap<u32, String>,
    cold: BTreeSet<u32>,
    others: BTreeSet<u32>,
    targets: HashMap<u32, Vec<u32>>,
}

/// Assembles a text.
pub(crate) fn assemble(text: &str) -> Guest {
    let (mut guest, mut lines, mut pc) = (Guest::default(), Vec::new(), START);
    for line in text.lines() {
        let (label, code) = line.split_once(':').map_or((None, line), |(label, code)| (Some(label.trim()), code));
        if let Some(label) = label {
            assert!(guest.labels.insert(pc, label.to_owned()).is_none(), "two labels at one address: {line}");
        }
        match code.trim().strip_prefix(".org") {
            Some(bytes) => pc = START + number(bytes.trim()),
            None if code.trim().is_empty() => {}
            None => {
                lines.push((pc, code.trim().to_owned()));
                pc += 4;
            }
        }
    }
    for (pc, code) in lines {
        let word = encode(guest.instruction(pc, &code));
        guest.words.insert(pc, word);
    }
    guest
}

fn number(text: &str) -> u32 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    (sign * value.unwrap_or_else(|_| panic!("no number: {text}"))) as u32
}

impl Guest {
    /// Creates code of these words.
    pub(crate) fn of_words(words: &[u32]) -> Guest {
        Guest { words: (START..).step_by(4).zip(words.iter().copied()).collect(), ..Guest::default() }
    }

    fn instruction(&self, pc: u32, code: &str) -> Instruction {
        let (mnemonic, operands) = code.split_once(' ').unwrap_or((code, ""));
        let line = TABLE.iter().find(|line| line.mnemonic == mnemonic).unwrap_or_else(|| panic!("no such: {code}"));
        let operands: Vec<&str> = operands.split([',', '(', ')']).map(str::trim).filter(|it| !it.is_empty()).collect();
        let register = |index: usize| match operands[index].strip_prefix('x').and_then(|number| number.parse().ok()) {
            Some(number @ 0..32) => number,
            _ => panic!("no register: {code}"),
        };
        let target = |index: usize| match self.labels.iter().find(|(_, label)| **label == operands[index]) {
            Some((&address, _)) => address.wrapping_sub(pc),
            None => number(operands[index]),
        };
        let (rd, rs1, rs2, imm) = match line.format {
            Format::R => (register(0), register(1), register(2), 0),
            // rd, imm(rs1)
            Format::I if code.contains('(') => (register(0), register(2), 0, number(operands[1])),
            Format::I | Format::Shift => (register(0), register(1), 0, number(operands[2])),
            Format::S => (0, register(2), register(0), number(operands[1])),
            Format::B => (0, register(0), register(1), target(2)),
            Format::U => (register(0), 0, 0, number(operands[1]) << 12),
            Format::J => (register(0), 0, 0, target(1)),
            Format::None => (0, 0, 0, 0),
        };
        let instruction = Instruction { op: line.op, rd, rs1, rs2, imm };
        assert_eq!(decode(encode(instruction), Variant::Standard), Some(instruction), "out of reach: {code}");
        instruction
    }

    /// Returns the address of a label.
    pub(crate) fn at(&self, name: &str) -> u32 {
        let found = self.labels.iter().find(|(_, label)| *label == name);
        *found.unwrap_or_else(|| panic!("no label {name}")).0
    }

    fn all(&self, names: &str) -> Vec<u32> {
        names.split_whitespace().map(|name| self.at(name)).collect()
    }

    /// Marks these labels as rarely entered.
    pub(crate) fn cold(mut self, names: &str) -> Guest {
        self.cold.extend(self.all(names));
        self
    }

    /// Marks these labels as entries of other regions.
    pub(crate) fn others(mut self, names: &str) -> Guest {
        self.others.extend(self.all(names));
        self
    }

    /// Records the other labels as known targets of the indirect jump at the first label.
    pub(crate) fn targets(mut self, jump: &str, names: &str) -> Guest {
        self.targets.insert(self.at(jump), self.all(names));
        self
    }

    /// Returns the region at the start of the code, with at most this many instructions.
    pub(crate) fn region_up_to(&self, cap: usize) -> Region {
        self.find_region(cap).expect("its first instruction can be translated")
    }

    /// Does the same if the first instruction may be one that cannot be translated.
    pub(crate) fn find_region(&self, cap: usize) -> Option<Region> {
        Region::discover(START, Variant::Standard, cap, self)
    }

    /// Returns the region at the start of the code.
    pub(crate) fn region(&self) -> Region {
        self.region_up_to(8000)
    }

    /// Returns a label, or the distance of an address from the last one.
    pub(crate) fn name(&self, pc: u32) -> String {
        match self.labels.range(..=pc).next_back() {
            Some((&at, label)) if at == pc => label.clone(),
            Some((&at, label)) => format!("{label}+{}", pc - at),
            None => format!("{pc:#x}"),
        }
    }

    fn target(&self, region: &Region, target: Target) -> String {
        match target {
            Target::Block(block) => self.name(region.blocks[block].pc),
            Target::Out(pc) => format!("out {}", self.name(pc)),
            Target::System(pc) => format!("system {}", self.name(pc)),
            Target::Misaligned => "nowhere".to_owned(),
        }
    }

    fn names(&self, region: &Region, blocks: &[usize]) -> String {
        let names: Vec<String> = blocks.iter().map(|&block| self.name(region.blocks[block].pc)).collect();
        names.join(" ")
    }

    /// Formats a region's blocks, one per line: name, number of instructions, and successors.
    pub(crate) fn blocks(&self, region: &Region) -> Vec<String> {
        let end = |block: &Block| match block.end {
            End::Goto(target) => self.target(region, target),
            End::Branch { taken, fall } => {
                format!("{} or {}", self.target(region, taken), self.target(region, fall))
            }
            End::Indirect if block.known_targets.is_empty() => "indirect".to_owned(),
            End::Indirect => format!("indirect, maybe {}", self.names(region, &block.known_targets)),
            End::Interpret => "interpreter".to_owned(),
        };
        let line = |block: &Block| format!("{} {} -> {}", self.name(block.pc), block.instructions.len(), end(block));
        region.blocks.iter().map(line).collect()
    }

    /// Formats a region's entries.
    pub(crate) fn entries(&self, region: &Region) -> String {
        self.names(region, &region.entries)
    }

    /// Formats the result of an analysis for each block, one per line, without blocks that have no result.
    pub(crate) fn by_block<T>(&self, region: &Region, found: &[T], text: impl Fn(&T) -> String) -> Vec<String> {
        let lines = region.blocks.iter().zip(found).map(|(block, found)| (self.name(block.pc), text(found)));
        lines.filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}: {text}")).collect()
    }
}

/// Formats a set of registers.
pub(crate) fn registers(set: &RegisterSet) -> String {
    let names: Vec<String> =
        (0..32).filter(|number| set & 1 << number != 0).map(|number| format!("x{number}")).collect();
    names.join(" ")
}

impl Code for Guest {
    fn fetch(&self, pc: u32) -> Option<u32> {
        self.words.get(&pc).copied()
    }

    fn is_warm(&self, pc: u32) -> bool {
        !self.cold.contains(&pc)
    }

    fn stops_at(&self, pc: u32) -> bool {
        self.others.contains(&pc)
    }

    fn targets(&self, pc: u32) -> &[u32] {
        self.targets.get(&pc).map_or(&[], Vec::as_slice)
    }
}
