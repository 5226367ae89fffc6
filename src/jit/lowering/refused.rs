//! Why a region gets no native code. The interpreter then runs it, so this never fails a run; a counter records it.

use thiserror::Error;

use crate::invariant::BrokenInvariant;

/// Why a region was not compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// The lowering found a bug in Tachy.
    #[error(transparent)]
    Invariant(#[from] BrokenInvariant),
    /// Cranelift returned an error or panicked.
    #[error("Cranelift does not compile the region: {0}")]
    Generator(String),
    /// The code would need relocations, which movable code must not have.
    #[error("the region's code needs {0} relocations, but none are allowed")]
    Relocations(usize),
    /// The frame would reach beyond the page that guards the stack.
    #[error("the region's code takes {bytes} bytes of stack; the limit is {max_bytes}")]
    Frame {
        /// Bytes that it takes.
        bytes: u32,
        /// Bytes that it may take.
        max_bytes: u32,
    },
}
