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
    heard: Heard,
    answers: HostAnswers,
    pub(super) jit: Spoken,
    pub(super) interpreter: Spoken,
}

impl Streams {
    /// Surroundings for the JIT, for the interpreter, and what is known of both.
    pub(crate) fn split(env: Env<'_>) -> (Env<'_>, Env<'_>, Streams) {
        let answers = HostAnswers::default();
        let streams = Streams {
            heard: Heard::default(),
            answers: answers.clone(),
            jit: Spoken::default(),
            interpreter: Spoken::default(),
        };
        let (jit, interpreter) = (&streams.jit, &streams.interpreter);
        let SegmentSetup { po2, limit_cycles, input, .. } = env.segments;
        let follower = Env::new().args(env.args.iter().cloned()).stdin(streams.heard.clone());
        let follower = follower.stdout(interpreter.stdout.clone()).stderr(interpreter.stderr.clone());
        let leader = Env::new().args(env.args).stdin(Listener { inner: env.stdin, heard: streams.heard.clone() });
        let leader = leader.stdout(Speaker { inner: env.stdout, tally: jit.stdout.clone() });
        let mut leader = leader.stderr(Speaker { inner: env.stderr, tally: jit.stderr.clone() });
        let mut follower = follower;
        follower.segments = SegmentSetup { po2, limit_cycles, input, ..follower.segments };
        follower.host = env.host.is_some().then(|| HostSide::Other(Box::new(answers.clone())));
        leader.segments = env.segments;
        leader.host = env.host.map(|host| HostSide::Overheard(Box::new(host), answers));
        (leader, follower, streams)
    }

    /// The step that used a stream was not done, although the stream may have moved: it never was.
    pub(super) fn undo(&mut self) {
        lock(&self.heard.0).clear();
        self.answers.clear();
        self.jit.stdout.set(&self.interpreter.stdout);
        self.jit.stderr.set(&self.interpreter.stderr);
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

/// The JIT's stdin. A read that fails is not passed on: its step is not done, or does it again.
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
struct Tally(Arc<Mutex<(u64, blake3::Hasher)>>);

impl Tally {
    fn output(&self) -> Output {
        let tally = lock(&self.0);
        Output { bytes: tally.0, digest: tally.1.finalize() }
    }

    fn set(&self, other: &Tally) {
        let value = lock(&other.0).clone();
        *lock(&self.0) = value;
    }
}

impl Write for Tally {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut tally = lock(&self.0);
        tally.0 += data.len() as u64;
        tally.1.update(data);
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
