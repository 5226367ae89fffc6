//! `tachy bench`: how fast the engines are on some programs.
//!
//! `measure` runs them, `against` knows who else can, `table` shows what came of it.

mod against;
mod measure;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::args::{ConditionArgs, JsonArg};
use super::failure::{self, Failure};
use super::interrupt;
use super::report::{ErrorFacts, write_json};
use super::streams::{create, say};
use super::values::Target;
use against::{Against, against};
use measure::{Program, measure};

const EXAMPLES: &str = "  tachy bench --runs 1 guests/bin/fib.elf -- 20
  tachy bench --runs 1 --json guests/r0vm/bin/kernel_modes.bin
";

/// Measure the JIT against the interpreter, without rows and with them
///
/// Guests have no input, and their output is dropped. Every program is run once by each engine to warm up, which is when
/// most is compiled; the measured runs take turns, and their medians are shown, without what they still compiled. The
/// limit on steps may end a run; any other error ends everything, and what was measured before it is shown.
///
/// With --against, processes of `tachy run` and of others take turns with all that. These are timed from their start to
/// their end: loading, translating and exiting, which the times above leave out. Nothing is subtracted.
#[derive(Args)]
#[command(after_long_help = failure::help(EXAMPLES))]
pub(super) struct Bench {
    /// Static RV32IM executables (ELF), or RISC Zero program binaries (R0BF)
    #[arg(value_name = "PROGRAM", required = true)]
    programs: Vec<PathBuf>,

    /// Arguments of every guest
    #[arg(last = true, value_name = "ARG")]
    args: Vec<OsString>,

    /// Measured runs of each kind
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// Compare with qemu (qemu-riscv32, if installed), or native=PATH: the same source built for this machine, an
    /// executable or a folder of them with the programs' names; on machine bare, for programs that end by themselves
    #[arg(long, value_name = "WHOM", value_delimiter = ',', value_parser = against)]
    against: Vec<Against>,

    #[command(flatten)]
    json: JsonArg,
    #[command(flatten)]
    conditions: ConditionArgs,
}

#[derive(Serialize)]
struct Facts {
    /// Measured runs of each kind.
    runs: u32,
    programs: Vec<Program>,
    error: Option<ErrorFacts>,
}

impl Bench {
    pub(super) fn main(&self) -> Result<u8, Failure> {
        // Opened first of all, to fail before the work and not after it.
        let json = create(self.json.target())?;
        let mut facts = Facts { runs: self.runs, programs: Vec::new(), error: None };
        let result = self.measure(&mut facts.programs);
        interrupt::end();
        facts.error = result.as_ref().err().map(ErrorFacts::new);
        let written = json.map_or(Ok(()), |file| write_json(&facts, &file));
        // What was measured before something went wrong is shown all the same.
        let shown = if facts.programs.is_empty() { Ok(()) } else { self.show(&table::text(&facts.programs)) };
        result.and(written).and(shown).map(|()| 0)
    }

    fn show(&self, text: &str) -> Result<(), Failure> {
        if matches!(self.json.target(), Target::Stdout) {
            // The object says the same.
            say(text);
            return Ok(());
        }
        super::print(text)
    }

    fn measure(&self, into: &mut Vec<Program>) -> Result<(), Failure> {
        for path in &self.programs {
            into.push(measure(path, &self.args, &self.conditions, &self.against, self.runs)?);
        }
        Ok(())
    }
}
