//! The guest's streams under two engines: the JIT has the real ones, the interpreter hears what the JIT heard, and what
//! it says is compared and dropped.
//!
//! Nothing is kept that the interpreter has read or that both have written, however long the run.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::difference::Output;
use crate::env::{Env, HostAnswers, HostSide, SegmentSetup};

/// What both sides' streams came to.
pub(crate) struct Streams {
    pub(super) jit: Spoken,
    pub(super) interpreter: Spoken,
}

impl Streams {
    /// Surroundings for the JIT, for the interpreter, and what is known of both.
    pub(crate) fn split(env: Env<'_>) -> (Env<'_>, Env<'_>, Streams) {
        let (heard, answers) = (Heard::default(), HostAnswers::default());
        let streams = Streams { jit: Spoken::default(), interpreter: Spoken::default() };
        let (jit, interpreter) = (&streams.jit, &streams.interpreter);
        let SegmentSetup { po2, limit_cycles, input, .. } = env.segments;
        let follower = Env::new().args(env.args.iter().cloned()).stdin(heard.clone());
        let follower = follower.stdout(interpreter.stdout.clone()).stderr(interpreter.stderr.clone());
        let leader = Env::new().args(env.args).stdin(Listener { inner: env.stdin.into_stream(), heard });
        let leader = leader.stdout(Speaker { inner: env.stdout.into_stream(), tally: jit.stdout.clone() });
        let mut leader = leader.stderr(Speaker { inner: env.stderr.into_stream(), tally: jit.stderr.clone() });
        let mut follower = follower;
        follower.segments = SegmentSetup { po2, limit_cycles, input, ..follower.segments };
        follower.host = env.host.is_some().then(|| HostSide::Other(Box::new(answers.clone())));
        leader.segments = env.segments;
        leader.host = env.host.map(|host| HostSide::Overheard(Box::new(host), answers));
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
    pub(super) fn outputs(&self) -> [Output; 2] {
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
