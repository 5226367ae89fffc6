//! The parts of the command line that only machine `r0vm` has.
//!
//! `args` has its options, `host` builds a guest's environment from them, `segments` writes its segments, `facts` reports
//! the results of a session, and `seed` is the seed of a guest's random bytes.

pub(super) mod args;
pub(super) mod facts;
pub(super) mod host;
pub(super) mod seed;
pub(super) mod segments;
