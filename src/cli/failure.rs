//! What goes wrong: its name, its words and the program's exit code.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use tachy::disasm::disassemble;
use tachy::{Cause, Error, MachineKind, Place, Program, ProgramError, Session};

use super::text::symbol;

/// Exit code for a command line that makes no sense.
pub(super) const USAGE: u8 = 64;
/// Exit code when the engines differ.
pub(super) const DIFFER: u8 = 70;
/// Exit code for what cannot be done here or not yet.
const UNAVAILABLE: u8 = 69;

/// Exit codes, for the help.
const CODES: [(u8, &str); 10] = [
    (0, "all went well; or, with run, the guest's own code"),
    (USAGE, "the command line makes no sense"),
    (65, "the program is bad"),
    (66, "the program or the input is missing or cannot be read"),
    (UNAVAILABLE, "not possible here, or not yet: memory, machine"),
    (DIFFER, "the engines differ"),
    (71, "memory limit"),
    (72, "step, output, time or cycle limit"),
    (73, "the guest trapped, panicked, or asked for what there is not"),
    (74, "input or output failed"),
];

/// Kinds of failures that the library does not know.
const OWN_KINDS: [(&str, &str); 3] = [
    ("usage", "the options contradict each other"),
    ("input", "the program or the input is missing or cannot be read"),
    ("output", "a file could not be written"),
];

/// The exit code for a kind of failure.
fn exit_code(kind: &str) -> u8 {
    match kind {
        "usage" | "arguments" | "configuration" => USAGE,
        "program" => 65,
        "input" => 66,
        "difference" => DIFFER,
        "memory-limit" => 71,
        "step-limit" | "output-limit" | "time-limit" | "cycle-limit" | "segment-too-small" | "cancelled" => 72,
        "trap" | "machine" | "bigint" | "host" => 73,
        "output" | "sink" | "stream" => 74,
        _ => UNAVAILABLE,
    }
}

/// The end of the long help: exit codes and kinds of errors.
pub(super) fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    // Writing to a string does not fail.
    for (code, meaning) in CODES {
        let _ = writeln!(text, "  {code:>2}  {meaning}");
    }
    text.push_str(
        "A trace whose reader goes away ends quietly, with 0. With run, a guest's code of 64 to 74 looks like one of ours; \
         --json tells them apart.\n\nKinds of errors in JSON, with their exit codes:\n",
    );
    for (kind, meaning) in Error::KINDS.iter().chain(&OWN_KINDS) {
        let _ = writeln!(text, "  {kind:<17} {}  {meaning}", exit_code(kind));
    }
    text
}

/// What went wrong.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: &'static str,
    /// What, where, and what to do: a line or two.
    pub(super) message: String,
    pub(super) place: Option<Place>,
    /// The address that a trap is about.
    pub(super) address: Option<u32>,
    /// Our reader went away: not worth a word.
    quiet: bool,
}

impl Failure {
    fn new(kind: &'static str, message: String) -> Failure {
        Failure { kind, message, place: None, address: None, quiet: false }
    }

    /// Options that are fine one by one.
    pub(super) fn usage(message: &str) -> Failure {
        Failure::new("usage", format!("{message}; see --help"))
    }

    /// Something to read is missing.
    pub(super) fn input(what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::new("input", format!("cannot read {what} {}: {error}", path.display()))
    }

    /// Something of ours could not be written.
    pub(super) fn output(what: &str, error: &io::Error) -> Failure {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { quiet, ..Failure::new("output", format!("cannot write {what}: {error}")) }
    }

    /// The engines did not do the same.
    pub(super) fn differ(message: &str) -> Failure {
        Failure::new("difference", format!("{message}; `tachy diff` shows where they differ"))
    }

    /// A guest of machine `r0vm` ended in a way that has no meaning.
    pub(super) fn end(word: u32) -> Failure {
        Failure::new("machine", format!("the guest ended with {word:#010x}, neither for good nor to be resumed"))
    }

    /// The program was refused.
    pub(super) fn program(path: &Path, error: ProgramError) -> Failure {
        let error = Error::from(error);
        Failure::new(error.kind(), format!("{}: {error}", path.display()))
    }

    /// The library says so.
    pub(super) fn library(error: &Error) -> Failure {
        let quiet = match error {
            Error::Sink { source, .. } => {
                source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            }
            _ => false,
        };
        let address = match error {
            Error::Trap(trap) => Some(trap.address),
            _ => None,
        };
        Failure { place: error.place(), address, quiet, ..Failure::new(error.kind(), error.to_string()) }
    }

    /// A run ended with this: says also which code that was.
    pub(super) fn run(error: &Error, program: &Program, machine: MachineKind, session: &Session<'_>) -> Failure {
        let mut failure = Failure::library(error);
        let Some(Place { pc, step }) = failure.place else { return failure };
        let mut more = Vec::new();
        more.extend(symbol(program, pc).map(|symbol| format!("in {symbol}")));
        if let Error::Trap(trap) = error {
            if trap.cause != Cause::FetchFault {
                more.push(format!("at `{}`", disassemble(session.word(pc), pc, machine.variant())));
            }
            let from = step.saturating_sub(20);
            more.push(format!("`tachy trace --from {from}` shows the steps before it"));
        }
        if matches!(error, Error::Difference(_)) {
            more.push("`tachy diff` shows both rows".to_owned());
        }
        if !more.is_empty() {
            failure.message.push_str("\n  ");
            failure.message.push_str(&more.join("; "));
        }
        failure
    }

    /// Says it on standard error, and gives the exit code.
    pub(super) fn tell(self) -> u8 {
        if self.quiet {
            return 0;
        }
        // If this fails, there is nobody left to tell.
        let _ = writeln!(io::stderr(), "tachy: {}", self.message);
        exit_code(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_documented_exit_code() {
        let help = help();
        for (kind, _) in Error::KINDS.iter().chain(&OWN_KINDS) {
            assert!(CODES.iter().any(|(code, _)| *code == exit_code(kind)), "{kind}");
            assert!(help.contains(&format!("  {kind} ")), "{kind}");
        }
        // These have no other name for their code, so that a typing mistake would go unseen.
        let unavailable = Error::KINDS.iter().filter(|(kind, _)| exit_code(kind) == UNAVAILABLE);
        let names: Vec<&str> = unavailable.map(|(kind, _)| *kind).collect();
        assert_eq!(names, ["boot", "thread", "host-memory", "ended"]);
    }
}
