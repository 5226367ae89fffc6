//! The program `tachy`, the library at the command line: arguments in, library calls, text and exit codes out.
//!
//! It uses the library as any other program does, through its public API. What a run computes must not depend on
//! anything here.
#![forbid(unsafe_code)]

mod ahead;
mod args;
mod bench;
mod diff;
mod drive;
mod explain;
mod explain_code;
mod failure;
mod files;
mod guest;
mod help;
mod hints;
mod info;
mod interrupt;
mod load;
mod output;
mod place;
mod progress;
mod repeat;
mod report;
mod risc0;
mod run;
mod shell;
mod streams;
mod text;
mod trace;
mod values;
mod waiting;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use failure::{Failure, USAGE};
use help::{Scope, help};

const EXAMPLES: &str = "  tachy run --stats guests/bin/sha256.elf -- 1000
  tachy trace --to 10 guests/bin/fib.elf -- 5
  tachy help trace
";

/// Runs RISC-V programs (RV32IM) at native speed and writes down every step
///
/// The rows of a trace are a function of program, input and limits; a JIT compiler makes them by default, and an
/// interpreter makes the same, slower.
#[derive(Parser)]
#[command(name = "tachy", version, after_long_help = help(Scope::All, EXAMPLES))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Trace(trace::Trace),
    Diff(diff::Diff),
    Info(info::Info),
    Explain(explain_code::Explain),
    Bench(bench::Bench),
    Completions(shell::Completions),
    Man(shell::Man),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let text = error.render().ansi().to_string();
            let text = match error.render().to_string().starts_with("error:") {
                true => text.replacen("error:", "tachy:", 1),
                false => text,
            };
            let tip = tip(&error).unwrap_or_default();
            // There is nobody to tell that telling failed.
            let _ = anstream::stderr().write_all((text + &tip).as_bytes());
            return USAGE.into();
        }
        // Help and version are no errors.
        Err(help) => return print(&help.render().ansi().to_string()).map_or_else(Failure::tell, |()| 0).into(),
    };
    let result = match &cli.command {
        Command::Run(run) => run.main(),
        Command::Trace(trace) => trace.main(),
        Command::Diff(diff) => diff.main(),
        Command::Info(info) => info.main(),
        Command::Explain(explain) => explain.main(),
        Command::Bench(bench) => bench.main(),
        Command::Completions(completions) => completions.main(),
        Command::Man(man) => man.main(),
    };
    result.unwrap_or_else(Failure::tell).into()
}

/// What to do about a word too many, if it was meant as the value of the option before it.
fn tip(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let args: Vec<OsString> = std::env::args_os().take_while(|arg| arg != "--").collect();
    values::detached(&args).map(|(option, value)| format!("\n{}\n", values::attach(option, value)))
}

/// Writes text of ours to standard output, its colours only where a terminal shows them and nobody has said no
/// (`NO_COLOR`).
fn print(text: &str) -> Result<(), Failure> {
    let mut stream = anstream::stdout().lock();
    let written = waiting::takes_message(std::io::stdout())
        .and_then(|()| stream.write_all(text.as_bytes()))
        .and_then(|()| stream.flush());
    written.map_err(|error| Failure::output("standard output", &error))
}
