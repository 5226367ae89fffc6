//! The state at any step, out of a trace.
//!
//! Rows and effects are all that a run does. A [`Replay`](crate::trace::Replay) begins with a session's registers and
//! moves them, and the words of memory that it is shown, over one row after the other; each operand in a row is checked
//! against what came before it. It is a sink, so it can follow a run or be given rows that were kept.
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
//! Where running is cheaper than keeping, [`Executor::state_at`](crate::Executor::state_at) alone does it.
//!
//! Rows that [`FileSink`](crate::trace::FileSink) wrote are read again with [`read_rows`](crate::trace::read_rows).
