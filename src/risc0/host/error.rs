//! Why the host ends a run. This file must not know where in the run that was; the machine adds pc and step.

use std::io;

use thiserror::Error;

use super::Digest;

/// The error of a caller's callback.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Why the host ends a run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The guest panicked with this message.
    #[error("the guest panicked: {message}")]
    GuestPanic {
        /// The guest's message, at most 1 MiB. Invalid UTF-8 and characters that control a terminal are replaced.
        message: String,
    },
    /// The host lacks this system call; [`slice_io`](super::HostEnvBuilder::slice_io) and
    /// [`io_callback`](super::HostEnvBuilder::io_callback) add one.
    #[error("unknown system call {name:?}")]
    UnknownSyscall {
        /// Its name, up to the maximum length of names.
        name: String,
    },
    /// The arguments of a system call are invalid.
    #[error("{syscall}: {reason}")]
    Arguments {
        /// The last part of the call's name.
        syscall: &'static str,
        /// What is wrong.
        reason: String,
        /// The text of RISC Zero's executor for it, if it has one.
        risc0: Option<String>,
    },
    /// The memory does not exist.
    #[error("{bytes} bytes from {address:#010x} reach past the end of memory")]
    Region {
        /// The first byte.
        address: u32,
        /// Number of bytes.
        bytes: u32,
    },
    /// The buffer for the results of a system call has the wrong size.
    #[error("the results of a system call need a buffer of whole words and at least 8 bytes; this one has {bytes}")]
    ResultBuffer {
        /// Size of the buffer.
        bytes: usize,
    },
    /// The descriptor is not open; [`read_fd`](super::HostEnvBuilder::read_fd) and
    /// [`write_fd`](super::HostEnvBuilder::write_fd) open one.
    #[error("the guest {verb} file descriptor {descriptor}, which is not open for that")]
    Descriptor {
        /// "reads from" or "writes to".
        verb: &'static str,
        /// Number of the descriptor.
        descriptor: u32,
    },
    /// A caller's stream failed.
    #[error("file descriptor {descriptor} failed")]
    Stream {
        /// Number of the descriptor.
        descriptor: u32,
        /// The stream's error.
        source: io::Error,
    },
    /// A caller's callback failed.
    #[error("the host's callback for {name:?} failed")]
    Callback {
        /// The system call's name.
        name: String,
        /// The callback's error.
        source: CallbackError,
    },
    /// The caller has no assumption for the claim that the guest verifies;
    /// [`add_assumption`](super::HostEnvBuilder::add_assumption) adds one.
    #[error("no assumption has the claim {} and the control root {}", hex(claim), hex(control_root))]
    NoAssumption {
        /// Digest of the claim.
        claim: Digest,
        /// The control root to resolve it under; zero for any.
        control_root: Digest,
    },
    /// The journal is full.
    #[error("the journal would take {bytes} bytes, more than {limit_bytes}")]
    JournalLimit {
        /// Bytes that it would need.
        bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
    /// The output limit was reached, and nothing was written. With a higher limit, the run can continue with the same
    /// call.
    #[error("the guest's output would take {bytes} bytes, more than {limit_bytes}")]
    OutputLimit {
        /// Bytes that it would need.
        bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
    /// The host would keep too many bytes for the guest: in pipes, for callbacks, Keccak and assumptions.
    #[error("the guest would have the host keep {bytes} bytes, more than {limit_bytes}")]
    KeptLimit {
        /// Bytes that it would keep.
        bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
    /// The system gave no random bytes for the seed.
    #[error("the system returned no random bytes for the guest's seed")]
    Seed {
        /// The system's error.
        source: io::Error,
    },
    /// A setting is invalid.
    #[error("{what} is {found}, expected {expected}")]
    Configuration {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// The permitted values.
        expected: String,
    },
    /// A value cannot be written as words.
    #[error(transparent)]
    Words(#[from] crate::risc0::serde::Error),
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
