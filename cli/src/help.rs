//! The end of each command's long help: examples, and the exit codes and errors that this command can give.

use std::fmt::Write as _;

use tachy::Error;

use crate::failure::{CODES, OWN_KINDS, PAUSED, UNREAD, exit_code};

/// Whose help it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// That of the program itself, for all commands.
    All,
    Run,
    Trace,
    Diff,
    Info,
    Explain,
    Bench,
}

/// Signals give exit codes from here on.
const SIGNALS: u8 = 128;

/// Kinds that no command gives: each runs a session once, forks nowhere and takes no trace events.
const LIBRARY_ALONE: [&str; 5] = ["ended", "broken", "unfinished", "forked", "event"];
/// Kinds of errors in which both engines of `diff` may agree.
pub(crate) const AGREED: [&str; 11] = [
    "trap",
    "step-limit",
    "memory-limit",
    "output-limit",
    "time-limit",
    "cycle-limit",
    "host",
    "guest-panic",
    "bigint",
    "machine",
    "segment-too-small",
];
/// Kinds that `info` gives, which runs nothing.
const OF_INFO: [&str; 4] = ["program", "usage", "input", "output"];
/// Kinds that `bench` does not give: it takes no limit on cycles, makes no segments, and ends with a limit on steps as
/// with any other end.
const NOT_OF_BENCH: [&str; 5] = ["step-limit", "cycle-limit", "sink", "segment", "thread"];

impl Scope {
    /// Whether a command can fail in this way.
    fn gives(self, kind: &str) -> bool {
        let own = !LIBRARY_ALONE.contains(&kind);
        match self {
            Scope::All => true,
            Scope::Run | Scope::Trace => own && kind != "contender",
            // A difference is its result.
            Scope::Diff => own && !["contender", "difference"].contains(&kind),
            Scope::Info => OF_INFO.contains(&kind),
            Scope::Explain => OF_INFO.contains(&kind) || kind == "internal",
            Scope::Bench => own && !NOT_OF_BENCH.contains(&kind),
        }
    }

    /// The exit code of a failure.
    fn exit_code(self, kind: &str) -> u8 {
        match self == Scope::Diff && AGREED.contains(&kind) {
            true => 0,
            false => exit_code(kind),
        }
    }

    /// Whether a command ends with this.
    fn ends_with(self, code: u8, kinds: &[(&str, &str)]) -> bool {
        let differs = self == Scope::Diff && code == exit_code("difference");
        let pauses = code == PAUSED && matches!(self, Scope::All | Scope::Run | Scope::Trace);
        let is_signal = code >= SIGNALS && code != exit_code("cancelled");
        let by_signal = is_signal && (code == UNREAD || self.gives("cancelled"));
        differs || pauses || by_signal || kinds.iter().any(|(kind, _)| self.exit_code(kind) == code)
    }

    /// What 0 means.
    fn success(self) -> &'static str {
        match self {
            Scope::All => "all went well; or, with run, the guest's own code",
            Scope::Run => "the guest's own code, as any other that is not below",
            Scope::Trace => "the guest ended, with whatever code, or --to was reached",
            Scope::Diff => "all rows agree, and both engines end alike, be it with an error",
            Scope::Info | Scope::Explain => "all went well",
            Scope::Bench => "all was measured",
        }
    }
}

/// Examples, exit codes and kinds of errors.
pub(crate) fn help(scope: Scope, examples: &str) -> String {
    let kinds = Error::KINDS.iter().chain(&OWN_KINDS).copied();
    let kinds: Vec<(&str, &str)> = kinds.filter(|(kind, _)| scope.gives(kind)).collect();
    let mut text = format!("Examples:\n{examples}\nExit codes:\n    0  {}\n", scope.success());
    // Writing to a string does not fail.
    for (code, meaning) in CODES.into_iter().filter(|(code, _)| scope.ends_with(*code, &kinds)) {
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    }
    if matches!(scope, Scope::All | Scope::Run) {
        text.push_str("With run, a guest's own code may look like one of these; --json tells them apart.\n");
    }
    if !matches!(scope, Scope::Info | Scope::Explain) {
        text.push_str("\nKinds of errors in JSON, with their exit codes:\n");
        for (kind, meaning) in kinds {
            let _ = writeln!(text, "  {kind:<17} {:>3}  {meaning}", scope.exit_code(kind));
        }
    }
    if scope != Scope::All {
        text.push_str(FILES);
    }
    text
}

/// What becomes of outputs.
const FILES: &str = "
Files:
  An output that is the same file as an input or another output is refused with 64, before
  anything is touched. A file gets its name, and replaces what had it, when the command is done:
  also when a limit, a trap or Ctrl-C ends a run, and never when a write to it has failed.
  Devices, pipes and /dev/stdout are written straight into, and options may share them.
  - is standard input for PROGRAM, --stdin and --read-fd, and standard output for outputs.
";
