//! Combines two sinks into one. It must not know what they do.

use super::{Effect, Level, Row, RunStart, Sink, SinkError};

/// Passes everything to two sinks. If the second refuses rows, the first has already taken them and does not get them
/// again. The next run must therefore use the same `Tee`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tee<A, B> {
    /// Gets everything first.
    pub first: A,
    /// Gets what the first has taken.
    pub second: B,
    /// Whether the first has taken rows that the second has refused.
    first_is_done: bool,
}

impl<A: Sink, B: Sink> Tee<A, B> {
    /// Combines two sinks.
    pub fn new(first: A, second: B) -> Tee<A, B> {
        Tee { first, second, first_is_done: false }
    }
}

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn level(&self) -> Level {
        match (self.first.level(), self.second.level()) {
            (Level::Off, Level::Off) => Level::Off,
            _ => Level::Rows,
        }
    }

    fn begin(&mut self, start: &RunStart<'_>) -> Result<(), SinkError> {
        self.first.begin(start)?;
        self.second.begin(start)
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if !self.first_is_done {
            self.first.rows(first_step, rows, effects)?;
            self.first_is_done = true;
        }
        self.second.rows(first_step, rows, effects)?;
        self.first_is_done = false;
        Ok(())
    }

    fn end(&mut self, step: u64) -> Result<(), SinkError> {
        self.first.end(step)?;
        self.second.end(step)
    }
}
