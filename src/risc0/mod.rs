//! The wing for RISC Zero: everything that exists only for its machine, R0VM, stands here.
//!
//! [`host`] answers a guest's system calls. The formats (program binaries, images, segments, claims) are those of RISC
//! Zero 3.0, and its own crates read them. The machine carries out instructions and counts cycles; trace events are read
//! off its rows; a thread hashes segments beside the run.
//!
//! The rest of the library reaches this wing through the [`MachineKind`](crate::MachineKind) alone and must not know what
//! lies inside. Source of all rules: risc0-binfmt 3.0.5, risc0-circuit-rv32im 4.0.5 and risc0-zkvm 3.0.6.

mod events;
mod format;
pub mod host;
mod machine;
mod report;
mod sealer;
mod served;

pub(crate) use events::TraceCallback;
pub use events::{TraceEvent, TraceEvents};
pub(crate) use format::layout;
pub use format::{
    Binary, Claim, Digest, Image, KERNEL_ELF, ParseDigestError, PartialImage, PovwJob, PovwNonce, ReceiptClaim,
    SUSPEND_MODE_ADDRESS, SUSPEND_PC_ADDRESS, Segment, SegmentRecord, TouchedPage, Tree, USER_END, USER_ENTRY_ADDRESS,
    tagged_struct,
};
pub(crate) use machine::{BigIntError, R0vm};
pub use report::{CallCount, Exit, Report, SegmentCycles};
pub(crate) use sealer::{Records, Sealer, SegmentSink, Unsealed};
pub(crate) use served::served_ecall;
pub use tachy_runtime::{PageContent, poseidon2};
