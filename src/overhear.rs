//! The guest's streams under two engines. The leader has the real ones. The follower reads what the leader has read,
//! and its output is hashed and dropped.
//!
//! Memory stays bounded, however long the run is: input is kept only until the follower has read it too, and output is
//! never kept. This file must not know engines or machines.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of an output stream that tells two streams apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Bytes written.
    pub bytes: u64,
    /// BLAKE3 hash of these bytes.
    pub digest: blake3::Hash,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, BLAKE3 {}", self.bytes, self.digest)
    }
}

/// The output of both sides.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) leader: Spoken,
    pub(crate) follower: Spoken,
}

impl Streams {
    /// Discounts the output of a step that did not complete. Its stream may have taken bytes already; they count when
    /// the step completes.
    pub(crate) fn undo(&mut self) {
        self.leader.stdout.hold_back(&self.follower.stdout);
        self.leader.stderr.hold_back(&self.follower.stderr);
    }
}

/// The output of one side.
#[derive(Default)]
pub(crate) struct Spoken {
    pub(crate) stdout: Tally,
    pub(crate) stderr: Tally,
}

impl Spoken {
    /// Returns the outputs to stdout and stderr.
    pub(crate) fn outputs(&self) -> [Output; 2] {
        [self.stdout.output(), self.stderr.output()]
    }
}

/// The bytes that the leader has read, read by read, until the follower has read them too. An empty entry is the end of
/// the stream; more may follow it.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Heard {
    /// Wraps the stream that the leader reads.
    pub(crate) fn listen_to<'env>(&self, stream: Box<dyn Read + Send + 'env>) -> Listener<'env> {
        Listener { inner: stream, heard: self.clone() }
    }
}

/// The leader's stdin. If a step fails, the leader keeps what it has read, and the follower receives it when the step
/// completes.
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

/// One of the leader's output streams.
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

/// Hashes a stream instead of keeping it, because a guest may write without end.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    said: (u64, blake3::Hasher),
    /// Like `said`, but including what a step that did not complete has written.
    ahead: Option<(u64, blake3::Hasher)>,
}

impl Tally {
    /// Wraps the stream that the leader writes, and counts its bytes here.
    pub(crate) fn copy_of<'env>(&self, stream: Box<dyn Write + Send + 'env>) -> Speaker<'env> {
        Speaker { inner: stream, tally: self.clone() }
    }

    fn output(&self) -> Output {
        let (bytes, hasher) = &lock(&self.0).said;
        Output { bytes: *bytes, digest: hasher.finalize() }
    }

    /// Goes back to the count of `other`; the rest counts from the next write on.
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

/// Locks `mutex`, also after a panic: a stream that panics concerns its owner, and the earlier records stay correct.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
