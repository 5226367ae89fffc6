//! The plain sinks: one takes nothing, one counts, one hashes, one stores. They must not know who reads the results.

use std::fmt;

use super::{Effect, Level, Row, Sink, SinkError};

/// Takes nothing and keeps nothing.
///
/// By default ([`NullSink::off`]) it requests no rows, and a run with it costs nothing extra. With [`NullSink::rows`],
/// every row is written into the buffer and dropped, which measures the cost of tracing itself.
#[derive(Debug, Clone, Copy)]
pub struct NullSink(Level);

impl NullSink {
    /// Makes a sink that requests no rows.
    pub const fn off() -> NullSink {
        NullSink(Level::Off)
    }

    /// Makes a sink that requests rows and drops them.
    pub const fn rows() -> NullSink {
        NullSink(Level::Rows)
    }
}

impl Default for NullSink {
    fn default() -> Self {
        NullSink::off()
    }
}

impl Sink for NullSink {
    fn level(&self) -> Level {
        self.0
    }

    fn rows(&mut self, _: u64, _: &[Row], _: &[Effect]) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Counts rows and effects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountingSink {
    /// Rows seen.
    pub rows: u64,
    /// Effects seen.
    pub effects: u64,
}

impl Sink for CountingSink {
    fn rows(&mut self, _: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.rows += rows.len() as u64;
        self.effects += effects.len() as u64;
        Ok(())
    }
}

/// BLAKE3 digests of all rows, and separately of all effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceDigest {
    /// Digest of the rows, 32 bytes each as they lie in memory.
    pub rows: blake3::Hash,
    /// Digest of the effects, 32 bytes each: step (u64), kind, space, addr, before, after, zero.
    pub effects: blake3::Hash,
}

impl fmt::Display for TraceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows {} effects {}", self.rows, self.effects)
    }
}

/// Hashes the trace as it passes through.
#[derive(Debug, Clone, Default)]
pub struct DigestSink {
    rows: blake3::Hasher,
    effects: blake3::Hasher,
}

impl DigestSink {
    /// Returns the digest of everything seen so far.
    pub fn digest(&self) -> TraceDigest {
        TraceDigest { rows: self.rows.finalize(), effects: self.effects.finalize() }
    }
}

impl Sink for DigestSink {
    fn rows(&mut self, _: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.rows.update(bytemuck::cast_slice(rows));
        self.effects.update(bytemuck::cast_slice(effects));
        Ok(())
    }
}

/// Stores the whole trace in memory: 32 bytes per step, for short runs and tests.
#[derive(Clone, Default)]
pub struct VecSink {
    /// Every row so far.
    pub rows: Vec<Row>,
    /// Every effect so far.
    pub effects: Vec<Effect>,
}

impl Sink for VecSink {
    fn rows(&mut self, _: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.rows.extend_from_slice(rows);
        self.effects.extend_from_slice(effects);
        Ok(())
    }
}

impl fmt::Debug for VecSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VecSink { rows, effects } = self;
        f.debug_struct("VecSink").field("rows", &rows.len()).field("effects", &effects.len()).finish_non_exhaustive()
    }
}
