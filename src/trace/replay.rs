//! State from a trace: registers, pc and memory at any step, out of the initial image, rows and effects alone.
#![expect(clippy::indexing_slicing, reason = "registers, by five bits")]

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::{Effect, EffectKind, Row, Sink, SinkError, Space};
use crate::decode::{Instruction, decode};
use crate::isa::Variant;

/// How rows and effects of one machine move a state on.
#[derive(Clone, Copy)]
pub(crate) struct ReplayRules {
    /// Where a row's own effects begin among those of its step. The others were done before it.
    pub(crate) own_effects: fn(&Row, Option<Instruction>, &[Effect]) -> usize,
    /// Whether the word at an address is a register as memory shows it: it holds what the register holds.
    pub(crate) mirrors_registers: fn(u32) -> bool,
}

impl ReplayRules {
    /// Every effect of a step is the row's own, and registers are not in memory.
    pub(crate) const STANDARD: ReplayRules = ReplayRules { own_effects: |_, _, _| 0, mirrors_registers: |_| false };
}

/// The rows do not belong to the state they were applied to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("replay of step {step} failed: {what} is {found:#010x}, the trace says {expected:#010x}")]
pub struct ReplayError {
    /// The step.
    pub step: u64,
    /// What differs.
    pub what: &'static str,
    /// Its value in the replayed state.
    pub found: u32,
    /// Its value in the trace.
    pub expected: u32,
}

/// A state that rows and effects move forward; as a sink it follows a run, and every operand it is shown is checked
/// against its own state.
pub struct Replay {
    variant: Variant,
    rules: ReplayRules,
    step: u64,
    until: u64,
    pc: u32,
    registers: [u32; 32],
    /// Words the trace has shown, by address; everything else is as it was at the start.
    words: HashMap<u32, u32>,
}

impl Replay {
    /// A state before step `step`, at `pc`; follows rows up to step `until` and ignores later ones.
    pub(crate) fn new(
        (variant, rules): (Variant, ReplayRules),
        step: u64,
        pc: u32,
        registers: [u32; 32],
        until: u64,
    ) -> Replay {
        Replay { variant, rules, step, until, pc, registers, words: HashMap::new() }
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Address of the last row's successor as far as it is known: of the next row once that was seen, of the last row
    /// plus 4 otherwise.
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.registers
    }

    /// The word at `address & !3` if the trace has shown it; otherwise it is what the session's start had there.
    pub fn word(&self, address: u32) -> Option<u32> {
        self.words.get(&(address & !3)).copied()
    }

    /// Every word that the trace has shown, unordered.
    pub fn words(&self) -> impl Iterator<Item = (u32, u32)> {
        self.words.iter().map(|(&address, &word)| (address, word))
    }

    /// Moves the state over one row and its step's effects.
    ///
    /// # Errors
    /// When the row or an effect shows an operand that the state does not have.
    pub fn apply(&mut self, row: &Row, effects: &[Effect]) -> Result<(), ReplayError> {
        let step = self.step;
        let check = |what, found, expected| match found == expected {
            true => Ok(()),
            false => Err(ReplayError { step, what, found, expected }),
        };
        let instruction = decode(row.insn, self.variant);
        let (earlier, own) = effects.split_at((self.rules.own_effects)(row, instruction, effects));
        for effect in earlier {
            self.apply_effect(effect)?;
        }
        if let Some(instruction) = instruction {
            let format = instruction.op.line().format;
            if format.has_rs1() {
                check("rs1", self.registers[instruction.rs1 as usize & 31], row.rs1)?;
            }
            if format.has_rs2() {
                check("rs2", self.registers[instruction.rs2 as usize & 31], row.rs2)?;
            }
            if instruction.op.line().access_bytes() != 0 && !(self.rules.mirrors_registers)(row.addr) {
                let before = *self.words.entry(row.addr & !3).or_insert(row.mem_before);
                check("the word before", before, row.mem_before)?;
                self.words.insert(row.addr & !3, row.mem_after);
            }
            if format.has_rd() && instruction.rd != 0 {
                self.registers[instruction.rd as usize & 31] = row.rd;
            }
        }
        for effect in own {
            self.apply_effect(effect)?;
        }
        self.step += 1;
        self.pc = row.pc.wrapping_add(4);
        Ok(())
    }

    fn apply_effect(&mut self, effect: &Effect) -> Result<(), ReplayError> {
        let Effect { step, addr, before, after, .. } = *effect;
        if matches!(effect.kind(), EffectKind::PageIn | EffectKind::PageOut) {
            return Ok(());
        }
        if effect.space() == Space::Memory && (self.rules.mirrors_registers)(addr) {
            return Ok(());
        }
        let cell = match effect.space() {
            Space::Memory => self.words.entry(addr).or_insert(before),
            Space::Register => &mut self.registers[addr as usize & 31],
        };
        if *cell != before {
            return Err(ReplayError { step, what: "an effect's word before", found: *cell, expected: before });
        }
        *cell = after;
        Ok(())
    }
}

impl Sink for Replay {
    fn rows(&mut self, first_step: u64, rows: &[Row], mut effects: &[Effect]) -> Result<(), SinkError> {
        let done = self.step;
        effects = effects.get(effects.partition_point(|effect| effect.step < done)..).unwrap_or_default();
        for (row, step) in rows.iter().zip(first_step..) {
            if step < self.step {
                continue;
            }
            if step == self.until {
                self.pc = row.pc;
            }
            if step >= self.until {
                break;
            }
            let count = effects.iter().take_while(|effect| effect.step <= step).count();
            let (own, later) = effects.split_at(count);
            effects = later;
            self.apply(row, own)?;
        }
        // What came after the program's last step.
        if self.step < self.until {
            let done = self.step;
            for effect in effects.iter().filter(|effect| effect.step >= done) {
                self.apply_effect(effect)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Replay {
    /// Where it is, not what memory it has seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Replay");
        shown.field("step", &self.step).field("until", &self.until);
        shown.field("pc", &format_args!("{:#010x}", self.pc)).field("words", &self.words.len()).finish_non_exhaustive()
    }
}
