//! RISC Zero support: everything that exists only for its machine, R0VM.
//!
//! [`host`] answers a guest's system calls, and [`serde`] is the format of values that pass between host and guest. The
//! formats (program binaries, images, segments, claims) are those of RISC Zero 3.0, and its own crates read them. The
//! machine executes instructions and counts cycles. Trace events are derived from its rows. Threads hash segments
//! beside the run.
//!
//! The rest of the library reaches this module only through [`MachineKind`](crate::MachineKind) and must not know its
//! contents. Source of all rules: risc0-binfmt 3.0.5, risc0-circuit-rv32im 4.0.5 and risc0-zkvm 3.0.6.

mod api;
mod error;
mod events;
mod format;
mod handover;
pub mod host;
mod loading;
mod machine;
mod pipeline;
mod replay;
mod report;
mod sealer;
pub mod serde;
mod served;
mod surroundings;

pub use error::MachineError;
pub use events::{TraceEvent, TraceEvents};
pub(crate) use format::layout;
pub use format::{
    Binary, Claim, Digest, Image, KERNEL_ELF, ParseDigestError, PartialImage, PovwJob, PovwNonce, ReceiptClaim,
    SUSPEND_MODE_ADDRESS, SUSPEND_PC_ADDRESS, Segment, SegmentRecord, TouchedPage, Tree, USER_END, USER_ENTRY_ADDRESS,
    tagged_struct,
};
pub(crate) use loading::{is_program_binary, load};
pub use machine::BigIntError;
pub(crate) use machine::R0vm;
pub use report::{CallCount, Exit, Report, SegmentCycles};
use served::served_ecall;
pub(crate) use surroundings::Settings;
pub use tachy_runtime::{PageContent, poseidon2};
