//! Hosts as RISC Zero's users write them: `dropin SCENARIO` executes a guest and prints what came of it.
//!
//! The same source is built twice: here, where an external server executes, and in tests/oracle/hosts, where RISC Zero's
//! executor is in the process. Both must print the same. This file must not know which of them it is; what differs in
//! the API is in `segments.rs`.

mod guests;
mod measure;
mod scenarios;
mod segments;
mod shown;

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match scenarios::ALL.iter().chain(scenarios::OTHERS).find(|(known, _)| *known == name) {
        Some((_, scenario)) => {
            scenario();
            ExitCode::SUCCESS
        }
        None if name == "list" => {
            scenarios::ALL.iter().for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        None if name == "measure" => {
            measure::measure(&std::env::args().skip(2).collect::<Vec<_>>());
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("usage: dropin SCENARIO; `dropin list` lists them");
            ExitCode::FAILURE
        }
    }
}
