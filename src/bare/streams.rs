//! Arguments and streams of machine `bare`: the caller's settings, and the machine's reads and writes.
//!
//! This file must not know system calls or memory.

use std::io::{self, Read, Write};

use crate::callers::{self, Input, Output};
use crate::error::StreamName;
use crate::machine::{StepError, Surroundings};
use crate::overhear::{self, Streams};

/// The caller's settings of machine `bare`.
#[derive(Default)]
pub(crate) struct Settings<'env> {
    pub(crate) args: Option<Vec<Vec<u8>>>,
    pub(crate) stdin: Option<Input<'env>>,
    pub(crate) stdout: Option<Output<'env>>,
    pub(crate) stderr: Option<Output<'env>>,
}

impl Settings<'_> {
    /// Returns the name of the first setting that was given.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("Env::args", self.args.is_some()),
            ("Env::stdin", self.stdin.is_some()),
            ("Env::stdout", self.stdout.is_some()),
            ("Env::stderr", self.stderr.is_some()),
        ];
        given.into_iter().find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// Arguments and streams of a session.
pub(crate) struct GuestStreams<'env> {
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) stdin: Input<'env>,
    pub(crate) stdout: Output<'env>,
    pub(crate) stderr: Output<'env>,
}

impl<'env> From<Settings<'env>> for GuestStreams<'env> {
    /// Fills in defaults: the program's name as the only argument, an empty stdin, and output that is dropped.
    fn from(settings: Settings<'env>) -> GuestStreams<'env> {
        GuestStreams {
            args: settings.args.unwrap_or_else(|| vec![b"guest".to_vec()]),
            stdin: settings.stdin.unwrap_or_else(|| Input::new(io::empty())),
            stdout: settings.stdout.unwrap_or_else(|| Output::new(io::sink())),
            stderr: settings.stderr.unwrap_or_else(|| Output::new(io::sink())),
        }
    }
}

impl GuestStreams<'_> {
    /// Reads from stdin into `buffer` with one read of the stream. Returns 0 at its end.
    pub(super) fn read_stdin(&mut self, buffer: &mut [u8]) -> Result<usize, StepError> {
        let stdin = &mut self.stdin;
        let read = callers::call(|| read_some(stdin, buffer));
        stdin.end_step(matches!(read, Ok(Ok(_))));
        read?.map_err(|error| StepError::Stream(StreamName::Stdin, error))
    }

    /// Writes all of `data` to stdout or to stderr.
    pub(super) fn write_output(&mut self, is_stdout: bool, data: &[u8]) -> Result<(), StepError> {
        let (name, stream) = match is_stdout {
            true => (StreamName::Stdout, &mut self.stdout),
            false => (StreamName::Stderr, &mut self.stderr),
        };
        let written = callers::call(|| stream.write_all(data));
        stream.end_step(matches!(written, Ok(Ok(()))));
        written?.map_err(|error| StepError::Stream(name, error))
    }
}

impl Surroundings for GuestStreams<'_> {
    fn flush(&mut self) -> Result<(), StepError> {
        let GuestStreams { stdout, stderr, .. } = self;
        StepError::first(
            [(StreamName::Stdout, stdout), (StreamName::Stderr, stderr)].map(|(name, stream)| {
                callers::call(|| stream.flush())?.map_err(|error| StepError::Stream(name, error))
            }),
        )
    }

    fn split(self) -> (Self, Self, Streams) {
        let (heard, streams) = (overhear::Heard::default(), Streams::default());
        let (leader, follower) = (&streams.leader, &streams.follower);
        let second = GuestStreams {
            args: self.args.clone(),
            stdin: Input::new(heard.clone()),
            stdout: Output::new(follower.stdout.clone()),
            stderr: Output::new(follower.stderr.clone()),
        };
        let first = GuestStreams {
            args: self.args,
            stdin: Input::new(heard.listen_to(self.stdin.into_stream())),
            stdout: Output::new(leader.stdout.copy_of(self.stdout.into_stream())),
            stderr: Output::new(leader.stderr.copy_of(self.stderr.into_stream())),
        };
        (first, second, streams)
    }
}

/// Reads once, as read(2) does. Returns the available bytes, and at least one unless the stream has ended.
fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    // A read of zero bytes does not block.
    if buffer.is_empty() {
        return Ok(0);
    }
    loop {
        match stream.read(buffer) {
            // A stream may claim more bytes than fit into the buffer, so its count is capped.
            Ok(bytes) => return Ok(buffer.len().min(bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
