//! RISC Zero's formats, as RISC Zero 3.0 defines them: program binaries, ELF files by its loader's rules, memory images
//! and their Merkle tree, segments and claims. RISC Zero's own crates read the bytes that this module writes.
//!
//! The authority is risc0-binfmt 3.0.5 and risc0-circuit-rv32im 4.0.5. A format must not know how instructions run,
//! what they cost, or where a segment ends.

mod binary;
mod claim;
mod digest;
mod elf;
mod image;
mod image_id;
mod initial_tree;
mod kernel;
pub(crate) mod layout;
mod receipt;
mod segment;
mod tree;

pub use binary::Binary;
pub use claim::Claim;
pub use digest::{Digest, ParseDigestError, tagged_struct};
pub use image::Image;
pub(super) use image_id::image_id;
pub(super) use initial_tree::initial_tree;
pub use kernel::KERNEL_ELF;
pub use receipt::ReceiptClaim;
pub(super) use receipt::output_digest;
pub use segment::{PartialImage, PovwJob, PovwNonce, Segment, SegmentRecord, TouchedPage};
pub use tree::Tree;
pub(super) use tree::{HashedRecord, take_written};

/// Address of the word from which the kernel reads the user program's entry.
pub const USER_ENTRY_ADDRESS: u32 = 0x0001_0000;

/// First address above user programs.
pub const USER_END: u32 = 0xc000_0000;

/// Where a segment's last step stores the pc for the next segment.
pub const SUSPEND_PC_ADDRESS: u32 = 0xffff_0210;

/// Where it stores the mode: 0 for user mode, anything else for machine mode.
pub const SUSPEND_MODE_ADDRESS: u32 = 0xffff_0214;
