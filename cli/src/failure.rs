//! A failure of a command: its kind, its message and its exit code.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use tachy::jit::{DiskCacheProblem, ListError};
use tachy::program::Frame;
use tachy::risc0::host::HostError;
use tachy::{Error, Limit, LimitError, Location, MachineKind, ProgramError, StreamName};

use crate::explain;
use crate::interrupt::{self, Stop};
use crate::kind::{Code, Kind};
use crate::waiting;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What happened, where, and what to do: a few lines.
    pub(crate) message: String,
    pub(crate) location: Option<Location>,
    /// The function and the source line of the place.
    pub(crate) code: Box<CodeLocation>,
    /// The memory address that caused a trap.
    pub(crate) address: Option<u32>,
    /// The reader of our output went away, so nothing is printed.
    quiet: bool,
}

impl Failure {
    fn new(kind: Kind, message: String) -> Failure {
        Failure { kind, message, location: None, code: Box::default(), address: None, quiet: false }
    }

    /// Options that contradict each other.
    pub(crate) fn usage(message: &str) -> Failure {
        Failure::new(Kind::Usage, format!("{message}; see --help"))
    }

    /// An option of machine `r0vm` was given for another machine.
    pub(crate) fn of_r0vm(option: &str, machine: MachineKind) -> Failure {
        Failure::usage(&format!("{option} requires machine r0vm, and this program runs on {machine}"))
    }

    /// An input is missing or cannot be read.
    pub(crate) fn input(what: &str, path: &Path, error: &io::Error) -> Failure {
        if let Some(stop) = Stop::behind(error) {
            let message = format!("{} while waiting for {what} {}", stop.verb(), path.display());
            return Failure::new(stop_kind(stop), message);
        }
        Failure::new(Kind::Input, format!("cannot read {what} {}: {error}", path.display()))
    }

    /// An output could not be written.
    pub(crate) fn output(what: &str, error: &io::Error) -> Failure {
        if let Some(stop) = Stop::behind(error) {
            let message = format!("{} while nobody read {what}", stop.verb());
            return Failure::new(stop_kind(stop), message);
        }
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        Failure { quiet, ..Failure::new(Kind::Output, format!("cannot write {what}: {error}")) }
    }

    /// A program to compare with failed.
    pub(crate) fn contender(message: &str) -> Failure {
        Failure::new(Kind::Contender, message.to_owned())
    }

    /// The engines differ; `command` shows where.
    pub(crate) fn differ(message: &str, command: &str) -> Failure {
        Failure::new(Kind::Difference, format!("{message}; `{command}` shows where they differ"))
    }

    /// The program was refused.
    pub(crate) fn program(path: &Path, error: ProgramError) -> Failure {
        let error = Error::from(error);
        Failure::new(Kind::of(&error), format!("{}: {error}", path.display()))
    }

    /// The file of a program is too large.
    pub(crate) fn large_program(path: &Path, limit_bytes: u64) -> Failure {
        let (path, limit) = (path.display(), limit_bytes >> 20);
        Failure::new(Kind::Program, format!("{path} is larger than {limit} MiB; remove debug information with strip"))
    }

    /// The code on disk cannot be listed or removed.
    pub(crate) fn cache(problem: &DiskCacheProblem) -> Failure {
        Failure::new(Kind::Input, problem.to_string())
    }

    /// There is no native code to show.
    pub(crate) fn not_explained(error: &ListError) -> Failure {
        match error {
            ListError::Refused { .. } => Failure::new(Kind::Internal, error.to_string()),
            _ => Failure::new(Kind::Usage, error.to_string()),
        }
    }

    /// The system has no random bytes for a seed.
    pub(crate) fn no_seed(error: &impl Display) -> Failure {
        let message = format!("the system returned no random bytes for the guest: {error}; set --random-seed");
        Failure::new(Kind::Input, message)
    }

    /// A signal arrived while no session was running.
    pub(crate) fn interrupted() -> Failure {
        let signal = interrupt::signal().map_or_else(|| "interrupted".to_owned(), |signal| Stop::Signal(signal).verb());
        Failure::new(Kind::Cancelled, signal)
    }

    /// An error of the library.
    pub(crate) fn library(error: &Error) -> Failure {
        let stream = match error {
            Error::Sink { source, .. } | Error::Segment { source, .. } => source.downcast_ref::<io::Error>(),
            Error::Stream { source, .. } => Some(source),
            error => match error.host() {
                Some(HostError::Stream { source, .. }) => Some(source),
                _ => None,
            },
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
        if let Some((stop, location)) = stop.zip(error.location()) {
            return Failure::stopped(stop, location, waited_for(error));
        }
        Failure {
            location: error.location(),
            address,
            quiet,
            ..Failure::new(Kind::of(error), explain::explained(error))
        }
    }

    /// A request stopped the run, which may have been waiting for a stream.
    fn stopped(stop: Stop, location: Location, waited_for: Option<String>) -> Failure {
        let mut message = match stop {
            Stop::Signal(_) => format!("{} at {location}", stop.verb()),
            Stop::Time(limit) => {
                let limit = Limit::Time(limit.as_millis().try_into().unwrap_or(u64::MAX));
                LimitError { limit, location }.to_string()
            }
        };
        if let Some(stream) = waited_for {
            message += &format!(", while waiting for {stream}");
        }
        if let Stop::Time(_) = stop {
            message += &format!("; {}", explain::raise(Limit::Time(0)));
        }
        Failure { location: Some(location), ..Failure::new(stop_kind(stop), message) }
    }

    /// Prints the message on standard error and returns the exit code.
    pub(crate) fn tell(self) -> u8 {
        if self.quiet {
            return Code::Unread as u8;
        }
        // If this fails, nobody can read the message.
        let name = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let _ = waiting::takes_message(io::stderr())
            .and_then(|()| writeln!(anstream::stderr(), "{name}tachy:{name:#} {}", self.message));
        match interrupt::signal() {
            Some(signal) if self.kind == Kind::Cancelled => interrupt::exit_code(signal),
            _ => self.kind.code() as u8,
        }
    }
}

/// The kind of failure of a run that a request stopped.
fn stop_kind(stop: Stop) -> Kind {
    match stop {
        Stop::Signal(_) => Kind::Cancelled,
        Stop::Time(_) => Kind::TimeLimit,
    }
}

/// What the run was waiting for when a request stopped it.
fn waited_for(error: &Error) -> Option<String> {
    match error {
        Error::Stream { stream: StreamName::Stdin, .. } => Some(descriptor_text(0)),
        Error::Stream { stream: StreamName::Stdout, .. } => Some(descriptor_text(1)),
        Error::Stream { stream: StreamName::Stderr, .. } => Some(descriptor_text(2)),
        Error::Sink { .. } => Some("a reader of the trace".to_owned()),
        error => match error.host() {
            Some(HostError::Stream { descriptor, .. }) => Some(descriptor_text(*descriptor)),
            _ => None,
        },
    }
}

fn descriptor_text(descriptor: u32) -> String {
    match descriptor {
        0 => "its standard input".to_owned(),
        1 => "a reader of its standard output".to_owned(),
        2 => "a reader of its standard error".to_owned(),
        descriptor => format!("its file descriptor {descriptor}"),
    }
}

/// A function and a source line, if the program's file has them.
#[derive(Debug, Default)]
pub(crate) struct CodeLocation {
    pub(crate) symbol: Option<String>,
    pub(crate) source: Option<String>,
    /// All functions that are inlined at the address, the innermost first.
    pub(crate) frames: Vec<Frame>,
    /// Why there is no line, if the reason is unusual.
    pub(crate) no_line: Option<String>,
    /// The address in the user program, where the error itself is in the kernel.
    pub(crate) user_pc: Option<u32>,
}
