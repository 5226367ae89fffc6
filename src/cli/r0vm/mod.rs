//! What machine `r0vm` has that others have not: its options in `args`; `host` makes a guest's surroundings of them,
//! `segments` takes its segments, `facts` tells what a session came to.

pub(super) mod args;
pub(super) mod facts;
pub(super) mod host;
pub(super) mod segments;
