//! Counts what random programs did: instructions, ends, slow paths. A generator that no longer reaches something must
//! not go unnoticed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tachy::decode::decode;
use tachy::isa::{TABLE, Variant};
use tachy::{Row, Status};

use super::comparison::Compared;
use super::engines::End;
use super::generator::RandomProgram;

/// Number of rows of each program that are examined one by one. Later rows of longer runs bring little that is new.
const ROWS_LOOKED_AT: usize = 4096;

/// Sums over programs.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Reached {
    pub programs: u64,
    /// Steps of the interpreter's whole runs.
    pub steps: u64,
    /// Rows that native code wrote and that were compared.
    pub compared_rows: u64,
    /// Number of programs with at least 500 steps, and with at least 10,000.
    pub lengthy: u64,
    pub long: u64,
    /// Stores that changed a word of code, among the examined rows.
    pub code_stores: u64,
    /// Count of each kind of end.
    pub ends: BTreeMap<String, u64>,
    /// Steps of each instruction, among the examined rows.
    pub operations: BTreeMap<String, u64>,
    /// Sums of the engine's counters: regions and instructions translated, exits and slow paths taken.
    pub counters: BTreeMap<String, u64>,
}

impl Reached {
    /// Adds what a program did.
    pub fn add(&mut self, program: &RandomProgram, compared: &Compared, rows: &[Row]) {
        self.programs += 1;
        self.steps += rows.len() as u64;
        self.compared_rows += compared.rows;
        self.lengthy += u64::from(rows.len() >= 500);
        self.long += u64::from(rows.len() >= 10_000);
        *self.ends.entry(end_name(&compared.reference.end)).or_default() += 1;
        let code = program.code_base..program.code_base + 4 * program.code.len() as u32;
        let mut operations = [0; TABLE.len()];
        for row in rows.iter().take(ROWS_LOOKED_AT) {
            if let Some(instruction) = decode(row.insn, Variant::Standard) {
                operations[instruction.op as usize] += 1;
            }
            self.code_stores += u64::from(row.mem_before != row.mem_after && code.contains(&row.addr));
        }
        for (line, count) in TABLE.iter().zip(operations).filter(|(_, count)| *count > 0) {
            *self.operations.entry(line.mnemonic.to_string()).or_default() += count;
        }
        for stats in &compared.stats {
            for (name, count) in [
                ("interpreted steps", stats.interpreted_steps),
                ("entries", stats.entries),
                ("transfers", stats.transfers),
                ("deopts", stats.deopts),
                ("access assists", stats.access_assists),
                ("refill assists", stats.refill_assists),
                ("regions", stats.regions),
                ("regions merged", stats.regions_merged),
                ("translated instructions", stats.translated_instructions),
                ("code bytes", stats.code_bytes),
                ("code flushes", stats.code_flushes),
                ("invalidations", stats.invalidations),
                ("ecalls", stats.ecalls),
            ] {
                *self.counters.entry(name.to_string()).or_default() += count;
            }
        }
    }

    /// Adds the sums of other programs.
    #[allow(dead_code, reason = "for the soak, which is no test")]
    pub fn merge(&mut self, other: &Reached) {
        self.programs += other.programs;
        self.steps += other.steps;
        self.compared_rows += other.compared_rows;
        self.lengthy += other.lengthy;
        self.long += other.long;
        self.code_stores += other.code_stores;
        for (mine, theirs) in [
            (&mut self.ends, &other.ends),
            (&mut self.operations, &other.operations),
            (&mut self.counters, &other.counters),
        ] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Asserts that every instruction except `ebreak`, which never has a row, every end and every slow path occurred.
    pub fn assert_wide(&self) {
        for line in TABLE.iter().filter(|line| line.standard.is_some() && line.mnemonic != "ebreak") {
            assert!(self.operations.contains_key(line.mnemonic), "no {} in any program", line.mnemonic);
        }
        assert!(self.ends.len() >= 12, "exit, limits and every trap should be there: {:?}", self.ends);
        assert!(self.counters.values().all(|&count| count > 0), "something never happened: {:?}", self.counters);
        assert!(self.code_stores >= self.programs, "hardly any program changed itself: {}", self.code_stores);
        assert!(self.lengthy >= self.programs / 2, "too many short runs: {} longer ones", self.lengthy);
        assert!(self.long >= self.programs / 3, "too few long runs: {}", self.long);
    }
}

/// Names how a program ended; traps by their cause.
fn end_name(end: &End) -> String {
    match end {
        End::Done(Status::Exited { .. }) => "exit".to_string(),
        End::Done(Status::Paused { .. }) => "guest pause".to_string(),
        End::Done(_) => "pause".to_string(),
        End::Failed { kind: "trap", text, .. } => text.split(" at ").next().unwrap_or_default().to_string(),
        End::Failed { kind, .. } => kind.to_string(),
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reached { programs, steps, compared_rows, lengthy, long, code_stores, .. } = self;
        writeln!(f, "{programs} programs, {lengthy} of 500 steps or more, {long} of 10,000 or more; {steps} steps,")?;
        writeln!(f, "  {compared_rows} rows of native runs compared, {code_stores} stores that changed code seen")?;
        writeln!(f, "  ends: {}", list(&self.ends))?;
        writeln!(f, "  counters: {}", list(&self.counters))?;
        write!(f, "  instructions seen: {}", list(&self.operations))
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    parts.join(", ")
}
