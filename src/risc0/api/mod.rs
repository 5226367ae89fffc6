//! What the wing adds to the library's own types, for callers who run R0VM.
//!
//! It stands above sessions, which know no machine. The rest of the wing must not know it.

#[cfg(feature = "jit")]
mod diff;
mod env;
mod error;
mod outcome;
mod session;
