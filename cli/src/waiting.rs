//! Streams that may wait: pipes, terminals, sockets. A request to stop the run ends the wait.
//!
//! A read stops waiting immediately. A write waits a little longer, so that a slow reader still gets whole rows and a
//! whole report. Files never wait and are used directly. This module must not know what the streams carry.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;

use crate::interrupt;

/// How long a write waits for its reader after a request to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that fit into a pipe that is not full: one page.
const PIPE_BYTES: usize = 4096;
/// Time between two attempts to open a named pipe that has no reader.
const OPEN_INTERVAL: Duration = Duration::from_millis(20);

/// A stream whose reads and writes end when the run must stop.
pub(crate) struct Waiting<F> {
    stream: F,
    may_wait: bool,
}

impl<F: AsFd> Waiting<F> {
    pub(crate) fn new(stream: F) -> Waiting<F> {
        let is_file = |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode).is_file();
        let may_wait = !fstat(&stream).is_ok_and(is_file);
        Waiting { stream, may_wait }
    }

    /// The stream.
    pub(crate) fn get_ref(&self) -> &F {
        &self.stream
    }

    /// The same stream by reference.
    pub(crate) fn lent(&self) -> Waiting<&F> {
        Waiting { stream: &self.stream, may_wait: self.may_wait }
    }

    /// Whether a read would return without waiting.
    pub(crate) fn is_ready(&self) -> bool {
        !self.may_wait
            || ready(self.stream.as_fd(), PollFlags::IN, Some(Duration::ZERO), Signals::Ignored).unwrap_or(true)
    }
}

impl<F: IsTerminal> Waiting<F> {
    pub(crate) fn is_terminal(&self) -> bool {
        self.stream.is_terminal()
    }
}

impl<F: AsFd + Read> Read for Waiting<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.may_wait {
                wait_to_read(self.stream.as_fd())?;
            }
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.may_wait => {}
                read => return read,
            }
        }
    }
}

impl<F: AsFd + Write> Write for Waiting<F> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if !self.may_wait {
            return self.stream.write(data);
        }
        loop {
            wait_to_write(self.stream.as_fd())?;
            // A larger write might wait after a part, where no request could end it.
            match self.stream.write(data.get(..PIPE_BYTES).unwrap_or(data)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<F: Seek> Seek for Waiting<F> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.stream.seek(position)
    }
}

/// Waits until a message can be written to a stream. Fails if nobody reads the stream and the run must stop.
pub(crate) fn takes_message(stream: impl AsFd) -> io::Result<()> {
    wait_to_write(stream.as_fd())
}

/// Opens a file to read, without waiting. Reading a named pipe waits for its writer.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Creates a file, or truncates it. For a named pipe, waits for its reader.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    if !fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return File::create(path);
    }
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    loop {
        match options.open(path) {
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => pause()?,
            Err(error) => return Err(error),
            Ok(pipe) => {
                // Other code may write to the pipe and expect it to wait.
                fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
                return Ok(pipe);
            }
        }
    }
}

/// Waits a little. Fails if the run must stop.
fn pause() -> io::Result<()> {
    check()?;
    let Some(wake) = interrupt::wake() else {
        std::thread::sleep(OPEN_INTERVAL);
        return Ok(());
    };
    ready(wake.as_fd(), PollFlags::IN, Some(OPEN_INTERVAL), Signals::Ignored).map(drop)
}

/// Fails if the run must stop.
fn check() -> io::Result<()> {
    interrupt::stopped().map_or(Ok(()), |stop| Err(io::Error::other(stop)))
}

/// Waits until a read would return.
fn wait_to_read(stream: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        check()?;
        if ready(stream, PollFlags::IN, interrupt::time_left(), Signals::Heard)? {
            return Ok(());
        }
    }
}

/// Waits until the stream can be written. Fails if nobody reads it and the run must stop.
fn wait_to_write(stream: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let is_asked = interrupt::stopped().is_some();
        let (timeout, signals) = match is_asked {
            true => (Some(PATIENCE), Signals::Ignored),
            false => (interrupt::time_left(), Signals::Heard),
        };
        if ready(stream, PollFlags::OUT, timeout, signals)? {
            return Ok(());
        }
        if is_asked {
            check()?;
        }
    }
}

/// Whether a signal ends a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signals {
    Heard,
    Ignored,
}

/// Whether a stream can be used without waiting. A failed stream counts as usable, and its use reports the failure. If the
/// result is false, the timeout has passed, or a signal has arrived.
fn ready(stream: BorrowedFd<'_>, how: PollFlags, timeout: Option<Duration>, signals: Signals) -> io::Result<bool> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut streams = vec![PollFd::from_borrowed_fd(stream, how)];
    let wake = interrupt::wake().filter(|_| signals == Signals::Heard);
    streams.extend(wake.map(|wake| PollFd::new(wake, PollFlags::IN)));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match poll(&mut streams, left.and_then(|left| Timespec::try_from(left).ok()).as_ref()) {
            Ok(_) => return Ok(streams.first().is_some_and(|stream| !stream.revents().is_empty())),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
