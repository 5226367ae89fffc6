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

pub use effect::{Effect, EffectKind, Space};
pub use file::{FileSink, ROWS_MAGIC, RowsHeader, SCHEMA_VERSION, read_rows};
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

/// Takes the rows and effects of a run, buffer by buffer.
pub trait Sink {
    /// What the sink wants written down; asked once, when a session starts.
    fn level(&self) -> Level {
        Level::Rows
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

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        (**self).rows(first_step, rows, effects)
    }
}

/// A sink that may be absent; an absent one wants nothing.
impl<S: Sink> Sink for Option<S> {
    fn level(&self) -> Level {
        self.as_ref().map_or(Level::Off, Sink::level)
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.as_mut().map_or(Ok(()), |sink| sink.rows(first_step, rows, effects))
    }
}
