//! A sink of your own: counts how often each function of a guest executes a store, while the guest runs.
//!
//! A sink sees every row once and keeps only what it wants, so a trace of any length needs little memory:
//! `cargo run --example own_sink`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};

use tachy::trace::{Effect, SinkError};
use tachy::{Env, Executor, Program, Row, Sink};

/// Opcode of store instructions, bits 0 to 6 of the instruction word.
const STORE: u32 = 0b010_0011;

/// Counts stores by function.
struct Stores<'a> {
    program: &'a Program,
    by_function: BTreeMap<String, u64>,
}

impl Sink for Stores<'_> {
    // The rows of some steps in a row. The slices are reused after the call, so a sink copies what it keeps.
    fn rows(&mut self, _first_step: u64, rows: &[Row], _effects: &[Effect]) -> Result<(), SinkError> {
        for row in rows.iter().filter(|row| row.insn & 0x7f == STORE) {
            // A sink can end the run with an error of its own.
            let (function, _) = self.program.symbol_at(row.pc).ok_or("a store outside of all functions")?;
            *self.by_function.entry(function.name.clone()).or_default() += 1;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// Writes what `main` prints, so that a test can check it.
pub fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/quicksort.elf"))?;
    let program = Program::from_elf(&elf)?;
    let executor = Executor::builder().build(&program)?;
    let mut stores = Stores { program: &program, by_function: BTreeMap::new() };
    let outcome = executor.trace(Env::new().args(["quicksort", "1000"]), &mut stores)?;
    writeln!(out, "{} steps", outcome.steps())?;
    for (function, count) in &stores.by_function {
        writeln!(out, "{count:>8} stores in {function}")?;
    }
    Ok(())
}
