//! The kinds of failures and the exit codes: their names and meanings, for JSON and for the help.
//!
//! It must not know how a failure came about.

use serde::{Serialize, Serializer};
use tachy::Error;

/// An exit code of our own. A guest's code is passed on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Usage = 64,
    Program = 65,
    Input = 66,
    /// Something that is not possible here, or not yet.
    Unavailable = 69,
    /// The engines differ, or something else is wrong with Tachy itself.
    Fault = 70,
    Memory = 71,
    Limit = 72,
    Guest = 73,
    Io = 74,
    /// The guest paused and was not resumed, whatever its own code.
    Paused = 75,
    Hangup = 129,
    /// The code that a shell gives to a program that SIGINT ended.
    Interrupted = 130,
    /// The code that a shell gives to a program that SIGPIPE ended.
    Unread = 141,
    Terminated = 143,
}

impl Code {
    /// All codes, in ascending order.
    pub(crate) const ALL: [Code; 14] = [
        Code::Usage,
        Code::Program,
        Code::Input,
        Code::Unavailable,
        Code::Fault,
        Code::Memory,
        Code::Limit,
        Code::Guest,
        Code::Io,
        Code::Paused,
        Code::Hangup,
        Code::Interrupted,
        Code::Unread,
        Code::Terminated,
    ];

    /// What the code means.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Code::Usage => "the command line is wrong, or an output would overwrite an input or another output",
            Code::Program => "the program is not valid",
            Code::Input => "the program or an input is missing or cannot be read",
            Code::Unavailable => "something is not available: memory, the machine, or a program to compare with",
            Code::Fault => "the engines differ, or Tachy has another fault",
            Code::Memory => "the memory limit was reached",
            Code::Limit => "the step, output, time or cycle limit was reached",
            Code::Guest => "the guest trapped, panicked, or made an unknown or invalid system call",
            Code::Io => "input or output failed",
            Code::Paused => "the guest paused; --resume continues it",
            Code::Hangup => "SIGHUP ended the run, for example because its terminal closed",
            Code::Interrupted => "Ctrl-C interrupted the run; a second Ctrl-C ends the process immediately",
            Code::Unread => "the reader of the output has gone away; nothing is printed",
            Code::Terminated => "SIGTERM ended the run",
        }
    }

    /// Whether the code reports a signal.
    pub(crate) fn is_signal(self) -> bool {
        matches!(self, Code::Hangup | Code::Interrupted | Code::Unread | Code::Terminated)
    }
}

/// What kind of failure it is. The first group are the library's errors, the second group are our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Program,
    Trap,
    StepLimit,
    MemoryLimit,
    OutputLimit,
    TimeLimit,
    CycleLimit,
    Cancelled,
    Sink,
    Segment,
    Event,
    Forked,
    Unfinished,
    Stream,
    Arguments,
    Boot,
    GuestPanic,
    Host,
    BigInt,
    Machine,
    SegmentTooSmall,
    HostMemory,
    Difference,
    Ended,
    Broken,
    Internal,
    Configuration,

    Usage,
    Input,
    Output,
    Contender,
}

impl Kind {
    /// All kinds, in the order of the help.
    pub(crate) const ALL: [Kind; 31] = [
        Kind::Program,
        Kind::Trap,
        Kind::StepLimit,
        Kind::MemoryLimit,
        Kind::OutputLimit,
        Kind::TimeLimit,
        Kind::CycleLimit,
        Kind::Cancelled,
        Kind::Sink,
        Kind::Segment,
        Kind::Event,
        Kind::Forked,
        Kind::Unfinished,
        Kind::Stream,
        Kind::Arguments,
        Kind::Boot,
        Kind::GuestPanic,
        Kind::Host,
        Kind::BigInt,
        Kind::Machine,
        Kind::SegmentTooSmall,
        Kind::HostMemory,
        Kind::Difference,
        Kind::Ended,
        Kind::Broken,
        Kind::Internal,
        Kind::Configuration,
        Kind::Usage,
        Kind::Input,
        Kind::Output,
        Kind::Contender,
    ];

    /// The kind of an error of the library. A kind that is not in the table is a bug in Tachy.
    pub(crate) fn of(error: &Error) -> Kind {
        Kind::ALL.into_iter().find(|kind| kind.name() == error.kind()).unwrap_or(Kind::Internal)
    }

    /// The name in JSON. The library's kinds keep its names.
    pub(crate) fn name(self) -> &'static str {
        self.entry().0
    }

    /// The exit code of a failure of this kind.
    pub(crate) fn code(self) -> Code {
        self.entry().1
    }

    /// What happened, for the help.
    pub(crate) fn meaning(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (&'static str, Code, &'static str) {
        match self {
            Kind::Program => ("program", Code::Program, "the program was refused"),
            Kind::Trap => ("trap", Code::Guest, "the guest trapped"),
            Kind::StepLimit => ("step-limit", Code::Limit, "the step limit was reached"),
            Kind::MemoryLimit => ("memory-limit", Code::Memory, "the memory limit was reached"),
            Kind::OutputLimit => ("output-limit", Code::Limit, "the output limit was reached"),
            Kind::TimeLimit => ("time-limit", Code::Limit, "the time limit was reached"),
            Kind::CycleLimit => ("cycle-limit", Code::Limit, "the cycle limit was reached"),
            Kind::Cancelled => ("cancelled", Code::Interrupted, "a signal ended the run"),
            Kind::Sink => ("sink", Code::Io, "the trace could not be written"),
            Kind::Segment => ("segment", Code::Io, "a segment could not be written"),
            Kind::Event => ("event", Code::Io, "a trace event could not be delivered"),
            Kind::Forked => ("forked", Code::Unavailable, "the process forked during a run with segments"),
            Kind::Unfinished => ("unfinished", Code::Unavailable, "results of an earlier run must be delivered first"),
            Kind::Stream => ("stream", Code::Io, "one of the guest's streams failed"),
            Kind::Arguments => ("arguments", Code::Usage, "the guest's arguments do not fit on its stack"),
            Kind::Boot => ("boot", Code::Unavailable, "the machine cannot start this program"),
            Kind::GuestPanic => ("guest-panic", Code::Guest, "the guest panicked"),
            Kind::Host => ("host", Code::Guest, "the host refused a system call of the guest"),
            Kind::BigInt => ("bigint", Code::Guest, "the guest made an invalid big-integer ecall"),
            Kind::Machine => ("machine", Code::Guest, "the guest did something that the machine does not define"),
            Kind::SegmentTooSmall => {
                ("segment-too-small", Code::Limit, "an instruction takes more cycles than a segment has")
            }
            Kind::HostMemory => ("host-memory", Code::Unavailable, "the system refused memory"),
            Kind::Difference => ("difference", Code::Fault, "the engines differ, which is a bug in Tachy"),
            Kind::Ended => ("ended", Code::Unavailable, "the session had already ended"),
            Kind::Broken => {
                ("broken", Code::Unavailable, "an earlier run of the session panicked, which is a bug in Tachy")
            }
            Kind::Internal => ("internal", Code::Fault, "an invariant is broken, which is a bug in Tachy"),
            Kind::Configuration => ("configuration", Code::Usage, "an option has an invalid value"),
            Kind::Usage => ("usage", Code::Usage, "the options contradict each other"),
            Kind::Input => ("input", Code::Input, "the program or an input is missing or cannot be read"),
            Kind::Output => ("output", Code::Io, "a file could not be written"),
            Kind::Contender => {
                ("contender", Code::Unavailable, "a program to compare with could not run, or ended differently")
            }
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_library_is_known() {
        let ours = [Kind::Usage, Kind::Input, Kind::Output, Kind::Contender];
        let known: Vec<&str> = Kind::ALL.iter().filter(|kind| !ours.contains(kind)).map(|kind| kind.name()).collect();
        let library: Vec<&str> = Error::KINDS.iter().map(|(name, _)| *name).collect();
        assert_eq!(known, library);
    }

    #[test]
    fn names_and_codes_are_distinct() {
        let names: std::collections::BTreeSet<&str> = Kind::ALL.map(Kind::name).into();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Code::ALL.windows(2).all(|pair| (pair[0] as u8) < pair[1] as u8));
    }
}
