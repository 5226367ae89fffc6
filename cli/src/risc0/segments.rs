//! The folder that takes a run's segments. It must not know who makes them.
//!
//! A folder holds the segments of one run: those of two would pass for one another's. A segment gets its name when it is
//! whole, and never that of another.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tachy::risc0::Segment;
use tachy::trace::SinkError;

use crate::failure::Failure;
use crate::output::beside;

/// What segments' files are called, before their number.
pub(crate) const SEGMENT_NAME: &str = "segment-";

/// A folder for segments, which has none.
pub(crate) struct Folder {
    path: PathBuf,
    /// Held as long as the run may write there.
    lock: Option<File>,
    next: u64,
}

impl Folder {
    /// Looks at a folder and touches nothing.
    ///
    /// # Errors
    /// If it has segments.
    pub(crate) fn claim(path: &Path) -> Result<Folder, Failure> {
        check(path)?;
        Ok(Folder { path: path.to_owned(), lock: None, next: 0 })
    }

    /// Makes the folder, and keeps other runs out of it.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        let refused = |error: io::Error| Failure::output(&self.path.display().to_string(), &error);
        fs::create_dir_all(&self.path).map_err(refused)?;
        let folder = File::open(&self.path).map_err(refused)?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let path = self.path.display();
                return Err(Failure::usage(&format!("another run is writing segments to {path}: name another folder")));
            }
            // Where folders cannot be locked, no segment replaces another's all the same.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        self.lock = Some(folder);
        check(&self.path)
    }

    /// Writes the next segment. A segment counts from 0 in each part of a session that paused, its file goes on counting.
    pub(super) fn write(&mut self, segment: &Segment) -> Result<(), SinkError> {
        let path = self.path.join(format!("{SEGMENT_NAME}{:08}.bin", self.next));
        let written = beside(&path, None).and_then(|(mut file, temporary)| {
            file.write_all(&segment.encode())?;
            temporary.persist_noclobber(&path).map_err(io::Error::from)
        });
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.next += 1;
        Ok(())
    }
}

/// Fails if there are segments.
fn check(path: &Path) -> Result<(), Failure> {
    let refused = |error: io::Error| Failure::output(&path.display().to_string(), &error);
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(refused)?,
    };
    for entry in entries {
        if entry.map_err(refused)?.file_name().as_encoded_bytes().starts_with(SEGMENT_NAME.as_bytes()) {
            let path = path.display();
            let message = format!("{path} has segments of an earlier run: remove them or name another folder");
            return Err(Failure::usage(&message));
        }
    }
    Ok(())
}
