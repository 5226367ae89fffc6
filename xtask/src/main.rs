//! Maintenance tasks of the repository: measurements, the soak, and packaging. `cargo xtask help` lists them.
//!
//! The alias in `.cargo/config.toml` builds this package in the release profile, as measurements need it. None of this
//! is part of the product, and it uses the library only through its public API.
#![forbid(unsafe_code)]

#[path = "../../tests/common/mod.rs"]
#[allow(dead_code, reason = "the tasks use a part of it")]
mod common;
mod counts;
mod dist;
mod figures;
mod processor_time;
mod soak;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a task returns: its exit code, or an error to print.
type Result<T = ExitCode> = std::result::Result<T, Box<dyn Error>>;

/// Maintenance tasks of the Tachy repository
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Counts(counts::Counts),
    #[command(hide = true)]
    CountOne(counts::CountOne),
    Figures(figures::Figures),
    ProcessorTime(processor_time::ProcessorTime),
    #[command(hide = true)]
    TimeOne(processor_time::TimeOne),
    Soak(soak::Soak),
    Dist(dist::Dist),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Counts(task) => task.run(),
        Task::CountOne(task) => task.run(),
        Task::Figures(task) => task.run(),
        Task::ProcessorTime(task) => task.run(),
        Task::TimeOne(task) => task.run(),
        Task::Soak(task) => task.run(),
        Task::Dist(task) => task.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::from(2)
    })
}
