//! Segments in RISC Zero's types. This file must not know how they are made or proven.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use risc0_zkvm::Output;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// A part of a session that is proven at once. In bincode it has the bytes of `risc0_zkvm::Segment`, which exists only
/// with that crate's feature `prove`; `TryFrom` makes one where the feature `zkvm-prove` is on.
#[derive(Clone, Serialize, Deserialize)]
pub struct Segment {
    /// Its index since the start or the last pause.
    pub index: u32,
    /// The segment of the circuit.
    pub inner: risc0_circuit_rv32im::execute::Segment,
    /// The session's output, in the last segment of a session that has one.
    pub output: Option<Output>,
}

impl Segment {
    /// Reads the encoding that Tachy writes.
    pub(crate) fn from_encoded(encoded: &[u8]) -> Result<Segment> {
        let inner = risc0_circuit_rv32im::execute::Segment::decode(encoded).context("a segment of Tachy's own")?;
        let index = u32::try_from(inner.index).context("a session of more than 2^32 segments")?;
        Ok(Segment { index, inner, output: None })
    }

    /// Returns the base-2 logarithm of the rows of its proof.
    pub fn po2(&self) -> usize {
        self.inner.po2 as usize
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Segment");
        shown.field("index", &self.index).field("po2", &self.po2()).finish_non_exhaustive()
    }
}

#[cfg(feature = "zkvm-prove")]
impl TryFrom<&Segment> for risc0_zkvm::Segment {
    type Error = bincode::Error;

    fn try_from(segment: &Segment) -> bincode::Result<risc0_zkvm::Segment> {
        bincode::deserialize(&bincode::serialize(segment)?)
    }
}

/// A way back to a segment, wherever it is kept.
pub trait SegmentRef: Send {
    /// Returns the segment.
    ///
    /// # Errors
    /// Fails if it is not kept, or cannot be read.
    fn resolve(&self) -> Result<Segment>;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullSegmentRef;

impl SegmentRef for NullSegmentRef {
    fn resolve(&self) -> Result<Segment> {
        bail!("the segment was not kept")
    }
}

/// Keeps the segment itself.
#[derive(Debug, Clone)]
pub struct SimpleSegmentRef(Segment);

impl SimpleSegmentRef {
    /// Keeps a segment.
    pub fn new(segment: Segment) -> SimpleSegmentRef {
        SimpleSegmentRef(segment)
    }
}

impl SegmentRef for SimpleSegmentRef {
    fn resolve(&self) -> Result<Segment> {
        Ok(self.0.clone())
    }
}

/// A folder for segments.
#[derive(Debug, Clone)]
pub enum SegmentFolder {
    /// A folder of the caller's, in which files stay.
    Path(PathBuf),
    /// A folder that is removed with the last reference to it.
    Temporary(Arc<TempDir>),
}

impl SegmentFolder {
    fn path(&self) -> &Path {
        match self {
            SegmentFolder::Path(path) => path,
            SegmentFolder::Temporary(folder) => folder.path(),
        }
    }
}

/// Keeps the segment in a file, `INDEX.bincode`.
#[derive(Debug, Clone)]
pub struct FileSegmentRef {
    path: PathBuf,
    _folder: SegmentFolder,
}

impl FileSegmentRef {
    /// Writes a segment into a folder.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn new(segment: &Segment, folder: SegmentFolder) -> Result<FileSegmentRef> {
        let path = folder.path().join(format!("{}.bincode", segment.index));
        fs::write(&path, bincode::serialize(segment)?).with_context(|| path.display().to_string())?;
        Ok(FileSegmentRef { path, _folder: folder })
    }
}

impl SegmentRef for FileSegmentRef {
    fn resolve(&self) -> Result<Segment> {
        let bytes = fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        Ok(bincode::deserialize(&bytes)?)
    }
}
