//! Windows: accesses of a block, one after the other, whose addresses are all known where the first one is. One look at
//! page states answers for all of them, and where it does not, one question. Pure.
//!
//! The translator looks and the engine answers, both by what this module says, so that they mean the same accesses.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use tachy_runtime::{Access, PAGE_BYTES};

use crate::decode::{Instruction, decode};
use crate::isa::{Class, Op, Variant};

/// Base registers and distances that one window looks at, at the most.
const REACHES: usize = 8;

/// Windows whose accesses are kept, at the most.
const KNOWN: usize = 4096;

/// An access whose address is that of a register where its window begins, and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Steps behind the window's first.
    pub(crate) ahead: u32,
    /// x0 for addresses that are constants.
    pub(crate) register: u8,
    pub(crate) offset: u32,
    pub(crate) access: Access,
}

/// Accesses near each other off one register. They are aligned and within the pages of the first and the last unit, if
/// the first unit is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) register: u8,
    /// Bytes of a unit, those of the largest access: 1, 2 or 4.
    pub(crate) unit_bytes: u32,
    /// From the register to the first unit and to the last.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) loads: bool,
    pub(crate) stores: bool,
}

/// A window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Accesses in it.
    pub(crate) accesses: usize,
    /// Instructions from the first access to the last, both included.
    pub(crate) instructions: u32,
    pub(crate) reaches: Vec<Reach>,
}

impl Window {
    /// The longest window at the front of these instructions with their pcs, the first of which is an access.
    pub(crate) fn at_front(code: impl Iterator<Item = (u32, Instruction)>) -> Window {
        let mut window = Window { accesses: 0, instructions: 0, reaches: Vec::new() };
        for reached in accesses(code) {
            let new = Reach::of(&reached);
            let wider = window.reaches.iter_mut().find_map(|reach| reach.with(&new).map(|wider| *reach = wider));
            match wider {
                Some(()) => {}
                None if window.reaches.len() < REACHES => window.reaches.push(new),
                None => break,
            }
            window.accesses += 1;
            window.instructions = reached.ahead + 1;
        }
        window
    }
}

impl Reach {
    fn of(reached: &Reached) -> Reach {
        let Reached { register, offset, access, .. } = *reached;
        let loads = matches!(access, Access::Load(_));
        Reach { register, unit_bytes: access.align_bytes(), first: offset, last: offset, loads, stores: !loads }
    }

    /// Both as one, if they lie near enough and in step.
    fn with(&self, other: &Reach) -> Option<Reach> {
        let unit_bytes = self.unit_bytes.max(other.unit_bytes);
        let anchor = if self.unit_bytes == unit_bytes { self.first } else { other.first };
        // Distances from a unit of the larger size, small numbers unless they are too far away.
        let distance = |offset: u32| offset.wrapping_sub(anchor) as i32;
        let far = [self.first, self.last, other.first, other.last].map(|offset| distance(offset).unsigned_abs());
        if self.register != other.register || far.iter().any(|&bytes| bytes >= PAGE_BYTES) {
            return None;
        }
        let [first, last] = [
            distance(self.first).min(distance(other.first)),
            (distance(self.last) + self.unit_bytes as i32).max(distance(other.last) + other.unit_bytes as i32) - 1,
        ];
        let in_step =
            distance(other.first) % other.unit_bytes as i32 == 0 && distance(self.first) % self.unit_bytes as i32 == 0;
        // Less than a page from the first unit to the last, so that all lies in the pages of these two.
        if !in_step || last - first > PAGE_BYTES as i32 - 4 {
            return None;
        }
        let unit = |byte: i32| anchor.wrapping_add_signed(byte.div_euclid(unit_bytes as i32) * unit_bytes as i32);
        Some(Reach {
            register: self.register,
            unit_bytes,
            first: unit(first),
            last: unit(last),
            loads: self.loads | other.loads,
            stores: self.stores | other.stores,
        })
    }
}

/// What is known of a register's value: where it comes from, and what was added.
#[derive(Clone, Copy)]
struct Sum {
    /// None for what was computed or loaded meanwhile.
    register: Option<u8>,
    offset: u32,
}

/// The accesses of these instructions, up to the first whose address is not known where the instructions begin.
fn accesses(code: impl Iterator<Item = (u32, Instruction)>) -> impl Iterator<Item = Reached> {
    let mut registers: [Sum; 32] = std::array::from_fn(|number| Sum { register: Some(number as u8), offset: 0 });
    let mut code = (0..).zip(code);
    std::iter::from_fn(move || {
        for (ahead, (pc, instruction)) in code.by_ref() {
            let line = instruction.op.line();
            let base = *registers.get(instruction.rs1 as usize)?;
            let sum = Sum { offset: base.offset.wrapping_add(instruction.imm), ..base };
            if line.format.has_rd()
                && instruction.rd != 0
                && let Some(register) = registers.get_mut(instruction.rd as usize)
            {
                let constant = |offset| Sum { register: Some(0), offset };
                *register = match instruction.op {
                    Op::Addi => sum,
                    Op::Lui => constant(instruction.imm),
                    Op::Auipc => constant(pc.wrapping_add(instruction.imm)),
                    _ => Sum { register: None, offset: 0 },
                };
            }
            let access = match line.class {
                Class::Load => Access::Load(line.access_bytes()),
                Class::Store => Access::Store(line.access_bytes()),
                _ => continue,
            };
            return Some(Reached { ahead, register: sum.register?, offset: sum.offset, access });
        }
        None
    })
}

/// Windows that the engine was asked about, so that the same question is not worked out twice.
#[derive(Default)]
pub(crate) struct Windows {
    /// By the pc of the first instruction.
    known: HashMap<u32, Known, FxBuildHasher>,
}

/// What a window was made of, and its accesses.
#[derive(Default)]
struct Known {
    words: Vec<u32>,
    accesses: Vec<Reached>,
}

impl Windows {
    /// The accesses among as many instructions from `pc` on, out of memory as `word` gives it.
    pub(crate) fn accesses(
        &mut self,
        [pc, instructions]: [u32; 2],
        variant: Variant,
        word: impl Fn(u32) -> u32,
    ) -> &[Reached] {
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let pcs = (0..instructions).map(|index| pc.wrapping_add(4 * index));
        let known = self.known.entry(pc).or_default();
        // Code may have been written over, and translated again, since.
        if !known.words.iter().copied().eq(pcs.clone().map(&word)) {
            let code = pcs.clone().map_while(|pc| Some((pc, decode(word(pc), variant)?)));
            *known = Known { accesses: accesses(code).collect(), words: pcs.map(&word).collect() };
        }
        &known.accesses
    }
}
