//! What a run did, row by row.
//!
//! A [`Sink`](crate::Sink) gets the rows of a run buffer by buffer, and with them the
//! [`Effect`](crate::trace::Effect)s: what steps did outside their rows. Nothing is kept for it, so a sink takes what
//! it wants as it passes. Those that come along drop ([`NullSink`](crate::NullSink)), count, hash, keep or write it,
//! see [`trace`](crate::trace); [`Tee`](crate::trace::Tee) gives two of them everything, and one in an [`Option`] may be absent.
//!
//! This one counts how often each function was entered:
//!
//! ```
//! use std::collections::BTreeMap;
//! use tachy::trace::{CountingSink, Effect, SinkError, Tee};
//! use tachy::{Env, Executor, Program, Row, Sink};
//!
//! struct Calls<'a> {
//!     program: &'a Program,
//!     counts: BTreeMap<String, u64>,
//! }
//!
//! impl Sink for Calls<'_> {
//!     fn rows(&mut self, _first_step: u64, rows: &[Row], _effects: &[Effect]) -> Result<(), SinkError> {
//!         for row in rows {
//!             if let Some((symbol, 0)) = self.program.symbol_at(row.pc) {
//!                 *self.counts.entry(symbol.name.clone()).or_default() += 1;
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?;
//! let program = Program::from_elf(&elf)?;
//! let mut sinks = Tee::new(Calls { program: &program, counts: BTreeMap::new() }, CountingSink::default());
//! let outcome = Executor::builder().build(&program)?.trace(Env::new().args(["fib", "10"]), &mut sinks)?;
//! assert_eq!((sinks.first.counts["_start"], sinks.second.rows), (1, outcome.steps()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A sink's error ends the run with [`Error::Sink`](crate::Error::Sink). The rows that it refused are the first that the
//! next run shows. A sink whose
//! [`level`](crate::Sink::level) is [`Level::Off`](crate::trace::Level::Off) costs nothing: no rows are made for it.
