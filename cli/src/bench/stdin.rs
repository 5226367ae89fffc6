//! The input of every run of a measurement, the same bytes each time. It must not know who reads them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::files::Input;
use crate::waiting::Waiting;

/// What is kept of an input that can be read only once.
const LIMIT_KEPT_BYTES: u64 = 1 << 30;

/// A file that can be opened again and again, or nothing.
pub(super) enum Stdin {
    Empty,
    File(PathBuf),
    /// A copy of what came through a pipe.
    Kept(NamedTempFile),
}

impl Stdin {
    /// Makes sure that this input can be read more than once.
    pub(super) fn new(input: Option<Input>) -> Result<Stdin, Failure> {
        let Some(input) = input else { return Ok(Stdin::Empty) };
        let path = input.path().to_owned();
        let refused = |error: io::Error| Failure::input("the input", &path, &error);
        let file = input.open()?;
        if path != Path::new("-") && file.metadata().map_err(refused)?.is_file() {
            return Ok(Stdin::File(path));
        }
        let mut kept = NamedTempFile::new().map_err(refused)?;
        let bytes = io::copy(&mut Waiting::new(file).take(LIMIT_KEPT_BYTES + 1), &mut kept).map_err(refused)?;
        if bytes > LIMIT_KEPT_BYTES {
            let limit = LIMIT_KEPT_BYTES >> 20;
            return Err(refused(io::Error::other(format!("more than {limit} MiB that can be read only once"))));
        }
        Ok(Stdin::Kept(kept))
    }

    /// Opens it at its beginning.
    pub(super) fn open(&self) -> Result<Option<File>, Failure> {
        let path = match self {
            Stdin::Empty => return Ok(None),
            Stdin::File(path) => path,
            Stdin::Kept(kept) => kept.path(),
        };
        File::open(path).map(Some).map_err(|error| Failure::input("the input", path, &error))
    }
}
