//! What a guest reads and writes. It must not know who asks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::risc0::segments::Folder;
use crate::waiting::{self, Waiting};

/// A descriptor that a guest reads, and one that it writes.
pub(crate) type Source = (u32, Box<dyn Read + Send>);
pub(crate) type Sink = (u32, Box<dyn Write + Send>);

/// What a guest reads and writes.
pub(crate) struct Streams {
    pub(crate) stdin: Box<dyn Read + Send>,
    pub(crate) stdout: Box<dyn Write + Send>,
    pub(crate) stderr: Box<dyn Write + Send>,
    /// What its kernel says, where it has one.
    pub(crate) kernel: Box<dyn Write + Send>,
    /// More descriptors, of a guest on machine `r0vm`.
    pub(crate) read_fd: Vec<Source>,
    pub(crate) write_fd: Vec<Sink>,
    /// Where its segments go, if they are wanted.
    pub(crate) segments: Option<Folder>,
    /// Where its segments are counted.
    pub(crate) progress: Progress,
}

impl Streams {
    /// No input, and output that is dropped.
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

/// Opens something that the guest reads.
/// Nothing is waited for: a named pipe whose writer is still to come is waited for where it is read.
pub(crate) fn open_input(what: &str, path: &Path) -> Result<File, Failure> {
    let refused = |error: io::Error| Failure::input(what, path, &error);
    let file = waiting::open(path).map_err(refused)?;
    // A folder can be opened, and fails only when it is read.
    match file.metadata().map_err(refused)?.is_dir() {
        true => Err(refused(io::ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

/// Standard input without a buffer: what a guest leaves there is for whoever reads next.
pub(crate) fn stdin() -> Result<File, Failure> {
    let stream = io::stdin().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::input("the input", Path::new("-"), &error))
}

/// Standard output without a buffer: what a guest writes, it writes now.
pub(crate) fn stdout() -> Result<File, Failure> {
    let stream = io::stdout().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard output", &error))
}

/// Says something on standard error. What nobody can read is not worth an error.
pub(crate) fn say(text: &str) {
    if let Ok(stream) = stderr() {
        let _ = Waiting::new(stream).write_all(text.as_bytes());
    }
}

/// Standard error, likewise.
pub(crate) fn stderr() -> Result<File, Failure> {
    let stream = io::stderr().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard error", &error))
}
