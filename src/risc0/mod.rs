//! The wing for RISC Zero: everything that exists only for its machine, R0VM, stands here.
//!
//! [`host`] answers a guest's system calls, and [`serde`] is the format in which values go to a guest and come back. The formats (program binaries, images, segments, claims) are those of RISC
//! Zero 3.0, and its own crates read them. The machine carries out instructions and counts cycles; trace events are read
//! off its rows; a thread hashes segments beside the run.
//!
//! The rest of the library reaches this wing through the [`MachineKind`](crate::MachineKind) alone and must not know what
//! lies inside. Source of all rules: risc0-binfmt 3.0.5, risc0-circuit-rv32im 4.0.5 and risc0-zkvm 3.0.6.

mod api;
mod error;
mod events;
mod format;
mod handover;
pub mod host;
mod loading;
mod machine;
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
