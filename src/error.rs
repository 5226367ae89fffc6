//! Everything that can go wrong, with the location and a hint what to do about it.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::machine_kind::MachineKind;
use crate::program::ProgramError;
use crate::trace::SinkError;
use tachy_runtime::MapError;

/// Why an executor could not be built, or why a run did not end by itself.
///
/// Everything that a run produced up to the error has been delivered: rows to the sink, output to its streams.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The program was rejected.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The guest trapped and has no handler.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// A limit was reached.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The run was cancelled through its [`crate::CancelHandle`].
    #[error("cancelled at {location}; the session can go on")]
    Cancelled {
        /// The step boundary where it stopped.
        location: Location,
    },
    /// The sink failed. The next run delivers the rows that it refused again.
    #[error("the sink failed at {location}")]
    Sink {
        /// The location when it failed; every earlier step ran.
        location: Location,
        /// The sink's own error.
        source: SinkError,
    },
    /// The receiver of segments refused one. The next run begins with it.
    #[error("segment {index} was refused while the run was at {location}")]
    Segment {
        /// The segment's number.
        index: u64,
        /// Where the run stopped: in a later segment, or at the program's end.
        location: Location,
        /// The callback's own error.
        source: SinkError,
    },
    /// A trace callback refused an event. The next run begins with it.
    #[error("a trace event of the steps before {location} was refused")]
    Event {
        /// The location when events were sent; every earlier step ran.
        location: Location,
        /// The callback's own error.
        source: SinkError,
    },
    /// The process forked during a run with segments, and this is the child: the threads that hash them stayed in
    /// the parent.
    #[error("the process forked in a run with segments, at {location}; start sessions with segments after the fork")]
    Forked {
        /// Where the session stands.
        location: Location,
    },
    /// Some output of a run is still to be handed over, so the program cannot be resumed yet.
    #[error(
        "an earlier run failed before everything was handed over; run the session once more before you resume it, at {location}"
    )]
    Unfinished {
        /// Where the session stands.
        location: Location,
    },
    /// One of the guest's streams failed.
    #[error("the guest's {stream} failed at {location}")]
    Stream {
        /// Which one.
        stream: StreamName,
        /// The step that used the stream; it was not done.
        location: Location,
        /// The stream's own error.
        #[source]
        source: io::Error,
    },
    /// The program's arguments do not fit on its stack.
    #[error(
        "the arguments take {bytes} bytes, more than the {limit_bytes} bytes the stack has for them; pass a file instead"
    )]
    Arguments {
        /// Bytes that they need.
        bytes: u64,
        /// Bytes that the stack has for them.
        limit_bytes: u64,
    },
    /// The machine cannot run this program.
    #[error("machine {machine} cannot start the program: {reason}")]
    Boot {
        /// The machine.
        machine: MachineKind,
        /// Why not.
        reason: BootError,
    },
    /// The guest panicked and gave a reason.
    #[error("the guest panicked: {message}, at {location}")]
    GuestPanic {
        /// The guest's message, at most 1 MiB; invalid UTF-8 and characters that control a terminal are replaced.
        message: String,
        /// The system call that reports the panic, in the guest's own code and not in its kernel's; it was not done.
        location: Location,
    },
    /// The machine could not carry out a step.
    #[error(transparent)]
    Machine(#[from] MachineFailure),
    /// The system refused memory.
    #[error(transparent)]
    Memory(#[from] MapError),
    /// The JIT and the interpreter behaved differently; [`crate::Engine::Crosscheck`] found it.
    #[error(transparent)]
    Difference(DifferenceError),
    /// The session has already ended, or its next step can never be done. Its last result stands.
    #[error("the session has already ended at {location}")]
    Ended {
        /// Where it ended.
        location: Location,
    },
    /// An earlier run of the session ended in a panic of this library, so its state is unknown.
    #[error("the session is broken: an earlier run panicked inside Tachy, at {location}; start another one")]
    Broken {
        /// Where the session has stood since.
        location: Location,
    },
    /// Tachy has a bug: its parts are inconsistent. The step at `location` was not done.
    #[error("internal error at {location}: {what}; this is a bug in Tachy, please report it")]
    Internal {
        /// What is inconsistent.
        what: String,
        /// Where the run was.
        location: Location,
    },
    /// An invalid configuration.
    #[error("{what} is {found}, expected {expected}")]
    Configuration {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// The values that it may have.
        expected: &'static str,
    },
}

impl Error {
    /// Every name that [`Error::kind`] returns, with its meaning.
    pub const KINDS: &[(&str, &str)] = &[
        ("program", "the program was refused"),
        ("trap", "the guest trapped"),
        ("step-limit", "the limit on steps was reached"),
        ("memory-limit", "the limit on memory was reached"),
        ("output-limit", "the limit on output was reached"),
        ("time-limit", "the limit on time was reached"),
        ("cycle-limit", "the limit on cycles was reached"),
        ("cancelled", "the run was cancelled"),
        ("sink", "the trace could not be written"),
        ("segment", "a segment could not be written"),
        ("event", "a trace event could not be handed over"),
        ("forked", "the process forked in a run with segments, which stayed in the parent"),
        ("unfinished", "the results of an earlier run must be handed over first"),
        ("stream", "one of the guest's streams failed"),
        ("arguments", "the guest's arguments do not fit on its stack"),
        ("boot", "the machine cannot start this program"),
        ("guest-panic", "the guest panicked"),
        ("host", "the host refused what the guest asked"),
        ("bigint", "a big-integer ecall is invalid"),
        ("machine", "the program did something that the machine does not define"),
        ("segment-too-small", "an instruction takes more cycles than a segment has"),
        ("host-memory", "the system refused memory"),
        ("difference", "the engines differ: a bug in Tachy"),
        ("ended", "the session had already ended"),
        ("broken", "an earlier run of the session panicked: a bug in Tachy"),
        ("internal", "an invariant of Tachy does not hold: a bug in Tachy"),
        ("configuration", "a setting is invalid"),
    ];

    /// Returns the short name of the kind, as in the command line's JSON: one of [`Error::KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Program(_) => "program",
            Error::Trap(_) => "trap",
            Error::Limit(limit) => limit.limit.name(),
            Error::Cancelled { .. } => "cancelled",
            Error::Sink { .. } => "sink",
            Error::Segment { .. } => "segment",
            Error::Event { .. } => "event",
            Error::Unfinished { .. } => "unfinished",
            Error::Forked { .. } => "forked",
            Error::Stream { .. } => "stream",
            Error::Arguments { .. } => "arguments",
            Error::Boot { .. } => "boot",
            Error::GuestPanic { .. } => "guest-panic",
            Error::Machine(failure) => failure.error.kind(),
            Error::Memory(_) => "host-memory",
            Error::Difference(_) => "difference",
            Error::Ended { .. } => "ended",
            Error::Broken { .. } => "broken",
            Error::Internal { .. } => "internal",
            Error::Configuration { .. } => "configuration",
        }
    }

    /// Returns where in the run the error occurred, if it occurred in a run.
    pub fn location(&self) -> Option<Location> {
        match self {
            Error::Trap(trap) => Some(trap.location),
            Error::Limit(limit) => Some(limit.location),
            Error::Difference(difference) => Some(difference.location),
            Error::Machine(failure) => Some(failure.location),
            Error::Cancelled { location }
            | Error::Sink { location, .. }
            | Error::Segment { location, .. }
            | Error::Event { location, .. }
            | Error::Unfinished { location }
            | Error::Forked { location }
            | Error::Stream { location, .. }
            | Error::GuestPanic { location, .. }
            | Error::Internal { location, .. }
            | Error::Ended { location }
            | Error::Broken { location } => Some(*location),
            _ => None,
        }
    }
}

/// A moment of a run: the next step, and the address of its instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Address of the instruction.
    pub pc: u32,
    /// Number of the step, from 0; that many steps were done before.
    pub step: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pc {:#010x}, step {}", self.pc, self.step)
    }
}

/// Why an instruction could not be executed. The numbers are those of RISC Zero's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Cause {
    /// A jump or branch to an address that is not a multiple of 4.
    InstructionMisaligned = 0,
    /// A fetch from an address that is not executable.
    FetchFault = 1,
    /// A word that is no instruction of this machine.
    IllegalInstruction = 2,
    /// `ebreak`.
    Breakpoint = 3,
    /// A load from an address that is not a multiple of its size.
    LoadMisaligned = 4,
    /// A load from an address that is not readable.
    LoadFault = 5,
    /// A store to an address that is not a multiple of its size.
    StoreMisaligned = 6,
    /// A store to an address that is not writable.
    StoreFault = 7,
    /// `ecall` in user mode, for which the kernel has no handler.
    EcallWithoutHandler = 9,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cause::InstructionMisaligned => "jump to a misaligned address",
            Cause::FetchFault => "fetch from an address that is not executable",
            Cause::IllegalInstruction => "illegal instruction",
            Cause::Breakpoint => "breakpoint (ebreak)",
            Cause::LoadMisaligned => "misaligned load",
            Cause::LoadFault => "load from an address that is not readable",
            Cause::StoreMisaligned => "misaligned store",
            Cause::StoreFault => "store to an address that is not writable",
            Cause::EcallWithoutHandler => "ecall without a handler",
        })
    }
}

/// A step that could not be done: it wrote no row and changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// What went wrong.
    pub cause: Cause,
    /// The step and its address.
    pub location: Location,
    /// The instruction's word; 0 if it could not be fetched.
    pub insn: u32,
    /// The address of the jump, fetch, load or store; for an illegal instruction or a breakpoint, the pc.
    pub address: u32,
}

impl std::error::Error for Trap {}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest trap: {} at {}", self.cause, self.location)?;
        match self.cause {
            Cause::IllegalInstruction => write!(f, ", word {:#010x}", self.insn),
            Cause::Breakpoint => Ok(()),
            Cause::FetchFault => write!(f, ", address {:#010x}", self.address),
            _ => write!(f, ", address {:#010x}, instruction {:#010x}", self.address, self.insn),
        }
    }
}

/// Why a machine cannot start a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BootError {
    /// A segment overlaps the stack or its guard page.
    #[error(
        "its segment at {address:#010x} lies in the stack's place, {stack_start:#010x}..{stack_end:#010x} and the guard \
         page below; link it lower"
    )]
    SegmentInStack {
        /// First address of the segment.
        address: u32,
        /// First address of the stack.
        stack_start: u32,
        /// First address above the stack.
        stack_end: u32,
    },
    /// The image begins below the lowest address for code.
    #[error("its image begins at {pc:#010x}, below {lowest:#010x} where no code may lie")]
    StartsTooLow {
        /// First address of the image.
        pc: u32,
        /// Lowest address for code.
        lowest: u32,
    },
}

/// A guest's stream on machine `bare`. Displayed as `stdin`, `stdout` or `stderr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamName {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StreamName::Stdin => "stdin",
            StreamName::Stdout => "stdout",
            StreamName::Stderr => "stderr",
        })
    }
}

/// A step that the machine could not execute, for a reason of its own.
#[derive(Debug)]
pub struct MachineFailure {
    /// The machine.
    pub machine: MachineKind,
    /// The step; it was not done.
    pub location: Location,
    /// The machine's reason.
    pub error: Box<dyn MachineError>,
}

impl std::error::Error for MachineFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl fmt::Display for MachineFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.error, self.location)
    }
}

/// A machine's own reason why it cannot execute a step.
pub trait MachineError: std::error::Error + Send + Sync + 'static {
    /// Returns the short name of the kind: one of [`Error::KINDS`].
    fn kind(&self) -> &'static str;

    /// Returns whether the step can be done under another limit. Until then it stays undone.
    fn is_limit(&self) -> bool {
        false
    }

    /// Returns whether the error depends on program and input alone, so that every run of them ends here.
    fn is_deterministic(&self) -> bool;
}

impl dyn MachineError {
    /// Returns the error as the machine's own type.
    pub fn downcast_ref<E: MachineError>(&self) -> Option<&E> {
        (self as &dyn std::error::Error).downcast_ref()
    }
}

/// A difference between the engines, as an error. [`Difference::of`](crate::difference::Difference::of) returns the
/// complete report.
#[derive(Debug)]
pub struct DifferenceError {
    /// The first step that differs.
    pub location: Location,
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl std::error::Error for DifferenceError {}

impl fmt::Display for DifferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// A limit of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Number of steps.
    Steps(u64),
    /// Bytes of memory: distinct guest pages mapped at load or touched, times their size.
    Memory(u64),
    /// Bytes written to stdout and stderr together.
    Output(u64),
    /// Milliseconds.
    Time(u64),
    /// User cycles of a machine that counts them.
    Cycles {
        /// Cycles used.
        used: u64,
        /// The maximum.
        limit: u64,
    },
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Limit::Steps(_) => "step-limit",
            Limit::Memory(_) => "memory-limit",
            Limit::Output(_) => "output-limit",
            Limit::Time(_) => "time-limit",
            Limit::Cycles { .. } => "cycle-limit",
        }
    }
}

/// A run reached a limit. The step at `location` was not done, and the session can continue under a higher limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitError {
    /// Which limit.
    pub limit: Limit,
    /// The step that was not done.
    pub location: Location,
}

impl std::error::Error for LimitError {}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Limit::Steps(steps) => write!(f, "step limit of {steps} reached")?,
            Limit::Memory(bytes) => write!(f, "memory limit of {bytes} bytes reached")?,
            Limit::Output(bytes) => write!(f, "output limit of {bytes} bytes reached")?,
            // RISC Zero's own wording, because callers search for it.
            Limit::Cycles { used, limit } => write!(f, "Session limit exceeded: {used} >= {limit}")?,
            Limit::Time(millis) => write!(f, "time limit of {}.{:03} s reached", millis / 1000, millis % 1000)?,
        }
        write!(f, " at {}", self.location)
    }
}

#[cfg(test)]
mod tests;
