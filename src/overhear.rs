//! The guest's streams under two engines: the leader has the real ones, the follower hears what the leader heard, and
//! its output is hashed and dropped.
//!
//! Memory stays bounded, however long the run: input is kept until the follower has read it too, and output never.
//! This file must not know engines or machines.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream of output, as far as two of them must be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Bytes written.
    pub bytes: u64,
    /// BLAKE3 of them.
    pub digest: blake3::Hash,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, BLAKE3 {}", self.bytes, self.digest)
    }
}

/// What both sides have written.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) leader: Spoken,
    pub(crate) follower: Spoken,
}

impl Streams {
    /// A step that was not done has written nothing yet, although its stream may have taken bytes already: they count
    /// when it is done.
    pub(crate) fn undo(&mut self) {
        self.leader.stdout.hold_back(&self.follower.stdout);
        self.leader.stderr.hold_back(&self.follower.stderr);
    }
}

/// What one side wrote.
#[derive(Default)]
pub(crate) struct Spoken {
    pub(crate) stdout: Tally,
    pub(crate) stderr: Tally,
}

impl Spoken {
    /// Of stdout, and of stderr.
    pub(crate) fn outputs(&self) -> [Output; 2] {
        [self.stdout.output(), self.stderr.output()]
    }
}

/// What the leader's reads gave, read by read, until the follower has read it too. An empty one is the stream's end,
/// after which more may come.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Heard {
    /// The stream as the leader reads it.
    pub(crate) fn listen_to<'env>(&self, stream: Box<dyn Read + Send + 'env>) -> Listener<'env> {
        Listener { inner: stream, heard: self.clone() }
    }
}

/// The leader's stdin. The follower hears what a failing step has read when the step is done: the leader keeps it until
/// then.
pub(crate) struct Listener<'env> {
    inner: Box<dyn Read + Send + 'env>,
    heard: Heard,
}

impl Read for Listener<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        lock(&self.heard.0).push_back(buffer.iter().copied().take(bytes).collect());
        Ok(bytes)
    }
}

/// The follower's stdin.
impl Read for Heard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut heard = lock(&self.0);
        let Some(mut data) = heard.pop_front() else {
            return Err(io::Error::other("the interpreter reads what the JIT has not read"));
        };
        let bytes = data.as_slice().read(buffer)?;
        if bytes < data.len() {
            heard.push_front(data.split_off(bytes));
        }
        Ok(bytes)
    }
}

/// A stream of the leader's output.
pub(crate) struct Speaker<'env> {
    inner: Box<dyn Write + Send + 'env>,
    tally: Tally,
}

impl Write for Speaker<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let bytes = self.inner.write(data)?;
        self.tally.write_all(data.get(..bytes).unwrap_or(data))?;
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes a stream instead of keeping it: a guest may write without end.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    said: (u64, blake3::Hasher),
    /// As `said`, with what a step that was not done has written.
    ahead: Option<(u64, blake3::Hasher)>,
}

impl Tally {
    /// The stream as the leader writes it, counted here.
    pub(crate) fn copy_of<'env>(&self, stream: Box<dyn Write + Send + 'env>) -> Speaker<'env> {
        Speaker { inner: stream, tally: self.clone() }
    }

    fn output(&self) -> Output {
        let (bytes, hasher) = &lock(&self.0).said;
        Output { bytes: *bytes, digest: hasher.finalize() }
    }

    /// Goes back to what `other` has said; the rest counts from the next write on.
    fn hold_back(&self, other: &Tally) {
        let other = lock(&other.0).said.clone();
        let mut own = lock(&self.0);
        if own.said.0 != other.0 {
            own.ahead = Some(std::mem::replace(&mut own.said, other));
        }
    }
}

impl Write for Tally {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut counted = lock(&self.0);
        if let Some(ahead) = counted.ahead.take() {
            counted.said = ahead;
        }
        counted.said.0 += data.len() as u64;
        counted.said.1.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that panics is its owner's business; what was taken down before stays true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
