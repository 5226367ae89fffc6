//! What machine `r0vm` has that others have not: its options. `host` makes a guest's surroundings of them, `facts` tells
//! what a session came to.

pub(super) mod facts;
mod host;

use std::path::PathBuf;

use clap::Args;
use tachy::MachineKind;

use super::args::{Target, number, target};
use super::failure::Failure;

pub(super) use host::surroundings;

/// Options that only machine `r0vm` has.
#[derive(Args, Default)]
#[command(next_help_heading = "Options of machine r0vm")]
pub(super) struct R0vmArgs {
    /// Set a variable of the guest's environment, which is empty otherwise; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// Cut the run into segments of at most 2^N cycles, 13 to 24 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(13..=24))]
    po2: Option<u32>,

    /// Stop when the guest has taken N user cycles
    #[arg(long, value_name = "N", value_parser = number)]
    limit_cycles: Option<u64>,

    /// Write the journal to FILE, or to standard output (-), which sends the guest's output to standard error; it stays
    /// empty where the guest ends without committing to it
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Write segments to DIR as a prover reads them, named segment-0000.bin and so on
    #[arg(long, value_name = "DIR")]
    segments: Option<PathBuf>,

    /// Only execute: hash no memory, make no segments
    ///
    /// Otherwise each segment is made as for a prover, with or without --segments, so that whatever is wrong with it
    /// shows. That copies every page a segment touches and hashes those it writes, on a second thread. It is little for
    /// a program that stays in a few pages; one that writes to 16 MiB all over took ten times as long.
    #[arg(long, conflicts_with = "segments")]
    execute_only: bool,
}

impl R0vmArgs {
    /// For measurements: no segments, and all else by default.
    pub(super) fn execution() -> R0vmArgs {
        R0vmArgs { execute_only: true, ..R0vmArgs::default() }
    }

    /// On other machines these options mean nothing.
    pub(super) fn check(&self, machine: MachineKind) -> Result<(), Failure> {
        let R0vmArgs { env, po2, limit_cycles, journal, segments, execute_only } = self;
        let given = [
            ("--env", !env.is_empty()),
            ("--po2", po2.is_some()),
            ("--limit-cycles", limit_cycles.is_some()),
            ("--journal", journal.is_some()),
            ("--segments", segments.is_some()),
            ("--execute-only", *execute_only),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) if machine != MachineKind::R0vm => {
                Err(Failure::usage(&format!("{option} is for machine r0vm, and this program runs on {machine}")))
            }
            _ => Ok(()),
        }
    }

    /// Where the journal goes.
    pub(super) fn journal(&self) -> Target<'_> {
        target(self.journal.as_deref())
    }
}

/// A variable with its value.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(variable("A=b"), pair("A", "b"));
        assert_eq!(variable("A="), pair("A", ""));
        assert_eq!(variable("A=b=c d"), pair("A", "b=c d"));
        for wrong in ["", "A", "=b"] {
            assert!(variable(wrong).is_err(), "{wrong:?}");
        }
    }
}
