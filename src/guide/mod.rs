//! How-to guides: one page for each common task. The examples are tested; they run the guests in the repository.
//!
//! | Page | What it shows |
//! | --- | --- |
//! | [`embed`] | run a guest from another program, in ten lines |
//! | [`sinks`] | inspect what a run did, row by row: a [`Sink`](crate::Sink) of your own |
//! | [`limits`] | run untrusted guests: limits, cancellation, and how to continue afterwards |
//! | [`replay`] | restore the state at any step from a trace |
//! | [`executors`] | run many sessions at once with shared native code; processes that fork |
//! | [`risc0`] | run programs of RISC Zero: host, journal, segments, system calls of your own, trace events |
//! | [`pauses`] | run guests that pause and are resumed |

pub mod embed;
pub mod executors;
pub mod limits;
pub mod pauses;
pub mod replay;
pub mod risc0;
pub mod sinks;
