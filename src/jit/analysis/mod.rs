//! The JIT's analyses of guest code before lowering. Every module here is pure: instructions in, plain data out, so
//! that unit tests state each analysis as a table of cases.
//!
//! ```text
//! discover         from a hot pc to a region       -> region, returns
//! liveness         registers that an entry loads
//! loop_carried     registers that a small loop keeps out of the context
//! budget           which blocks ask for steps
//! values           constants, sums and rotations   -> access_groups
//! merging          when regions become one
//! ```
//!
//! It must not know Cranelift, code memory, sessions or machines.

pub(crate) mod access_groups;
pub(crate) mod budget;
pub(crate) mod discover;
pub(crate) mod liveness;
pub(crate) mod loop_carried;
pub(crate) mod merging;
pub(crate) mod region;
pub(crate) mod returns;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod values;
