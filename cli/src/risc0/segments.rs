//! The folder for the segments of a run. It must not know who produces them.
//!
//! A folder holds the segments of one run, since those of two runs could be confused. A segment appears under its name
//! only when it is complete, and never replaces another.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tachy::risc0::Segment;
use tachy::trace::SinkError;

use crate::failure::Failure;
use crate::output::beside;

/// The name of a segment file before its number.
pub(crate) const SEGMENT_NAME: &str = "segment-";

/// A folder without segments, to which a run writes segments.
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked while the run may write there.
    lock: Option<File>,
    next: u64,
}

impl Folder {
    /// Checks a folder without changing anything.
    ///
    /// # Errors
    /// If the folder has segments.
    pub(crate) fn claim(path: &Path) -> Result<Folder, Failure> {
        check(path)?;
        Ok(Folder { path: path.to_owned(), lock: None, next: 0 })
    }

    /// Creates the folder and locks it against other runs.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        let refused = |error: io::Error| Failure::output(&self.path.display().to_string(), &error);
        fs::create_dir_all(&self.path).map_err(refused)?;
        let folder = File::open(&self.path).map_err(refused)?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let path = self.path.display();
                return Err(Failure::usage(&format!("another run is writing segments to {path}; use another folder")));
            }
            // Even without locks, no segment replaces another one.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        self.lock = Some(folder);
        check(&self.path)
    }

    /// Writes the next segment. After a pause, the index inside a segment starts at 0 again, but file numbers continue.
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

/// Fails if the folder has segments.
fn check(path: &Path) -> Result<(), Failure> {
    let refused = |error: io::Error| Failure::output(&path.display().to_string(), &error);
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(refused)?,
    };
    for entry in entries {
        if entry.map_err(refused)?.file_name().as_encoded_bytes().starts_with(SEGMENT_NAME.as_bytes()) {
            let path = path.display();
            let message = format!("{path} has segments of an earlier run; remove them or use another folder");
            return Err(Failure::usage(&message));
        }
    }
    Ok(())
}
