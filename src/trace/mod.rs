//! Traces of a run: rows, effects, and the sinks that take them.
//!
//! Rows are a view into a reused buffer. Nothing here collects a whole trace unless the caller chooses a sink that
//! does. This module must not know engines or machines.

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

/// A sink's own error; it ends the run.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a run is traced. Code is compiled for one level and pays nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Nothing.
    Off,
    /// A row per step, and effects.
    Rows,
}

/// Kind of rows in a trace: the layout of [`Row`] and the meaning of its columns. Formats name it. Rows with another
/// layout, such as those of a 64-bit hart, can therefore be added without being mistaken for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum RowSchema {
    /// Eight words of 32 bits: pc, insn, rs1, rs2, rd, addr, mem_before, mem_after.
    Words32 = 1,
}

/// Passed to a sink before the rows of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RunStart<'a> {
    /// The program.
    pub program: &'a Program,
    /// The machine that runs it.
    pub machine: MachineKind,
    /// The level of tracing, as the sink requested it.
    pub level: Level,
    /// The rows' layout.
    pub schema: RowSchema,
    /// The next step. Rows of earlier steps may come first, if a sink refused them in an earlier run.
    pub step: u64,
}

/// Takes the rows and effects of a run, buffer by buffer.
///
/// Each run calls [`Sink::begin`], then [`Sink::rows`] as often as it has rows, then [`Sink::end`]. A session may be run
/// many times, with the same sink or with others.
pub trait Sink {
    /// Returns how much the sink wants traced. Called at the start of each run.
    fn level(&self) -> Level {
        Level::Rows
    }

    /// Begins a run.
    ///
    /// # Errors
    /// Any error of the sink's own. Then nothing runs, and the result is [`crate::Error::Sink`].
    fn begin(&mut self, _start: &RunStart<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    /// Ends a run, which has stopped before step `step`. It is called after every run that began, however it ended, except
    /// after a panic or an error of this sink.
    ///
    /// # Errors
    /// Any error of the sink's own. If the run itself went well, the result is [`crate::Error::Sink`]. Then a session that
    /// has ended or paused reports that in its next run, which calls only `begin` and `end`.
    fn end(&mut self, _step: u64) -> Result<(), SinkError> {
        Ok(())
    }

    /// Takes the next rows, of steps `first_step`, `first_step + 1` and so on, and all effects of these steps in order.
    /// Both slices are reused after the call. Buffer boundaries carry no meaning.
    ///
    /// # Errors
    /// Any error of the sink's own. It ends the run with [`crate::Error::Sink`], and the sink must have taken none of
    /// these rows. The next run delivers the same rows first, to whichever sink it has. A run without rows drops them.
    /// A panic counts as an error.
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

/// An optional sink; `None` wants nothing.
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
