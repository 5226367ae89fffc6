//! What a run writes down: rows, effects, and the sinks that take them.
//!
//! Rows are a view into a reused buffer; nothing here collects a whole trace unless the caller chose a sink that does.
//! This module must not know engines or machines.

mod effect;
mod file;
mod partial;
mod replay;
mod sinks;
mod tee;
mod text;

use crate::machine_kind::MachineKind;
use crate::program::Program;

pub use effect::{Effect, EffectKind, Space};
pub use file::{FileSink, ROWS_MAGIC, RowsHeader, read_rows};
pub(crate) use replay::ReplayRules;
pub use replay::{Replay, ReplayError};
pub use sinks::{CountingSink, DigestSink, NullSink, TraceDigest, VecSink};
pub use tee::Tee;
pub use text::{CsvSink, EFFECTS_HEADER, ROWS_HEADER};

pub use tachy_runtime::{ROW_BYTES, Row};

/// An error of a sink's own making; the run ends with it.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a run is written down. Code is translated for one level and pays nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Nothing.
    Off,
    /// A row per step, and effects.
    Rows,
}

/// Which row a trace has: the layout of [`Row`] and what its columns mean. Formats name it, so that rows of another layout,
/// such as those of a 64-bit hart, can follow without being mistaken for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum RowSchema {
    /// Eight words of 32 bits: pc, insn, rs1, rs2, rd, addr, mem_before, mem_after.
    Words32 = 1,
}

/// What a sink is told before the rows of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunStart<'a> {
    /// The program that runs.
    pub program: &'a Program,
    /// The machine that it runs on.
    pub machine: MachineKind,
    /// What is written down: the level that the sink asked for.
    pub level: Level,
    /// The rows' layout.
    pub schema: RowSchema,
    /// The next step. Rows of earlier steps may come first, if a sink refused them in an earlier run.
    pub step: u64,
}

/// Takes the rows and effects of a run, buffer by buffer.
///
/// A run calls [`Sink::begin`], then [`Sink::rows`] as often as it has rows, then [`Sink::end`]. A session may be run many
/// times, with the same sink or with others.
pub trait Sink {
    /// What the sink wants written down; asked when a run begins.
    fn level(&self) -> Level {
        Level::Rows
    }

    /// A run begins.
    ///
    /// # Errors
    /// Whatever the sink says. Then nothing is run, and the result is [`crate::Error::Sink`].
    fn begin(&mut self, _start: &RunStart<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    /// The run has stopped before step `step`, for whatever reason, and every row up to there was given. Not called where
    /// the sink has failed in this run.
    ///
    /// # Errors
    /// Whatever the sink says; the run ends with [`crate::Error::Sink`], and the next one says how the program ended. A
    /// panic counts as an error.
    fn end(&mut self, _step: u64) -> Result<(), SinkError> {
        Ok(())
    }

    /// The next rows, of steps `first_step`, `first_step + 1` and so on, and all effects of these steps in the order
    /// they happened. Both slices are reused after the call. Where buffers end is no property of the trace.
    ///
    /// # Errors
    /// Whatever the sink says; the run ends with [`crate::Error::Sink`]. The sink has then taken none of these rows: the
    /// next run shows the same again, to whatever sink it has, before any other. A run without rows drops them. A panic
    /// counts as an error.
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn level(&self) -> Level {
        (**self).level()
    }

    fn begin(&mut self, start: &RunStart<'_>) -> Result<(), SinkError> {
        (**self).begin(start)
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        (**self).rows(first_step, rows, effects)
    }

    fn end(&mut self, step: u64) -> Result<(), SinkError> {
        (**self).end(step)
    }
}

/// A sink that may be absent; an absent one wants nothing.
impl<S: Sink> Sink for Option<S> {
    fn level(&self) -> Level {
        self.as_ref().map_or(Level::Off, Sink::level)
    }

    fn begin(&mut self, start: &RunStart<'_>) -> Result<(), SinkError> {
        self.as_mut().map_or(Ok(()), |sink| sink.begin(start))
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.as_mut().map_or(Ok(()), |sink| sink.rows(first_step, rows, effects))
    }

    fn end(&mut self, step: u64) -> Result<(), SinkError> {
        self.as_mut().map_or(Ok(()), |sink| sink.end(step))
    }
}
