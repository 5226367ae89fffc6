//! `tachy bench`: how fast the engines are on some programs.
//!
//! `measure` runs them, `against` knows who else can, `stdin` what they read, `table` shows what came of it.

mod against;
mod measure;
mod stdin;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::{ConditionArgs, JsonArg};
use super::failure::Failure;
use super::files::{Files, Input};
use super::help::{Scope, help};
use super::interrupt;
use super::report::{ErrorFacts, write_json};
use super::streams::say;
use super::values::{Target, attach, detached};
use against::{Against, against};
use measure::{Program, measure};
use stdin::Stdin;

const EXAMPLES: &str = "  tachy bench --runs 1 guests/bin/fib.elf -- 20
  tachy bench --runs 1 --json guests/r0vm/bin/kernel_modes.bin
";

/// Measure the JIT against the interpreter, without rows and with them
///
/// Guests have no input unless --stdin names one, which every run reads from its beginning; their output is dropped. Every
/// program is run once by each engine to warm up, which is when
/// most is compiled; the measured runs take turns, and their medians are shown, without what they still compiled. The
/// limit on steps may end a run; any other error ends everything, and what was measured before it is shown.
///
/// With --against, processes of `tachy run` and of others take turns with all that. These are timed from their start to
/// their end: loading, translating and exiting, which the times above leave out. Nothing is subtracted.
#[derive(Args)]
#[command(after_long_help = help(Scope::Bench, EXAMPLES))]
pub(super) struct Bench {
    /// Static RV32IM executables (ELF), or RISC Zero program binaries (R0BF)
    #[arg(value_name = "PROGRAM", required = true)]
    programs: Vec<PathBuf>,

    /// Arguments of every guest
    #[arg(last = true, value_name = "ARG")]
    args: Vec<OsString>,

    /// What every run reads as its standard input, - for what comes through ours; on machine r0vm, what it takes with env::read
    #[arg(long, value_name = "FILE", visible_alias = "input")]
    stdin: Option<PathBuf>,

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
        let mut files = Files::new();
        let programs = self.programs.iter().map(|path| files.input("the program", path));
        let programs = programs.collect::<Result<Vec<Input>, Failure>>()?;
        let stdin = self.stdin.as_deref().map(|path| files.input("--stdin", path)).transpose()?;
        for path in self.against.iter().flat_map(|whom| self.programs.iter().filter_map(|path| whom.file(path))) {
            // Whether it can be read does not matter: it is run.
            drop(files.input("--against", &path)?);
        }
        let mut json = files.output("--json", self.json.target())?;
        // Opened before the work, to fail then and not after it.
        let writer = json.open_if_wanted()?;
        let mut facts = Facts { runs: self.runs, programs: Vec::new(), error: None };
        let result = self.measure(programs, stdin, &mut facts.programs);
        interrupt::end();
        facts.error = result.as_ref().err().map(ErrorFacts::new);
        let written = writer.map_or(Ok(()), |mut writer| write_json(&facts, &mut writer)).and(json.commit());
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

    fn measure(&self, programs: Vec<Input>, stdin: Option<Input>, into: &mut Vec<Program>) -> Result<(), Failure> {
        let stdin = Stdin::new(stdin)?;
        for program in programs {
            let path = program.path().to_owned();
            let measured = measure(program, &self.args, &stdin, &self.conditions, &self.against, self.runs);
            into.push(measured.map_err(|failure| self.perhaps_detached(failure, &path))?);
        }
        Ok(())
    }

    /// Where several programs may be given, the file that was meant for JSON passes for one of them.
    fn perhaps_detached(&self, mut failure: Failure, path: &Path) -> Failure {
        let args: Vec<OsString> = std::env::args_os().take_while(|arg| arg != "--").collect();
        if ["input", "program"].contains(&failure.kind)
            && self.programs.len() > 1
            && let Some((option, value)) = detached(&args).filter(|(_, value)| *value == path)
        {
            failure.message.push_str(&format!("\n  {}", attach(option, value)));
        }
        failure
    }
}
