//! Restore the state at any step from a trace.
//!
//! Rows and effects describe everything that a run does. A [`Replay`](crate::trace::Replay) starts with a session's
//! registers and applies one row after another to them and to the words of memory that it has seen. It checks each
//! operand in a row against the state before it. It is a sink, so it can follow a run or receive stored rows.
//!
//! ```
//! use tachy::{Env, Executor, Program};
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/quicksort.elf"))?;
//! let executor = Executor::builder().build(&Program::from_elf(&elf)?)?;
//! let env = || Env::new().args(["quicksort", "1000"]);
//!
//! let mut session = executor.start(env())?;
//! let mut replay = session.replay(12_345);
//! session.run(&mut replay)?;
//!
//! // Another session that was stopped there has the same registers and memory.
//! let there = executor.state_at(env(), 12_345)?;
//! assert_eq!((replay.step(), replay.registers()), (there.steps(), there.registers()));
//! assert!(replay.words().all(|(address, word)| there.word(address) == word));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If running is cheaper than storing rows, [`Executor::state_at`](crate::Executor::state_at) alone does it.
//!
//! [`read_rows`](crate::trace::read_rows) reads rows that a [`FileSink`](crate::trace::FileSink) wrote.
