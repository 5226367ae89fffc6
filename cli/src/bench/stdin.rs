//! The input of the measured runs, the same bytes for each. It must not know which program reads them.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::files::Input;
use crate::values::InputPath;
use crate::waiting::Waiting;

/// The largest copy of an input that can be read only once.
const LIMIT_KEPT_BYTES: u64 = 1 << 30;

/// A file that can be opened repeatedly, or nothing.
pub(super) enum Stdin {
    Empty,
    File(PathBuf),
    /// A copy of the bytes from a pipe.
    Kept(NamedTempFile),
}

impl Stdin {
    /// Copies the input if it can be read only once.
    pub(super) fn new(input: Option<Input>) -> Result<Stdin, Failure> {
        let Some(input) = input else { return Ok(Stdin::Empty) };
        let source = input.path().clone();
        let path = source.as_path().to_owned();
        let refused = |error: io::Error| Failure::input("the input", &path, &error);
        let file = input.open()?;
        if source != InputPath::Stdin && file.metadata().map_err(refused)?.is_file() {
            return Ok(Stdin::File(path));
        }
        let mut kept = NamedTempFile::new().map_err(refused)?;
        let bytes = io::copy(&mut Waiting::new(file).take(LIMIT_KEPT_BYTES + 1), &mut kept).map_err(refused)?;
        if bytes > LIMIT_KEPT_BYTES {
            let limit = LIMIT_KEPT_BYTES >> 20;
            return Err(refused(io::Error::other(format!(
                "the input can be read only once and is larger than {limit} MiB"
            ))));
        }
        Ok(Stdin::Kept(kept))
    }

    /// Opens the input at its start.
    pub(super) fn open(&self) -> Result<Option<File>, Failure> {
        let path = match self {
            Stdin::Empty => return Ok(None),
            Stdin::File(path) => path,
            Stdin::Kept(kept) => kept.path(),
        };
        File::open(path).map(Some).map_err(|error| Failure::input("the input", path, &error))
    }
}
