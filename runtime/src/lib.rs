//! The parts that generated code touches while it runs: the hart's context, guest memory, row buffer, dispatch table,
//! code memory, and the trampoline between Rust and generated code. It also has the hash of memory images, because of
//! its vector instructions.
//!
//! All unsafe code of Tachy lives here, behind safe functions. The exceptions are [`CodeMemory::new`] and
//! [`CodeMemory::publish`]: their callers vouch for the code that they pass. This crate must not know any instruction,
//! any machine, or how code is compiled.

// Code that depends on the guest may fail here but must not panic. Where an invariant rules a panic out, an `expect`
// attribute says why.
#![deny(unreachable_pub)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::unimplemented
)]
#![deny(clippy::indexing_slicing)]
// What generated code needs of a hart.
#![cfg_attr(not(feature = "jit"), allow(dead_code))]

mod access;
mod beside;
mod buffer;
#[cfg(feature = "jit")]
mod code;
mod context;
#[cfg(feature = "jit")]
mod dispatch;
mod hart;
mod map;
mod memory;
pub mod poseidon2;
mod process;
mod row;
mod trampoline;
mod vm;

pub use access::{Access, AssistRequest, Verdict};
pub use beside::{Beside, beside};
#[cfg(feature = "jit")]
pub use code::{CodeError, CodeMemory, Function, StubCode};
pub use context::{Slot, layout};
#[cfg(feature = "jit")]
pub use dispatch::Entry;
pub use hart::{BetweenSlices, HartState, Interpret, ProgressUnit, Stepping};
pub use map::{MapError, MemoryLimit};
pub use memory::{PAGE_BYTES, PAGES, PageContent, PageState, page_of};
pub use process::{ProcessLocal, ProcessNumber};
pub use row::{ROW_BYTES, Row};
pub use trampoline::{Assist, EnterError, Proceed};
#[cfg(feature = "jit")]
pub use trampoline::{Left, enter};
pub use vm::Vm;

/// Names what this crate was built from and how: two builds that differ have different ids.
pub const BUILD_ID: &str = env!("BUILD_ID");

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!(
    "guest memory and rows are little-endian in place, and 4 GiB of it is reserved: 64-bit little-endian hosts only"
);
