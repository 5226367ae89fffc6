//! The streams that a guest reads and writes. It must not know which guest uses them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::risc0::segments::Folder;
use crate::waiting::{self, Waiting};

/// A descriptor that a guest reads, and a descriptor that it writes.
pub(crate) type Source = (u32, Box<dyn Read + Send>);
pub(crate) type Sink = (u32, Box<dyn Write + Send>);

/// Where the guest's standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestStdout {
    /// To our standard output.
    Stdout,
    /// To our standard error, since a result of ours goes to standard output.
    Stderr,
}

/// The streams of a guest.
pub(crate) struct Streams {
    pub(crate) stdin: Box<dyn Read + Send>,
    pub(crate) stdout: Box<dyn Write + Send>,
    pub(crate) stderr: Box<dyn Write + Send>,
    /// The output of its kernel, if it has one.
    pub(crate) kernel: Box<dyn Write + Send>,
    /// More descriptors, on machine `r0vm`.
    pub(crate) read_fd: Vec<Source>,
    pub(crate) write_fd: Vec<Sink>,
    /// The folder for its segments, if the user wants them.
    pub(crate) segments: Option<Folder>,
    /// Counts its segments.
    pub(crate) progress: Progress,
}

impl Streams {
    /// No input, and all output dropped.
    pub(crate) fn none() -> Streams {
        Streams {
            stdin: Box::new(io::empty()),
            stdout: Box::new(io::sink()),
            stderr: Box::new(io::sink()),
            kernel: Box::new(io::sink()),
            read_fd: Vec::new(),
            write_fd: Vec::new(),
            segments: None,
            progress: Progress::default(),
        }
    }
}

/// Opens an input without waiting. Reading a named pipe waits for its writer.
pub(crate) fn open_input(what: &str, path: &Path) -> Result<File, Failure> {
    let refused = |error: io::Error| Failure::input(what, path, &error);
    let file = waiting::open(path).map_err(refused)?;
    // The system opens a folder, and fails only when it is read.
    match file.metadata().map_err(refused)?.is_dir() {
        true => Err(refused(io::ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

/// Standard input without a buffer. What a guest does not read stays there for the next reader.
pub(crate) fn stdin() -> Result<File, Failure> {
    let stream = io::stdin().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::input("the input", Path::new("-"), &error))
}

/// Standard output without a buffer, so that a guest's output appears immediately.
pub(crate) fn stdout() -> Result<File, Failure> {
    let stream = io::stdout().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard output", &error))
}

/// Prints a message on standard error. A failure to print it is ignored.
pub(crate) fn say(text: &str) {
    if let Ok(stream) = stderr() {
        let _ = Waiting::new(stream).write_all(text.as_bytes());
    }
}

/// Standard error without a buffer.
pub(crate) fn stderr() -> Result<File, Failure> {
    let stream = io::stderr().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard error", &error))
}
