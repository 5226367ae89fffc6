//! R0VM's additions to the library's own types, for callers who run R0VM.
//!
//! This module stands above sessions, which know no machine. The rest of `risc0` must not know it.

#[cfg(feature = "jit")]
mod diff;
mod env;
mod error;
mod outcome;
mod session;
