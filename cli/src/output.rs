//! An output of a command, which appears under its name only when it is complete.
//!
//! A regular file is written under a temporary name in the same folder, and renamed when the command ends. Until then an
//! older file keeps the name, and a failed write leaves nothing behind. Devices, pipes and sockets are written directly.
//! This module must not know what is written.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempPath;

use crate::failure::Failure;
use crate::streams::{stderr, stdout};
use crate::waiting::{self, Waiting};

/// Maximum number of symbolic links to follow, as in Linux.
const LINKS: usize = 40;

/// Where an output goes.
pub(crate) enum Location {
    Nowhere,
    Stdout,
    /// A device, a pipe or a socket.
    Device(PathBuf),
    /// One of our own descriptors and its number.
    Descriptor(PathBuf, u32),
    /// A regular file, and the metadata of the file that it replaces.
    File {
        path: PathBuf,
        old: Option<Metadata>,
    },
    /// A path that cannot be written.
    Refused(io::Error),
}

impl Location {
    /// The place that a path leads to through all symbolic links.
    pub(crate) fn of(path: &Path) -> io::Result<Location> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            if let Some(number) = descriptor(&path) {
                return Ok(Location::Descriptor(path, number));
            }
            // A link to a pipe of another process has no further name.
            if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
                return Ok(Location::Device(path));
            }
            match fs::read_link(&path) {
                Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
                Err(_) => return Location::of_file(path),
            }
        }
        // There are too many links, which the system reports.
        Location::of_file(path)
    }

    fn of_file(path: PathBuf) -> io::Result<Location> {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) => Ok(Location::File { path, old: Some(metadata) }),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Err(_) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Err(ErrorKind::IsADirectory.into()),
            Err(_) => Ok(Location::File { path, old: None }),
        }
    }
}

/// The number of the descriptor that a path names. The file behind it has another path and is not replaced.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdin" => Some(0),
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        text => text.strip_prefix("/dev/fd/").or_else(|| text.strip_prefix("/proc/self/fd/"))?.parse().ok(),
    }
}

/// An output: claimed, then open, then committed. If it is dropped earlier, no file is left.
pub(crate) struct Output {
    name: String,
    location: Location,
    temporary: Option<TempPath>,
    /// A write to it failed.
    torn: Arc<AtomicBool>,
}

impl Output {
    pub(crate) fn new(name: &str, location: Location) -> Output {
        Output { name: name.to_owned(), location, temporary: None, torn: Arc::default() }
    }

    /// Opens it, if it goes anywhere.
    pub(crate) fn open_if_wanted(&mut self) -> Result<Option<Writer>, Failure> {
        self.is_wanted().then(|| self.open()).transpose()
    }

    /// Opens it. A regular file is a new one, in the folder of the one that it replaces.
    pub(crate) fn open(&mut self) -> Result<Writer, Failure> {
        let file = match &self.location {
            Location::Stdout | Location::Descriptor(_, 1) => stdout()?,
            Location::Descriptor(_, 2) => stderr()?,
            Location::Descriptor(path, _) => self.told(OpenOptions::new().append(true).open(path))?,
            Location::Device(path) => self.told(waiting::create(path))?,
            Location::Refused(error) => return Err(Failure::output(&self.name, error)),
            Location::File { path, old } => {
                let (file, temporary) = self.told(beside(path, old.as_ref()))?;
                self.temporary = Some(temporary);
                file
            }
            Location::Nowhere => return Err(Failure::output(&self.name, &ErrorKind::NotFound.into())),
        };
        Ok(Writer { file: Arc::new(Waiting::new(file)), torn: Arc::clone(&self.torn) })
    }

    fn told<T>(&self, result: io::Result<T>) -> Result<T, Failure> {
        result.map_err(|error| Failure::output(&self.name, &error))
    }

    /// Whether the output goes anywhere.
    pub(crate) fn is_wanted(&self) -> bool {
        !matches!(self.location, Location::Nowhere)
    }

    /// Whether it is our standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.location, Location::Stdout)
    }

    /// Whether it is an open file of our own, in which one may seek.
    pub(crate) fn is_file(&self) -> bool {
        self.temporary.is_some()
    }

    /// Gives a regular file its name. If a write to it failed, removes it instead, and the older file keeps the name. The
    /// writer has reported that failure.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let (Some(temporary), Location::File { path, .. }) = (self.temporary.take(), &self.location) else {
            return Ok(());
        };
        if self.torn.load(Ordering::Relaxed) {
            return Ok(());
        }
        temporary.persist(path).map_err(|refused| {
            // The file is kept, since it may be the work of hours.
            let kept = match refused.path.keep() {
                Ok(kept) => format!("; it is in {}", kept.display()),
                Err(_) => String::new(),
            };
            Failure::output(&self.name, &io::Error::other(format!("{}{kept}", refused.error)))
        })
    }
}

/// A new file in the folder of `path`, with the owner and the mode of the file that it will replace.
pub(crate) fn beside(path: &Path, old: Option<&Metadata>) -> io::Result<(File, TempPath)> {
    if old.is_some() {
        // Fails if the user may not write the old file.
        OpenOptions::new().write(true).open(path)?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // The umask applies, as for any new file.
    builder.prefix(".tachy-").suffix(".partial").permissions(Permissions::from_mode(0o666));
    let (file, temporary) = builder.tempfile_in(folder).map_err(plain)?.into_parts();
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            // Without the permission to change owners, the user owns the new file.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        file.set_permissions(old.permissions())?;
    }
    Ok((file, temporary))
}

/// The system's own error, without the temporary name that the user did not choose.
fn plain(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>()?.raw_os_error());
    inner.map_or(error, io::Error::from_raw_os_error)
}

/// Writes to an output. Clones share one position.
#[derive(Clone)]
pub(crate) struct Writer {
    file: Arc<Waiting<File>>,
    torn: Arc<AtomicBool>,
}

impl Writer {
    /// The file behind the output.
    pub(crate) fn file(&self) -> &File {
        self.file.get_ref()
    }

    fn watched<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
            self.torn.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.watched(self.file.lent().write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.watched(self.file.lent().flush())
    }
}

impl Seek for Writer {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.watched(self.file.lent().seek(position))
    }
}
