//! File descriptors: the caller's streams, pipes, and the journal. This file must not know system calls.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};

use super::HostError;
use super::quota::Quota;
use crate::callers::{self, Input, Output};

/// Standard descriptors.
pub(super) const STDIN: u32 = 0;
pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;
pub(super) const JOURNAL: u32 = 3;

/// Pipes take the lowest free descriptor below this one.
const DESCRIPTORS: u32 = 1000;

enum Source<'env> {
    Reader(Input<'env>),
    Pipe(usize),
}

enum Target<'env> {
    Writer(Output<'env>),
    Pipe(usize),
    Journal,
}

/// All descriptors of a host.
pub(super) struct Streams<'env> {
    sources: BTreeMap<u32, Source<'env>>,
    targets: BTreeMap<u32, Target<'env>>,
    pipes: Vec<VecDeque<u8>>,
    journal: Vec<u8>,
    /// Bytes of journals that were already taken.
    journal_bytes_before: u64,
    pub(super) limit_journal_bytes: u64,
    output_bytes: u64,
    /// The host's own limit, and that of the current run.
    pub(super) limit_output_bytes: Option<u64>,
    pub(super) limit_run_output_bytes: Option<u64>,
    /// The descriptor whose stream the current call has moved.
    moved: Option<u32>,
}

impl<'env> Streams<'env> {
    /// Starts with an empty stdin, and output that is dropped.
    pub(super) fn new(limit_journal_bytes: u64) -> Streams<'env> {
        let mut streams = Streams {
            sources: BTreeMap::new(),
            targets: BTreeMap::new(),
            pipes: Vec::new(),
            journal: Vec::new(),
            journal_bytes_before: 0,
            limit_journal_bytes,
            output_bytes: 0,
            limit_output_bytes: None,
            limit_run_output_bytes: None,
            moved: None,
        };
        streams.add_source(STDIN, io::empty());
        streams.add_target(STDOUT, io::sink());
        streams.add_target(STDERR, io::sink());
        streams.targets.insert(JOURNAL, Target::Journal);
        streams
    }

    pub(super) fn add_source(&mut self, descriptor: u32, stream: impl Read + Send + 'env) {
        self.sources.insert(descriptor, Source::Reader(Input::new(stream)));
    }

    /// Adds a stream for a descriptor. The journal's descriptor always writes to the journal.
    pub(super) fn add_target(&mut self, descriptor: u32, stream: impl Write + Send + 'env) {
        if descriptor != JOURNAL {
            self.targets.insert(descriptor, Target::Writer(Output::new(stream)));
        }
    }

    /// Opens a pipe and returns the descriptors of its ends. Both are the same number. The reference looks for a free
    /// descriptor for the second end before it has taken the first, and readers and writers are looked up separately.
    pub(super) fn open_pipe(&mut self) -> Option<(u32, u32)> {
        let free = |descriptor: &u32| !self.sources.contains_key(descriptor) && !self.targets.contains_key(descriptor);
        let descriptor = (0..DESCRIPTORS).find(free)?;
        let pipe = self.pipes.len();
        self.pipes.push(VecDeque::new());
        self.sources.insert(descriptor, Source::Pipe(pipe));
        self.targets.insert(descriptor, Target::Pipe(pipe));
        Some((descriptor, descriptor))
    }

    /// Fills `buffer` until it is full or the stream ends. Returns the number of bytes filled.
    pub(super) fn read(&mut self, descriptor: u32, buffer: &mut [u8], quota: &mut Quota) -> Result<usize, HostError> {
        match self.sources.get_mut(&descriptor) {
            Some(Source::Reader(stream)) => {
                self.moved = Some(descriptor);
                read_all(stream, buffer).map_err(|source| HostError::Stream { descriptor, source })
            }
            Some(Source::Pipe(pipe)) => {
                let Some(pipe) = self.pipes.get_mut(*pipe) else { return Ok(0) };
                let bytes = buffer.len().min(pipe.len());
                for (byte, piped) in buffer.iter_mut().zip(pipe.drain(..bytes)) {
                    *byte = piped;
                }
                // Releases memory that the pipe no longer needs.
                if pipe.capacity() > 4 * pipe.len() {
                    pipe.shrink_to(2 * pipe.len());
                }
                quota.give(bytes as u64);
                Ok(bytes)
            }
            None => Err(HostError::Descriptor { verb: "reads from", descriptor }),
        }
    }

    /// Checks that `bytes` may be written, and counts them if there is a limit. Calls of [`Self::write`] with exactly
    /// as many bytes must follow.
    pub(super) fn open_write(&mut self, descriptor: u32, bytes: u64, quota: &mut Quota) -> Result<(), HostError> {
        match self.targets.get(&descriptor) {
            Some(Target::Writer(_)) => self.take_output(bytes),
            Some(Target::Pipe(_)) => quota.take(bytes),
            Some(Target::Journal) => {
                let bytes = self.journal_bytes_before + self.journal.len() as u64 + bytes;
                let limit_bytes = self.limit_journal_bytes;
                match bytes > limit_bytes {
                    true => Err(HostError::JournalLimit { bytes, limit_bytes }),
                    false => Ok(()),
                }
            }
            None => Err(HostError::Descriptor { verb: "writes to", descriptor }),
        }
    }

    /// Counts output before it goes to the caller's streams.
    pub(super) fn take_output(&mut self, bytes: u64) -> Result<(), HostError> {
        let limits = [self.limit_output_bytes, self.limit_run_output_bytes];
        let limit_bytes = limits.into_iter().flatten().min().unwrap_or(u64::MAX);
        let bytes = self.output_bytes.saturating_add(bytes);
        if bytes > limit_bytes {
            return Err(HostError::OutputLimit { bytes, limit_bytes });
        }
        self.output_bytes = bytes;
        Ok(())
    }

    /// Writes all of `data`.
    pub(super) fn write(&mut self, descriptor: u32, data: &[u8]) -> Result<(), HostError> {
        match self.targets.get_mut(&descriptor) {
            Some(Target::Writer(stream)) => {
                self.moved = Some(descriptor);
                write_all(stream, data).map_err(|source| HostError::Stream { descriptor, source })
            }
            Some(Target::Pipe(pipe)) => {
                if let Some(pipe) = self.pipes.get_mut(*pipe) {
                    pipe.extend(data);
                }
                Ok(())
            }
            Some(Target::Journal) => {
                self.journal.extend(data);
                Ok(())
            }
            None => Err(HostError::Descriptor { verb: "writes to", descriptor }),
        }
    }

    pub(super) fn journal(&self) -> &[u8] {
        &self.journal
    }

    pub(super) fn take_journal(&mut self) -> Vec<u8> {
        self.journal_bytes_before += self.journal.len() as u64;
        std::mem::take(&mut self.journal)
    }

    pub(super) fn output_bytes(&self) -> u64 {
        self.output_bytes
    }

    /// Restores an earlier output count, after a call that was not carried out.
    pub(super) fn set_output_bytes(&mut self, bytes: u64) {
        self.output_bytes = bytes;
    }

    /// Ends a call, either done or not. If the guest repeats a call that was not done, its stream moves no byte twice.
    pub(super) fn end_call(&mut self, done: bool) {
        let Some(descriptor) = self.moved.take() else { return };
        if let Some(Source::Reader(stream)) = self.sources.get_mut(&descriptor) {
            stream.end_step(done);
        }
        if let Some(Target::Writer(stream)) = self.targets.get_mut(&descriptor) {
            stream.end_step(done);
        }
    }

    /// Flushes all of the caller's streams. Reports the first panic, or else the first error.
    pub(super) fn flush(&mut self) -> Result<(), HostError> {
        let (mut panicked, mut flushed) = (None, Ok(()));
        for (&descriptor, target) in &mut self.targets {
            let Target::Writer(stream) = target else { continue };
            match callers::call(|| stream.flush()) {
                Ok(result) => flushed = flushed.and(result.map_err(|source| HostError::Stream { descriptor, source })),
                Err(panic) => panicked = panicked.or(Some(panic)),
            }
        }
        match panicked {
            Some(panic) => panic.resume(),
            None => flushed,
        }
    }
}

/// Reads until the buffer is full or the stream ends. Fails if the stream claims to have read more than fits.
pub(super) fn read_all(stream: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let room = buffer.len() - filled;
        match stream.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(bytes) => filled += claimed(bytes, room)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes everything. Fails if the stream claims to have written more than it was given.
pub(super) fn write_all(stream: &mut (impl Write + ?Sized), mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        match stream.write(data) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(bytes) => data = data.get(claimed(bytes, data.len())?..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies as much as fits, and returns the number of bytes.
pub(super) fn copy(from: &[u8], to: &mut [u8]) -> usize {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    from.len().min(to.len())
}

fn claimed(bytes: usize, room: usize) -> io::Result<usize> {
    match bytes <= room {
        true => Ok(bytes),
        false => Err(io::Error::other(format!("the stream claims {bytes} bytes where there was room for {room}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_is_emptied_takes_no_memory() {
        let (mut streams, mut quota) = (Streams::new(0), Quota::new(1 << 20));
        let (descriptor, _) = streams.open_pipe().expect("descriptors are free");
        for _ in 0..3 {
            streams.open_write(descriptor, 1 << 20, &mut quota).expect("there is room");
            streams.write(descriptor, &[7; 1 << 20]).expect("it is open");
            let mut buffer = [0; 1000];
            while streams.read(descriptor, &mut buffer, &mut quota).expect("it is open") > 0 {
                for pipe in &streams.pipes {
                    assert!(pipe.capacity() <= 4 * pipe.len(), "{} of {}", pipe.len(), pipe.capacity());
                }
            }
        }
    }
}
