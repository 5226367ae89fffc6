//! Why the host ends a run. It must not know where in the run that was; the machine adds pc and step.

use std::io;

use thiserror::Error;

use super::Digest;

/// What a callback of the caller's failed with.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Why the host refuses to go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The guest panicked, and says why.
    #[error("the guest panicked: {message}")]
    GuestPanic {
        /// The guest's words, at most 1 MiB; what is no UTF-8, and what a terminal would obey, is replaced.
        message: String,
    },
    /// A system call that this host does not have; [`slice_io`](super::HostEnvBuilder::slice_io) and
    /// [`io_callback`](super::HostEnvBuilder::io_callback) add one.
    #[error("unknown system call {name:?}")]
    UnknownSyscall {
        /// Its name, as far as names go.
        name: String,
    },
    /// A system call whose arguments do not fit together.
    #[error("{syscall}: {reason}")]
    Arguments {
        /// The last part of its name.
        syscall: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// Memory that does not exist.
    #[error("{bytes} bytes from {address:#010x} reach past the end of memory")]
    Region {
        /// The first byte.
        address: u32,
        /// How many there should be.
        bytes: u32,
    },
    /// The results of a system call, asked for with a buffer that does not fit.
    #[error("results of a system call take a buffer of whole words, 8 bytes at least, not of {bytes} bytes")]
    ResultBuffer {
        /// The buffer's size.
        bytes: usize,
    },
    /// Nothing is there to read from or to write to; [`read_fd`](super::HostEnvBuilder::read_fd) and
    /// [`write_fd`](super::HostEnvBuilder::write_fd) open a descriptor.
    #[error("the guest {verb} file descriptor {descriptor}, which is not open for that")]
    Descriptor {
        /// "reads from" or "writes to".
        verb: &'static str,
        /// The number.
        descriptor: u32,
    },
    /// A stream of the caller's failed.
    #[error("file descriptor {descriptor} failed")]
    Stream {
        /// The number.
        descriptor: u32,
        /// Its own error.
        source: io::Error,
    },
    /// A callback of the caller's failed.
    #[error("the host's callback for {name:?} failed")]
    Callback {
        /// The system call's name.
        name: String,
        /// Its own error.
        source: CallbackError,
    },
    /// No assumption of the caller's is what the guest wants verified;
    /// [`add_assumption`](super::HostEnvBuilder::add_assumption) adds one.
    #[error("no assumption has the claim {} and the control root {}", hex(claim), hex(control_root))]
    NoAssumption {
        /// Digest of the claim.
        claim: Digest,
        /// The control root it is to be resolved under; zero for any.
        control_root: Digest,
    },
    /// The journal is full.
    #[error("the journal would take {bytes} bytes, more than {limit_bytes}")]
    JournalLimit {
        /// What it would take.
        bytes: u64,
        /// What it may.
        limit_bytes: u64,
    },
    /// The limit on output was reached, and nothing was written: under another limit the run can go on with the same call.
    #[error("the guest's output would take {bytes} bytes, more than {limit_bytes}")]
    OutputLimit {
        /// What it would take.
        bytes: u64,
        /// What it may.
        limit_bytes: u64,
    },
    /// The guest has the host keep too much: in pipes, for callbacks, of Keccak, of assumptions.
    #[error("the guest would have the host keep {bytes} bytes, more than {limit_bytes}")]
    KeptLimit {
        /// What would be kept.
        bytes: u64,
        /// What may.
        limit_bytes: u64,
    },
    /// The system gave no random bytes to be the seed of the guest's.
    #[error("the system gave no random bytes for the guest's seed")]
    Seed {
        /// What it said.
        source: io::Error,
    },
    /// A setting that makes no sense.
    #[error("{what} is {found}, expected {expected}")]
    Configuration {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A value that does not go into words.
    #[error(transparent)]
    Words(#[from] crate::risc0::serde::Error),
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
