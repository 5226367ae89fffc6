//! Rebuilds state from a trace: registers, pc and memory at any step, from the initial image, rows and effects alone.
//!
//! This file must not know machines; they supply their own rules.
#![expect(clippy::indexing_slicing, reason = "registers, by five bits")]

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::{Effect, EffectKind, Row, Sink, SinkError, Space};
use crate::decode::{Instruction, decode};
use crate::isa::Variant;

/// How rows and effects of one machine advance a state.
#[derive(Clone, Copy)]
pub(crate) struct ReplayRules {
    /// Returns the index of a row's own effects among those of its step. Earlier effects happened before the row.
    pub(crate) own_effects: fn(&Row, Option<Instruction>, &[Effect]) -> usize,
    /// Returns whether the word at an address mirrors a register, and so holds the register's value.
    pub(crate) mirrors_registers: fn(u32) -> bool,
}

impl ReplayRules {
    /// Rules for machines where every effect of a step is the row's own, and memory mirrors no registers.
    pub(crate) const STANDARD: ReplayRules = ReplayRules { own_effects: |_, _, _| 0, mirrors_registers: |_| false };
}

/// The rows do not match the state that they were applied to.
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

/// A state that rows and effects advance. As a sink, it follows a run and checks every operand against its own state.
pub struct Replay {
    variant: Variant,
    rules: ReplayRules,
    step: u64,
    until: u64,
    pc: u32,
    registers: [u32; 32],
    /// Words that the trace has shown, by address. All other words have their initial values.
    words: HashMap<u32, u32>,
}

impl Replay {
    /// Makes a state before step `step`, at `pc`. It follows rows up to step `until` and ignores later ones.
    pub(crate) fn new(
        (variant, rules): (Variant, ReplayRules),
        step: u64,
        pc: u32,
        registers: [u32; 32],
        until: u64,
    ) -> Replay {
        Replay { variant, rules, step, until, pc, registers, words: HashMap::new() }
    }

    /// Returns the number of steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Returns the best known address of the next row: the exact pc if that row was seen, otherwise the last row's pc
    /// plus 4.
    pub fn pc(&self) -> u32 {
        self.pc
    }

    /// Returns x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        self.registers
    }

    /// Returns the word at `address & !3` if the trace has shown it. `None` means that the word still has the value
    /// that it had when the session started.
    pub fn word(&self, address: u32) -> Option<u32> {
        self.words.get(&(address & !3)).copied()
    }

    /// Returns every word that the trace has shown, unordered.
    pub fn words(&self) -> impl Iterator<Item = (u32, u32)> {
        self.words.iter().map(|(&address, &word)| (address, word))
    }

    /// Advances the state by one row and its step's effects.
    ///
    /// # Errors
    /// Fails if the row or an effect has an operand that differs from the state.
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
        // Effects after the program's last step.
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
    /// Prints the position, without the memory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Replay");
        shown.field("step", &self.step).field("until", &self.until);
        shown.field("pc", &format_args!("{:#010x}", self.pc)).field("words", &self.words.len()).finish_non_exhaustive()
    }
}
