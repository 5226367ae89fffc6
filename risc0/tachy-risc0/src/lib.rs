//! RISC Zero's executor in the process, on Tachy. Names, types and results are those of risc0-zkvm 3.0, so that a host
//! changes its `use` lines and little else.
//!
//! ```no_run
//! use tachy_risc0::{ExecutorEnv, ExecutorImpl};
//!
//! # fn main() -> anyhow::Result<()> {
//! # let elf = Vec::new();
//! let env = ExecutorEnv::builder().write(&7u32)?.build()?;
//! let session = ExecutorImpl::from_elf(env, &elf)?.run()?;
//! println!("{} user cycles in {} segments", session.user_cycles, session.segments.len());
//! # Ok(())
//! # }
//! ```
//!
//! The guest runs on a thread of its own. Streams and callbacks run on the thread of the caller, so nothing has to be
//! [`Send`].
//!
//! With feature `prove`, [`prove`] makes a receipt that RISC Zero's verifier accepts.

mod env;
mod executor;
mod external;
#[cfg(feature = "prove")]
mod prove;
mod segment;
mod served;
mod session;

pub use env::{ExecutorEnv, ExecutorEnvBuilder, SliceIo};
pub use executor::ExecutorImpl;
pub use external::TachyExecutor;
#[cfg(feature = "prove")]
pub use prove::{prove, prove_session};
pub use segment::{FileSegmentRef, NullSegmentRef, Segment, SegmentFolder, SegmentRef, SimpleSegmentRef};
pub use session::Session;
