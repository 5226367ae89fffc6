//! `tachy bench`: measures the engines on programs.
//!
//! `measure` runs the programs, `against` runs other programs to compare with, `stdin` provides the input, and `table`
//! shows the results.

mod against;
mod measure;
mod stdin;
mod table;

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, CommandFactory};
use serde::Serialize;

use super::args::{ConditionArgs, JsonArg};
use super::failure::Failure;
use super::files::{Files, Input, InputName};
use super::help::{Scope, help};
use super::interrupt;
use super::kind::Kind;
use super::report::{ErrorFacts, write_json};
use super::streams::say;
use super::values::{InputPath, Target, attach, detached};
use against::{Against, against};
use measure::{Program, measure};
use stdin::Stdin;

const EXAMPLES: &str = "  tachy bench --runs 1 guests/bin/fib.elf -- 20
  tachy bench --runs 1 --json guests/r0vm/bin/kernel_modes.bin
";

/// Measure the JIT against the interpreter, without rows and with them
///
/// Without --stdin, guests have no input. With it, every run reads the input from its start. The guests' output is dropped.
/// Each engine first runs every program once to warm up, and compiles most code then. The measured runs take turns. The
/// results are their medians, without compile time. A run may end at the step limit. Any other error ends the command,
/// which then shows the measurements so far.
///
/// With --against, processes of `tachy run` and of the other programs take turns, too. Their times cover the whole process,
/// including loading, translating and exiting.
#[derive(Args)]
#[command(after_long_help = help(Scope::Bench, EXAMPLES))]
pub(super) struct Bench {
    /// Static RV32IM executables (ELF) or RISC Zero program binaries (R0BF)
    #[arg(value_name = "PROGRAM", required = true)]
    programs: Vec<InputPath>,

    /// Arguments of every guest
    #[arg(last = true, value_name = "ARG")]
    args: Vec<OsString>,

    /// Let every run read FILE as its standard input; - means the standard input of tachy
    ///
    /// On machine r0vm, the guest reads it with env::read.
    #[arg(long, value_name = "FILE", visible_alias = "input")]
    stdin: Option<InputPath>,

    /// Number of measured runs of each kind
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// Compare with qemu (qemu-riscv32) or native=PATH, an executable or a folder of executables
    ///
    /// PATH has the same source built for this machine. In a folder, an executable has the name of its program. This
    /// requires machine bare, and programs that end within the limits.
    #[arg(long, value_name = "PROGRAM", value_delimiter = ',', value_parser = against)]
    against: Vec<Against>,

    #[command(flatten)]
    json: JsonArg,
    #[command(flatten)]
    conditions: ConditionArgs,
}

#[derive(Serialize)]
struct Facts {
    /// Number of measured runs of each kind.
    runs: u32,
    programs: Vec<Program>,
    error: Option<ErrorFacts>,
}

impl Bench {
    pub(super) fn main(&self) -> Result<u8, Failure> {
        let mut files = Files::new();
        let programs = self.programs.iter().map(|path| files.input(InputName::Program, path));
        let programs = programs.collect::<Result<Vec<Input>, Failure>>()?;
        let stdin = self.stdin.as_ref().map(|path| files.input(InputName::option("--stdin"), path)).transpose()?;
        for path in self.against.iter().flat_map(|whom| self.programs.iter().filter_map(|path| whom.file(path))) {
            // The file need not be readable, since it is executed.
            drop(files.input(InputName::option("--against"), &InputPath::File(path))?);
        }
        let mut json = files.output("--json", self.json.target())?;
        // Opened before the measurements, so that a failure costs no time.
        let writer = json.open_if_wanted()?;
        let mut facts = Facts { runs: self.runs, programs: Vec::new(), error: None };
        let result = self.measure(programs, stdin, &mut facts.programs);
        interrupt::end();
        facts.error = result.as_ref().err().map(ErrorFacts::new);
        let written = writer.map_or(Ok(()), |mut writer| write_json(&facts, &mut writer)).and(json.commit());
        // The measurements before a failure are shown.
        let shown = if facts.programs.is_empty() { Ok(()) } else { self.show(&table::text(&facts.programs)) };
        result.and(written).and(shown).map(|()| 0)
    }

    fn show(&self, text: &str) -> Result<(), Failure> {
        if matches!(self.json.target(), Target::Stdout) {
            // The JSON object is on standard output.
            say(text);
            return Ok(());
        }
        super::print(text)
    }

    fn measure(&self, programs: Vec<Input>, stdin: Option<Input>, into: &mut Vec<Program>) -> Result<(), Failure> {
        let stdin = Stdin::new(stdin)?;
        for program in programs {
            let path = program.path().clone();
            let measured = measure(program, &self.args, &stdin, &self.conditions, &self.against, self.runs);
            into.push(measured.map_err(|failure| self.perhaps_detached(failure, path.as_path()))?);
        }
        Ok(())
    }

    /// Adds advice to a failure, since the file of `--json FILE` looks like another program.
    fn perhaps_detached(&self, mut failure: Failure, path: &Path) -> Failure {
        let args: Vec<OsString> = std::env::args_os().take_while(|arg| arg != "--").collect();
        if matches!(failure.kind, Kind::Input | Kind::Program)
            && self.programs.len() > 1
            && let Some((option, value)) =
                detached(&crate::Cli::command(), &args).filter(|(_, value)| Path::new(value) == path)
        {
            failure.message.push_str(&format!("\n  {}", attach(&option, &value)));
        }
        failure
    }
}
