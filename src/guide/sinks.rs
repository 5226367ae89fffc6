//! Inspect what a run did, row by row.
//!
//! A [`Sink`](crate::Sink) gets the rows of a run buffer by buffer, together with the
//! [`Effect`](crate::trace::Effect)s: changes that steps made outside their rows. Tachy keeps none of them, so a sink
//! picks what it needs as they pass. The sinks in [`trace`](crate::trace) drop rows ([`NullSink`](crate::NullSink)),
//! count, hash, keep or write them. [`Tee`](crate::trace::Tee) passes everything to two sinks, and a sink in an
//! [`Option`] may be absent.
//!
//! This sink counts how often each function was entered:
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
//! A sink's error ends the run with [`Error::Sink`](crate::Error::Sink). The next run delivers the refused rows first.
//! A sink whose [`level`](crate::Sink::level) is [`Level::Off`](crate::trace::Level::Off) costs nothing: Tachy makes no
//! rows for it.
