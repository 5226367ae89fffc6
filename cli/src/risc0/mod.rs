//! What machine `r0vm` has that others have not: its options in `args`; `host` makes a guest's surroundings of them,
//! `segments` takes its segments, `facts` tells what a session came to, `seed` is where a guest's random bytes come from.

pub(super) mod args;
pub(super) mod facts;
pub(super) mod host;
pub(super) mod seed;
pub(super) mod segments;
