//! How to do it: a page for each thing that programs do with this library. The examples are tested; they run the guests
//! that lie in the repository.
//!
//! | Page | What it shows |
//! | --- | --- |
//! | [`embed`] | a guest run from another program, in ten lines |
//! | [`sinks`] | what a run did, row by row: a [`Sink`](crate::Sink) of one's own |
//! | [`limits`] | guests that nobody trusts: limits, cancelling, and going on afterwards |
//! | [`replay`] | the state at any step, out of a trace |
//! | [`executors`] | many runs at once, which share native code; processes that fork |
//! | [`risc0`] | programs of RISC Zero: host, journal, segments, system calls of one's own, trace events |
//! | [`pauses`] | guests that pause and are resumed |

pub mod embed;
pub mod executors;
pub mod limits;
pub mod pauses;
pub mod replay;
pub mod risc0;
pub mod sinks;
