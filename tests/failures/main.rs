//! What a session may do after each kind of failure: the table of docs/failures.md, cell by cell.
//!
//! Each test lets one call of the caller's code fail once, at every place in turn, catches that, runs on, and compares
//! everything with a run that nothing failed in.

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/reference/src/environment.rs"]
#[allow(dead_code, reason = "part of what the reference observes")]
mod environment;
#[path = "../oracle/reference/src/guests.rs"]
#[allow(dead_code, reason = "binaries are found from another folder here")]
mod guests;

mod ends;
mod events;
mod faults;
mod hosts;
mod limits;
mod pauses;
mod segments;
mod sinks;
mod streams;
mod subjects;
