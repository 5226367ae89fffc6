//! Calls into the caller's code: streams, hosts, sinks and callbacks, any of which may panic.
//!
//! A panic that unwound through a step would skip the code that undoes the step. This module turns the panic into a
//! value that travels like every other failure. Unwinding resumes when the run is over and the session is consistent.
//! Streams remember the bytes they moved for a step that failed, because that step runs again.

use std::any::Any;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::trace::SinkError;

/// A panic of the caller's code, on its way back to the caller.
#[derive(Debug)]
pub(crate) struct Panic(Box<dyn Any + Send>);

impl Panic {
    /// Resumes unwinding.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.0)
    }
}

/// Calls the caller's code and catches a panic.
pub(crate) fn call<R>(code: impl FnOnce() -> R) -> Result<R, Panic> {
    catch_unwind(AssertUnwindSafe(code)).map_err(Panic)
}

/// Why a sink or a callback failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It returned an error.
    Error(SinkError),
    /// It panicked.
    Panic(Panic),
}

/// Calls one of the caller's sinks or callbacks.
pub(crate) fn give(code: impl FnOnce() -> Result<(), SinkError>) -> Result<(), Failed> {
    call(code).map_err(Failed::Panic)?.map_err(Failed::Error)
}

/// A stream that a guest reads. It replays the bytes that a failed step has read.
pub(crate) struct Input<'env> {
    stream: Box<dyn Read + Send + 'env>,
    /// Bytes read since the last completed step.
    read: Vec<u8>,
    /// How many of them the current step has consumed.
    had: usize,
}

impl<'env> Input<'env> {
    pub(crate) fn new(stream: impl Read + Send + 'env) -> Input<'env> {
        Input { stream: Box::new(stream), read: Vec::new(), had: 0 }
    }

    pub(crate) fn into_stream(self) -> Box<dyn Read + Send + 'env> {
        self.stream
    }

    /// Ends the step; `done` says whether it completed.
    pub(crate) fn end_step(&mut self, done: bool) {
        if done {
            self.read.clear();
        }
        self.had = 0;
    }
}

/// The stream may claim more bytes than the buffer holds; the reader has to check that.
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

/// A stream that a guest writes. It does not receive again the bytes that it took for a failed step.
pub(crate) struct Output<'env> {
    stream: Box<dyn Write + Send + 'env>,
    /// Bytes that the stream has taken since the last completed step.
    taken: usize,
    /// Bytes that the current step has written.
    written: usize,
}

impl<'env> Output<'env> {
    pub(crate) fn new(stream: impl Write + Send + 'env) -> Output<'env> {
        Output { stream: Box::new(stream), taken: 0, written: 0 }
    }

    pub(crate) fn into_stream(self) -> Box<dyn Write + Send + 'env> {
        self.stream
    }

    /// Ends the step; `done` says whether it completed.
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
