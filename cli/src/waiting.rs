//! Streams on which a run may have to wait for others: pipes, terminals, sockets. A request to stop ends the wait.
//!
//! A read gives up as soon as it is asked to. A write first gives its reader a little longer, so that one that is slow and
//! alive gets whole rows and a whole report. Files never wait and are left as they are. It must not know what goes
//! through.

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

/// How long a reader may take nothing, once the run was asked to stop.
const PATIENCE: Duration = Duration::from_secs(2);
/// What fits into a pipe that is not full: a page.
const PIPE_BYTES: usize = 4096;
/// How often it is tried whether a named pipe has its reader.
const OPEN_INTERVAL: Duration = Duration::from_millis(20);

/// A stream that waits no longer than the run may.
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

    /// The same stream, lent.
    pub(crate) fn lent(&self) -> Waiting<&F> {
        Waiting { stream: &self.stream, may_wait: self.may_wait }
    }

    /// Whether a read would find something, or the end, without waiting.
    pub(crate) fn is_ready(&self) -> bool {
        !self.may_wait || ready(self.stream.as_fd(), PollFlags::IN, Some(Duration::ZERO), false).unwrap_or(true)
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
            // More might wait half-way, where nobody could end it.
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

/// Waits until a message can be written to a stream, or fails where nobody reads it and the run must stop.
pub(crate) fn takes_message(stream: impl AsFd) -> io::Result<()> {
    wait_to_write(stream.as_fd())
}

/// Opens a file to read. A named pipe is waited for where it is read, not here.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Makes a file to write, or empties it. A named pipe waits for its reader.
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
                // Whoever writes to it may know nothing of it.
                fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
                return Ok(pipe);
            }
        }
    }
}

/// Waits a little, or fails where the run must stop.
fn pause() -> io::Result<()> {
    check()?;
    let Some(wake) = interrupt::wake() else {
        std::thread::sleep(OPEN_INTERVAL);
        return Ok(());
    };
    ready(wake.as_fd(), PollFlags::IN, Some(OPEN_INTERVAL), false).map(drop)
}

/// Fails where the run must stop.
fn check() -> io::Result<()> {
    interrupt::stopped().map_or(Ok(()), |stop| Err(io::Error::other(stop)))
}

/// Waits until there is something to read, or the end.
fn wait_to_read(stream: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        check()?;
        if ready(stream, PollFlags::IN, interrupt::time_left(), true)? {
            return Ok(());
        }
    }
}

/// Waits until something can be written, or it is clear that nobody reads.
fn wait_to_write(stream: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let is_asked = interrupt::stopped().is_some();
        let timeout = if is_asked { Some(PATIENCE) } else { interrupt::time_left() };
        if ready(stream, PollFlags::OUT, timeout, !is_asked)? {
            return Ok(());
        }
        if is_asked {
            check()?;
        }
    }
}

/// Whether a stream can be used, or has failed, which its use will tell. If not, the time is over, or a signal has come,
/// if signals are looked for.
fn ready(stream: BorrowedFd<'_>, how: PollFlags, timeout: Option<Duration>, signals: bool) -> io::Result<bool> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut streams = vec![PollFd::from_borrowed_fd(stream, how)];
    let wake = interrupt::wake().filter(|_| signals);
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
