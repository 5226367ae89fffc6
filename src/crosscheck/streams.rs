//! The guest's streams under two engines: the JIT has the real ones, the interpreter hears what the JIT heard, and what
//! it says is compared and dropped.
//!
//! Nothing is kept that the interpreter has read or that both have written, however long the run.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::callers::{Input, Output};
use crate::difference;
use crate::surroundings::{HostAnswers, HostSide, SegmentRules, Surroundings};

/// What both sides' streams came to.
pub(crate) struct Streams {
    pub(super) jit: Spoken,
    pub(super) interpreter: Spoken,
}

impl Streams {
    /// Surroundings for the JIT, for the interpreter, and what is known of both.
    pub(crate) fn split(around: Surroundings<'_>) -> (Surroundings<'_>, Surroundings<'_>, Streams) {
        let (heard, answers) = (Heard::default(), HostAnswers::default());
        let streams = Streams { jit: Spoken::default(), interpreter: Spoken::default() };
        let (jit, interpreter) = (&streams.jit, &streams.interpreter);
        let follower = Surroundings {
            args: around.args.clone(),
            stdin: Input::new(heard.clone()),
            stdout: Output::new(interpreter.stdout.clone()),
            stderr: Output::new(interpreter.stderr.clone()),
            host: around.host.is_some().then(|| HostSide::Other(Box::new(answers.clone()))),
            segments: SegmentRules { records: false, ..around.segments },
        };
        let leader = Surroundings {
            stdin: Input::new(Listener { inner: around.stdin.into_stream(), heard }),
            stdout: Output::new(Speaker { inner: around.stdout.into_stream(), tally: jit.stdout.clone() }),
            stderr: Output::new(Speaker { inner: around.stderr.into_stream(), tally: jit.stderr.clone() }),
            host: around.host.map(|host| HostSide::Overheard(Box::new(host), answers)),
            ..around
        };
        (leader, follower, streams)
    }

    /// A step that was not done has written nothing yet, although its stream may have taken bytes already: they count
    /// when it is done.
    pub(super) fn undo(&mut self) {
        self.jit.stdout.hold_back(&self.interpreter.stdout);
        self.jit.stderr.hold_back(&self.interpreter.stderr);
    }
}

/// What one side wrote.
#[derive(Default)]
pub(super) struct Spoken {
    stdout: Tally,
    stderr: Tally,
}

impl Spoken {
    /// Of stdout, and of stderr.
    pub(super) fn outputs(&self) -> [difference::Output; 2] {
        [self.stdout.output(), self.stderr.output()]
    }
}

/// What the JIT's reads gave, read by read, until the interpreter has read it too. An empty one is the stream's end,
/// after which more may come.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<VecDeque<Vec<u8>>>>);

/// The JIT's stdin. The interpreter hears what a failing step has read when the step is done: the JIT keeps it till then.
struct Listener<'env> {
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

/// The interpreter's stdin.
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

/// A stream of the JIT's output.
struct Speaker<'env> {
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
struct Tally(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    said: (u64, blake3::Hasher),
    /// As `said`, with what a step that was not done has written.
    ahead: Option<(u64, blake3::Hasher)>,
}

impl Tally {
    fn output(&self) -> difference::Output {
        let (bytes, hasher) = &lock(&self.0).said;
        difference::Output { bytes: *bytes, digest: hasher.finalize() }
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
