//! What a guest reads and writes, and where something of ours goes. It must not know who asks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use super::failure::Failure;
use super::progress::Progress;
use super::values::Target;
use super::waiting::{self, Waiting};

/// What a guest reads and writes.
pub(super) struct Streams {
    pub(super) stdin: Box<dyn Read + Send>,
    pub(super) stdout: Box<dyn Write + Send>,
    pub(super) stderr: Box<dyn Write + Send>,
    /// What its kernel says, where it has one.
    pub(super) kernel: Box<dyn Write + Send>,
    /// Whether what it writes elsewhere is dropped, too.
    pub(super) is_quiet: bool,
    /// Where its segments are counted.
    pub(super) progress: Progress,
}

impl Streams {
    /// No input, and output that is dropped.
    pub(super) fn none() -> Streams {
        Streams {
            stdin: Box::new(io::empty()),
            stdout: Box::new(io::sink()),
            stderr: Box::new(io::sink()),
            kernel: Box::new(io::sink()),
            is_quiet: true,
            progress: Progress::default(),
        }
    }
}

/// Opens something that the guest reads.
pub(super) fn open_input(path: &Path) -> Result<Waiting<File>, Failure> {
    let refused = |error: io::Error| Failure::input("the input", path, &error);
    let file = waiting::open(path).map_err(refused)?;
    // A folder can be opened, and fails only when it is read.
    match file.metadata().map_err(refused)?.is_dir() {
        true => Err(refused(io::ErrorKind::IsADirectory.into())),
        false => Ok(Waiting::new(file)),
    }
}

/// Opens something that takes what the guest writes.
pub(super) fn create_output(path: &Path) -> Result<Waiting<File>, Failure> {
    let file = waiting::create(path).map_err(|error| Failure::output(&path.display().to_string(), &error))?;
    Ok(Waiting::new(file))
}

/// Opens where something of ours goes, if anywhere.
pub(super) fn create(target: Target<'_>) -> Result<Option<File>, Failure> {
    match target {
        Target::Nowhere => Ok(None),
        Target::Stdout => stdout().map(Some),
        Target::File(path) => {
            let file = waiting::create(path);
            file.map(Some).map_err(|error| Failure::output(&path.display().to_string(), &error))
        }
    }
}

/// Standard input without a buffer: what a guest leaves there is for whoever reads next.
pub(super) fn stdin() -> Result<File, Failure> {
    let stream = io::stdin().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::input("the input", Path::new("-"), &error))
}

/// Standard output without a buffer: what a guest writes, it writes now.
pub(super) fn stdout() -> Result<File, Failure> {
    let stream = io::stdout().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard output", &error))
}

/// Says something on standard error. What nobody can read is not worth an error.
pub(super) fn say(text: &str) {
    if let Ok(stream) = stderr() {
        let _ = Waiting::new(stream).write_all(text.as_bytes());
    }
}

/// Standard error, likewise.
pub(super) fn stderr() -> Result<File, Failure> {
    let stream = io::stderr().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard error", &error))
}
