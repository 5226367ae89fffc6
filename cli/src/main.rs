//! The program `tachy`: turns arguments into calls of the library, and results into text and exit codes.
//!
//! It uses the library through its public API, like any other program. It must not change what a run computes.
#![forbid(unsafe_code)]
#![deny(unreachable_pub)]

mod ahead;
mod args;
mod bench;
mod cache;
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
mod kind;
mod load;
mod location;
mod output;
mod progress;
mod r0vm;
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
use clap::{CommandFactory, Parser, Subcommand};

use failure::Failure;
use help::{Scope, help};
use kind::Code;

const EXAMPLES: &str = "  tachy run --stats guests/bin/sha256.elf -- 1000
  tachy trace --to 10 guests/bin/fib.elf -- 5
  tachy help trace
";

/// Runs RISC-V programs (RV32IM) at native speed and records every step
///
/// The rows of a trace depend only on the program, its input and the limits. By default a JIT compiler produces them; an
/// interpreter produces the same rows more slowly.
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
    Cache(cache::Cache),
    #[command(name = "r0vm")]
    R0vm(r0vm::R0vm),
    Completions(shell::Completions),
    Man(shell::Man),
}

fn main() -> ExitCode {
    if r0vm::Program::is_called(std::env::args_os().next().as_deref()) {
        return r0vm::Program::try_parse().map_or_else(|error| tell(&error), |program| program.main()).into();
    }
    Cli::try_parse().map_or_else(|error| tell(&error), |cli| run(&cli)).into()
}

/// Runs a command and returns the exit code.
fn run(cli: &Cli) -> u8 {
    let result = match &cli.command {
        Command::Run(run) => run.main(),
        Command::Trace(trace) => trace.main(),
        Command::Diff(diff) => diff.main(),
        Command::Info(info) => info.main(),
        Command::Explain(explain) => explain.main(),
        Command::Bench(bench) => bench.main(),
        Command::Cache(cache) => cache.main(),
        Command::R0vm(r0vm) => Ok(r0vm.main()),
        Command::Completions(completions) => completions.main(),
        Command::Man(man) => man.main(),
    };
    result.unwrap_or_else(Failure::tell)
}

/// Says what the parser of arguments has to say, and returns the exit code.
fn tell(error: &clap::Error) -> u8 {
    if !error.use_stderr() {
        // Help and version are not errors.
        return print(&error.render().ansi().to_string()).map_or_else(Failure::tell, |()| 0);
    }
    let text = error.render().ansi().to_string();
    let text = match error.render().to_string().starts_with("error:") {
        true => text.replacen("error:", "tachy:", 1),
        false => text,
    };
    let tip = tip(error).unwrap_or_default();
    // If this fails, nobody can read the message.
    let _ = anstream::stderr().write_all((text + &tip).as_bytes());
    Code::Usage as u8
}

/// Advice about an unexpected word that may be the value of the option before it.
fn tip(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let args: Vec<OsString> = std::env::args_os().take_while(|arg| arg != "--").collect();
    let detached = values::detached(&Cli::command(), &args);
    detached.map(|(option, value)| format!("\n{}\n", values::attach(&option, &value)))
}

/// Writes text to standard output. Its colours are kept only on a terminal, and only if `NO_COLOR` is not set.
fn print(text: &str) -> Result<(), Failure> {
    let mut stream = anstream::stdout().lock();
    let written = waiting::takes_message(std::io::stdout())
        .and_then(|()| stream.write_all(text.as_bytes()))
        .and_then(|()| stream.flush());
    written.map_err(|error| Failure::output("standard output", &error))
}
