//! What goes wrong: its name, its words and the program's exit code.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use tachy::jit::ListError;
use tachy::program::Frame;
use tachy::risc0::host::HostError;
use tachy::{Error, Limit, LimitError, MachineKind, Place, ProgramError};

use crate::explain;
use crate::interrupt::{self, Stop};
use crate::waiting;

/// Exit code for a command line that makes no sense.
pub(crate) const USAGE: u8 = 64;
/// Exit code when the engines differ, or something else is wrong with Tachy itself.
pub(crate) const DIFFER: u8 = 70;
/// Exit code after Ctrl-C, as of any program that a shell sees end by SIGINT.
const INTERRUPTED: u8 = 130;
/// Exit code of a guest that paused and was not resumed, whatever code it gave.
pub(crate) const PAUSED: u8 = 75;
/// Exit code where whoever read our output has gone away, as of any program that a shell sees end by SIGPIPE.
pub(crate) const UNREAD: u8 = 141;
/// Exit code for what cannot be done here or not yet.
const UNAVAILABLE: u8 = 69;

/// Exit codes besides 0, for the help.
pub(crate) const CODES: [(u8, &str); 14] = [
    (USAGE, "the command line makes no sense, or an output would destroy an input or another output"),
    (65, "the program is bad"),
    (66, "the program or the input is missing or cannot be read"),
    (UNAVAILABLE, "not possible here, or not yet: memory, machine"),
    (DIFFER, "the engines differ, or Tachy has another fault"),
    (71, "memory limit"),
    (72, "step, output, time or cycle limit"),
    (73, "the guest trapped, panicked, or asked for what there is not"),
    (74, "input or output failed"),
    (PAUSED, "the guest paused; --resume makes it go on"),
    (129, "ended by SIGHUP, as when its terminal goes away"),
    (INTERRUPTED, "interrupted with Ctrl-C; a second one ends everything at once"),
    (UNREAD, "whoever read the output has gone away; nothing is said"),
    (143, "ended by SIGTERM"),
];

/// Kinds of failures that the library does not know.
pub(crate) const OWN_KINDS: [(&str, &str); 4] = [
    ("usage", "the options contradict each other"),
    ("input", "the program or the input is missing or cannot be read"),
    ("output", "a file could not be written"),
    ("contender", "a program to compare with could not be run, or ended otherwise"),
];

/// The exit code for a kind of failure.
pub(crate) fn exit_code(kind: &str) -> u8 {
    match kind {
        "usage" | "arguments" | "configuration" => USAGE,
        "program" => 65,
        "input" => 66,
        "difference" | "internal" => DIFFER,
        "memory-limit" => 71,
        "step-limit" | "output-limit" | "time-limit" | "cycle-limit" | "segment-too-small" => 72,
        "trap" | "machine" | "bigint" | "host" | "guest-panic" => 73,
        "output" | "sink" | "segment" | "event" | "stream" => 74,
        "cancelled" => INTERRUPTED,
        _ => UNAVAILABLE,
    }
}

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: &'static str,
    /// What, where, and what to do: a few lines.
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
    /// Where in the program that is.
    pub(crate) code: Box<CodePlace>,
    /// The address that a trap is about.
    pub(crate) address: Option<u32>,
    /// Our reader went away: not worth a word.
    quiet: bool,
}

impl Failure {
    fn new(kind: &'static str, message: String) -> Failure {
        Failure { kind, message, place: None, code: Box::default(), address: None, quiet: false }
    }

    /// Options that are fine one by one.
    pub(crate) fn usage(message: &str) -> Failure {
        Failure::new("usage", format!("{message}; see --help"))
    }

    /// An option of machine `r0vm` for another one.
    pub(crate) fn of_r0vm(option: &str, machine: MachineKind) -> Failure {
        Failure::usage(&format!("{option} is for machine r0vm, and this program runs on {machine}"))
    }

    /// Something to read is missing.
    pub(crate) fn input(what: &str, path: &Path, error: &io::Error) -> Failure {
        if let Some(stop) = Stop::behind(error) {
            let message = format!("{} while it waited for {what} {}", stop.verb(), path.display());
            return Failure::new(stop_kind(stop), message);
        }
        Failure::new("input", format!("cannot read {what} {}: {error}", path.display()))
    }

    /// Something of ours could not be written.
    pub(crate) fn output(what: &str, error: &io::Error) -> Failure {
        if let Some(stop) = Stop::behind(error) {
            let message = format!("{} while nobody took what goes to {what}", stop.verb());
            return Failure::new(stop_kind(stop), message);
        }
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { quiet, ..Failure::new("output", format!("cannot write {what}: {error}")) }
    }

    /// A program to compare with is no comparison.
    pub(crate) fn contender(message: &str) -> Failure {
        Failure::new("contender", message.to_owned())
    }

    /// The engines did not do the same; this command shows where.
    pub(crate) fn differ(message: &str, command: &str) -> Failure {
        Failure::new("difference", format!("{message}; `{command}` shows where they differ"))
    }

    /// The program was refused.
    pub(crate) fn program(path: &Path, error: ProgramError) -> Failure {
        let error = Error::from(error);
        Failure::new(error.kind(), format!("{}: {error}", path.display()))
    }

    /// A program's file goes on and on.
    pub(crate) fn large_program(path: &Path, limit_bytes: u64) -> Failure {
        let (path, limit) = (path.display(), limit_bytes >> 20);
        Failure::new("program", format!("{path}: larger than {limit} MiB, the most that is read; strip it"))
    }

    /// There is no native code to show.
    pub(crate) fn not_explained(error: &ListError) -> Failure {
        match error {
            ListError::Refused { .. } => Failure::new("internal", error.to_string()),
            _ => Failure::new("usage", error.to_string()),
        }
    }

    /// The system gives no seed.
    pub(crate) fn no_seed(error: &impl Display) -> Failure {
        let message = format!("the system gave no random bytes for the guest: {error}; give --random-seed");
        Failure::new("input", message)
    }

    /// Ctrl-C came while no session of ours ran.
    pub(crate) fn interrupted() -> Failure {
        let signal = interrupt::signal().map_or_else(|| "interrupted".to_owned(), |signal| Stop::Signal(signal).verb());
        Failure::new("cancelled", signal)
    }

    /// The library says so.
    pub(crate) fn library(error: &Error) -> Failure {
        let stream = match error {
            Error::Sink { source, .. } | Error::Segment { source, .. } => source.downcast_ref::<io::Error>(),
            Error::Stream { source, .. } => Some(source),
            Error::Host { source, .. } => match &**source {
                HostError::Stream { source, .. } => Some(source),
                _ => None,
            },
            _ => None,
        };
        let quiet = stream.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        let address = match error {
            Error::Trap(trap) => Some(trap.address),
            _ => None,
        };
        let signal = interrupt::signal().map(Stop::Signal);
        let stop = match error {
            Error::Cancelled { .. } => signal,
            error => Stop::behind(error),
        };
        if let Some((stop, place)) = stop.zip(error.place()) {
            return Failure::stopped(stop, place, waited_for(error));
        }
        Failure { place: error.place(), address, quiet, ..Failure::new(error.kind(), explain::explained(error)) }
    }

    /// A run was asked to stop, and perhaps waited for something then.
    fn stopped(stop: Stop, place: Place, waited_for: Option<String>) -> Failure {
        let mut message = match stop {
            Stop::Signal(_) => format!("{} at {place}", stop.verb()),
            Stop::Time(limit) => {
                let limit = Limit::Time(limit.as_millis().try_into().unwrap_or(u64::MAX));
                LimitError { limit, place }.to_string()
            }
        };
        if let Some(stream) = waited_for {
            message += &format!(", where it waited for {stream}");
        }
        if let Stop::Time(_) = stop {
            message += &format!("; {}", explain::raise(Limit::Time(0)));
        }
        Failure { place: Some(place), ..Failure::new(stop_kind(stop), message) }
    }

    /// Says it on standard error, and gives the exit code.
    pub(crate) fn tell(self) -> u8 {
        if self.quiet {
            return UNREAD;
        }
        // If this fails, there is nobody left to tell.
        let name = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let _ = waiting::takes_message(io::stderr())
            .and_then(|()| writeln!(anstream::stderr(), "{name}tachy:{name:#} {}", self.message));
        match interrupt::signal() {
            Some(signal) if self.kind == "cancelled" => interrupt::exit_code(signal),
            _ => exit_code(self.kind),
        }
    }
}

/// The library's name for how a run ends that was asked to stop.
fn stop_kind(stop: Stop) -> &'static str {
    match stop {
        Stop::Signal(_) => "cancelled",
        Stop::Time(_) => "time-limit",
    }
}

/// What a run waited for when it was asked to stop.
fn waited_for(error: &Error) -> Option<String> {
    match error {
        Error::Stream { stream: "stdin", .. } => Some(descriptor_text(0)),
        Error::Stream { stream: "stdout", .. } => Some(descriptor_text(1)),
        Error::Stream { .. } => Some(descriptor_text(2)),
        Error::Host { source, .. } => match **source {
            HostError::Stream { descriptor, .. } => Some(descriptor_text(descriptor)),
            _ => None,
        },
        Error::Sink { .. } => Some("whoever reads the trace".to_owned()),
        _ => None,
    }
}

fn descriptor_text(descriptor: u32) -> String {
    match descriptor {
        0 => "its standard input".to_owned(),
        1 => "whoever reads its standard output".to_owned(),
        2 => "whoever reads its standard error".to_owned(),
        descriptor => format!("its file descriptor {descriptor}"),
    }
}

/// A function and a line of its source, as far as the program's file names them.
#[derive(Debug, Default)]
pub(crate) struct CodePlace {
    pub(crate) symbol: Option<String>,
    pub(crate) source: Option<String>,
    /// All functions that are inlined into each other there.
    pub(crate) frames: Vec<Frame>,
    /// Why there is no line, if that is worth a word.
    pub(crate) no_line: Option<String>,
    /// The address that it is about, where that is not the error's: in the user program that the kernel serves.
    pub(crate) user_pc: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::super::help::{Scope, help};
    use super::*;

    #[test]
    fn every_kind_has_a_documented_exit_code() {
        let help = help(Scope::All, "");
        for (kind, _) in Error::KINDS.iter().chain(&OWN_KINDS) {
            assert!(CODES.iter().any(|(code, _)| *code == exit_code(kind)), "{kind}");
            assert!(help.contains(&format!("  {kind} ")), "{kind}");
        }
        // These have no other name for their code, so that a typing mistake would go unseen.
        let unavailable = Error::KINDS.iter().filter(|(kind, _)| exit_code(kind) == UNAVAILABLE);
        let names: Vec<&str> = unavailable.map(|(kind, _)| *kind).collect();
        assert_eq!(names, ["forked", "unfinished", "boot", "thread", "host-memory", "ended", "broken"]);
    }
}
