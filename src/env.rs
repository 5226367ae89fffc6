//! The guest's surroundings: arguments and streams.

use std::io::{self, Read, Write};

use crate::error::Error;
use crate::r0vm::SegmentRecord;
use crate::trace::SinkError;

/// Arguments and streams of one run. By default: no argument but the program's name, an empty stdin, and output that
/// is dropped.
pub struct Env<'env> {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) stdin: Box<dyn Read + Send + 'env>,
    pub(crate) stdout: Box<dyn Write + Send + 'env>,
    pub(crate) stderr: Box<dyn Write + Send + 'env>,
    pub(crate) segments: SegmentSetup<'env>,
}

/// Takes the record of each segment when it has ended.
pub(crate) type SegmentSink<'env> = Box<dyn FnMut(SegmentRecord) -> Result<(), SinkError> + Send + 'env>;

/// How a machine with segments cuts a run into them.
pub(crate) struct SegmentSetup<'env> {
    /// Base-2 logarithm of a segment's cycles.
    pub(crate) po2: u32,
    /// User cycles that the session may take.
    pub(crate) limit_cycles: Option<u64>,
    /// The words that each segment is given.
    pub(crate) input: [u32; 8],
    /// Who takes segments; if nobody does, nothing is kept for them.
    pub(crate) sink: Option<SegmentSink<'env>>,
}

impl SegmentSetup<'_> {
    /// The segments' size, if it is one that can be proven.
    pub(crate) fn check_po2(&self) -> Result<u32, Error> {
        match (13..=24).contains(&self.po2) {
            true => Ok(self.po2),
            false => Err(Error::Configuration {
                what: "the segments' po2",
                found: self.po2.to_string(),
                expected: "13 to 24",
            }),
        }
    }
}

impl Default for Env<'_> {
    fn default() -> Self {
        Env {
            args: vec![b"guest".to_vec()],
            stdin: Box::new(io::empty()),
            stdout: Box::new(io::sink()),
            stderr: Box::new(io::sink()),
            segments: SegmentSetup { po2: 20, limit_cycles: None, input: [0; 8], sink: None },
        }
    }
}

impl<'env> Env<'env> {
    /// The default surroundings.
    pub fn new() -> Env<'env> {
        Env::default()
    }

    /// All arguments, the program's name (`argv[0]`) first.
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(mut self, args: I) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// What the guest reads from descriptor 0. A read waits until it has what the guest asked for or the stream ends,
    /// so that a run does not depend on how input arrives.
    pub fn stdin(mut self, stream: impl Read + Send + 'env) -> Self {
        self.stdin = Box::new(stream);
        self
    }

    /// Takes what the guest writes to descriptor 1, flushed when the run stops.
    pub fn stdout(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stdout = Box::new(stream);
        self
    }

    /// Takes what the guest writes to descriptor 2, flushed when the run stops.
    pub fn stderr(mut self, stream: impl Write + Send + 'env) -> Self {
        self.stderr = Box::new(stream);
        self
    }
}
