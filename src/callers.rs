//! The caller's code as a run calls it: streams, hosts, sinks and callbacks, any of which may panic.
//!
//! A panic that unwinds through a step skips whatever undoes the step. Here it becomes a value, which takes the way of
//! every other failure and goes on unwinding when the run is over and the session is as it should be. Streams keep what
//! has moved for a step that was not done, since the step is done again.

use std::any::Any;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::trace::SinkError;

/// A panic of the caller's code, on its way to the caller.
#[derive(Debug)]
pub(crate) struct Panic(Box<dyn Any + Send>);

impl Panic {
    /// Goes on unwinding.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.0)
    }
}

/// Calls code of the caller's.
pub(crate) fn call<R>(code: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Panic)
}

/// Why a sink or a callback took no more.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It said so.
    Error(SinkError),
    /// It panicked.
    Panic(Panic),
}

/// Calls a sink or a callback of the caller's.
pub(crate) fn give(code: impl FnOnce() -> Result<(), SinkError>) -> Result<(), Failed> {
    call(code).map_err(Failed::Panic)?.map_err(Failed::Error)
}

/// A stream that a guest reads. What was read for a step that was not done is read again.
pub(crate) struct Input<'env> {
    stream: Box<dyn Read + Send + 'env>,
    /// Bytes read since the last step that was done.
    read: Vec<u8>,
    /// How many of them the step under way has had.
    had: usize,
}

impl<'env> Input<'env> {
    pub(crate) fn new(stream: impl Read + Send + 'env) -> Input<'env> {
        Input { stream: Box::new(stream), read: Vec::new(), had: 0 }
    }

    pub(crate) fn into_stream(self) -> Box<dyn Read + Send + 'env> {
        self.stream
    }

    /// The step is over, and was done or not.
    pub(crate) fn end_step(&mut self, done: bool) {
        if done {
            self.read.clear();
        }
        self.had = 0;
    }
}

/// The stream may claim more bytes than there is room for; that is for the reader to see.
impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut again = self.read.get(self.had..).unwrap_or_default();
        if !again.is_empty() {
            let bytes = again.read(buffer)?;
            self.had += bytes;
            return Ok(bytes);
        }
        let bytes = self.stream.read(buffer)?;
        self.read.extend(buffer.iter().take(bytes));
        self.had = self.read.len();
        Ok(bytes)
    }
}

/// A stream that a guest writes. What it took for a step that was not done it does not get again.
pub(crate) struct Output<'env> {
    stream: Box<dyn Write + Send + 'env>,
    /// Bytes that the stream has taken since the last step that was done.
    taken: usize,
    /// Bytes that the step under way has written.
    written: usize,
}

impl<'env> Output<'env> {
    pub(crate) fn new(stream: impl Write + Send + 'env) -> Output<'env> {
        Output { stream: Box::new(stream), taken: 0, written: 0 }
    }

    pub(crate) fn into_stream(self) -> Box<dyn Write + Send + 'env> {
        self.stream
    }

    /// The step is over, and was done or not.
    pub(crate) fn end_step(&mut self, done: bool) {
        if done {
            self.taken = 0;
        }
        self.written = 0;
    }
}

impl Write for Output<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let before = data.len().min(self.taken.saturating_sub(self.written));
        if before > 0 {
            self.written += before;
            return Ok(before);
        }
        let (bytes, room) = (self.stream.write(data)?, data.len());
        if bytes > room {
            let claim = format!("the stream claims {bytes} bytes where there was room for {room}");
            return Err(io::Error::other(claim));
        }
        self.written += bytes;
        self.taken = self.written;
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
