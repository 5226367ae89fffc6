//! The end of each command's long help: examples, and the exit codes and errors that this command can give.

use std::fmt::Write as _;

use crate::kind::{Code, Kind};

/// The command whose help it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The program itself, with all its commands.
    All,
    Run,
    Trace,
    Diff,
    Info,
    Explain,
    Bench,
    Cache,
}

impl Kind {
    /// Whether both engines of `diff` may agree on a failure of this kind.
    pub(crate) fn is_agreement(self) -> bool {
        matches!(
            self,
            Kind::Trap
                | Kind::StepLimit
                | Kind::MemoryLimit
                | Kind::OutputLimit
                | Kind::TimeLimit
                | Kind::CycleLimit
                | Kind::Host
                | Kind::GuestPanic
                | Kind::BigInt
                | Kind::Machine
                | Kind::SegmentTooSmall
        )
    }

    /// Whether only other users of the library see this kind. A command runs a session once, does not fork and takes no
    /// trace events.
    fn is_of_library_alone(self) -> bool {
        matches!(self, Kind::Ended | Kind::Broken | Kind::Unfinished | Kind::Forked | Kind::Event)
    }
}

impl Scope {
    /// Whether a command can fail in this way.
    fn gives(self, kind: Kind) -> bool {
        let is_of_command = !kind.is_of_library_alone();
        match self {
            Scope::All => true,
            Scope::Run | Scope::Trace => is_of_command && kind != Kind::Contender,
            // A difference is a result of diff.
            Scope::Diff => is_of_command && !matches!(kind, Kind::Contender | Kind::Difference),
            // Info runs nothing.
            Scope::Info => matches!(kind, Kind::Program | Kind::Usage | Kind::Input | Kind::Output),
            Scope::Cache => matches!(kind, Kind::Usage | Kind::Input | Kind::Output),
            Scope::Explain => {
                matches!(kind, Kind::Program | Kind::Usage | Kind::Input | Kind::Output | Kind::Internal)
            }
            // Bench has no cycle limit, makes no segments, and reaches a step limit as it reaches any other end.
            Scope::Bench => {
                is_of_command && !matches!(kind, Kind::StepLimit | Kind::CycleLimit | Kind::Sink | Kind::Segment)
            }
        }
    }

    /// The exit code of a failure; none where the command succeeds with it.
    fn code(self, kind: Kind) -> Option<Code> {
        (self != Scope::Diff || !kind.is_agreement()).then(|| kind.code())
    }

    /// Whether a command can end with this code.
    fn ends_with(self, code: Code) -> bool {
        let differs = self == Scope::Diff && code == Kind::Difference.code();
        let pauses = code == Code::Paused && matches!(self, Scope::All | Scope::Run | Scope::Trace);
        let by_signal = code.is_signal() && (code == Code::Unread || self.gives(Kind::Cancelled));
        let fails = Kind::ALL.into_iter().any(|kind| self.gives(kind) && self.code(kind) == Some(code));
        differs || pauses || by_signal || fails
    }

    /// The meaning of exit code 0.
    fn success(self) -> &'static str {
        match self {
            Scope::All => "success; with run, the guest's own code",
            Scope::Run => "the guest's own code, like any other code that is not listed below",
            Scope::Trace => "the guest ended, with any code, or the run reached --to",
            Scope::Diff => "all rows agree, and both engines end alike, even with an error",
            Scope::Info | Scope::Explain | Scope::Cache => "success",
            Scope::Bench => "all programs were measured",
        }
    }
}

/// Examples, exit codes and kinds of errors.
pub(crate) fn help(scope: Scope, examples: &str) -> String {
    let mut text = format!("Examples:\n{examples}\nExit codes:\n    0  {}\n", scope.success());
    // Writing to a string does not fail.
    for code in Code::ALL.into_iter().filter(|code| scope.ends_with(*code)) {
        let _ = writeln!(text, "  {:>3}  {}", code as u8, code.meaning());
    }
    if matches!(scope, Scope::All | Scope::Run) {
        text.push_str("With run, the guest's own code may equal one of these; --json tells them apart.\n");
    }
    if !matches!(scope, Scope::Info | Scope::Explain | Scope::Cache) {
        text.push_str("\nKinds of errors in JSON, with their exit codes:\n");
        for kind in Kind::ALL.into_iter().filter(|kind| scope.gives(*kind)) {
            let code = scope.code(kind).map_or(0, |code| code as u8);
            let _ = writeln!(text, "  {:<17} {code:>3}  {}", kind.name(), kind.meaning());
        }
    }
    if !matches!(scope, Scope::All | Scope::Cache) {
        text.push_str(FILES);
    }
    text
}

/// How outputs are written.
const FILES: &str = "
Files:
  An output that is the same file as an input or another output is refused with code 64,
  before anything is changed. A file appears under its name, and replaces an older one, when
  the command ends. This includes runs that a limit, a trap or Ctrl-C ends. A file is not
  replaced if a write to it failed. Devices, pipes and /dev/stdout are written directly, and
  several options may share them. - means standard input for PROGRAM, --stdin and --read-fd,
  and standard output for outputs.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_code_is_documented() {
        let help = help(Scope::All, "");
        for kind in Kind::ALL {
            assert!(help.contains(&format!("  {} ", kind.name())), "{kind:?}");
        }
        for code in Code::ALL {
            assert!(help.contains(&format!("  {:>3}  {}\n", code as u8, code.meaning())), "{code:?}");
        }
    }
}
