//! Compiled code in a folder, a file for each key. Files are checked before anything in them is used, replaced as a
//! whole, and removed when all of them take too much space.
//!
//! ```text
//! file = magic (8)  key (32)  bytes of the content (u64)  BLAKE3 of the content (32)  content
//! ```
//!
//! Whoever may write such a file may have any code run: a checksum keeps out accidents, and no more than that. So a file
//! counts only if it and its folder belong to this user and nobody else may write them. It must not know what the
//! content means.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use super::key::Key;

/// The first bytes of a file; they change with the format.
const MAGIC: [u8; 8] = *b"tachyjc1";
const HEADER_BYTES: usize = 80;

/// The end of a file's name, behind the key.
const SUFFIX: &str = ".code";
/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 64;
/// The end of the name of a file that is being written.
const PARTIAL: &str = ".partial";
/// Age from which a file that is being written counts as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// The default of [`DiskCache::limit_bytes`].
const LIMIT_BYTES: u64 = 256 << 20;

/// Maximum number of problems remembered.
const PROBLEMS: usize = 16;

/// A folder with compiled code, for processes that run a program again: [`Builder::disk_cache`](crate::Builder::disk_cache).
///
/// Clones are the same cache. Nothing is an error: where the folder cannot be used, code is compiled as without it, and
/// [`DiskCache::problems`] says why.
///
/// A file is named by a hash over all that its code follows from: program, machine, level, options, processor, and the
/// build of Tachy. It is used only if its content is whole, and if file and folder belong to the user of this process
/// and nobody else may write them. **Whoever may write as this user may have any code run in this process.** Do not
/// share a folder between users, and do not take one from somebody else.
#[derive(Debug, Clone)]
pub struct DiskCache {
    folder: PathBuf,
    limit_bytes: u64,
    problems: Arc<Mutex<Vec<DiskCacheProblem>>>,
}

/// Why code on disk was not used or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskCacheProblem {
    /// The folder or a file in it belongs to another user, or others may write it.
    #[error("{} {what}; it is not used; make it yours alone, or name another folder", path.display())]
    Foreign {
        /// The folder or file.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// A file is not what was written. The next run that compiles something replaces it.
    #[error("{} is damaged: {what}; it is not used", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The fault.
        what: String,
    },
    /// The system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    System {
        /// What was refused, as a verb.
        what: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A file of a [`DiskCache`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskCacheFile {
    /// Its path.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// When it was last written or read.
    pub used: SystemTime,
}

impl DiskCache {
    /// Names a folder, which is created when there is something to write.
    pub fn new(folder: impl Into<PathBuf>) -> DiskCache {
        DiskCache { folder: folder.into(), limit_bytes: LIMIT_BYTES, problems: Arc::default() }
    }

    /// Sets how many bytes all files take together; the default is 256 MiB. When there are more, those that were not
    /// used for longest are removed.
    #[must_use]
    pub fn limit_bytes(mut self, bytes: u64) -> DiskCache {
        self.limit_bytes = bytes;
        self
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what went wrong since the last call, up to a bound.
    pub fn problems(&self) -> Vec<DiskCacheProblem> {
        std::mem::take(&mut *self.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the files, those first that were not used for longest. There are none if there is no folder.
    ///
    /// # Errors
    /// Fails if the folder cannot be read, or if its files are not to be used.
    pub fn files(&self) -> Result<Vec<DiskCacheFile>, DiskCacheProblem> {
        let Some(folder) = self.open()? else { return Ok(Vec::new()) };
        let found = folder.list()?.into_iter().filter(|found| !found.is_partial());
        Ok(found.map(|Found { name, bytes, used }| DiskCacheFile { path: folder.path(&name), bytes, used }).collect())
    }

    /// Removes all files and returns them. The folder stays, and so does everything else in it.
    ///
    /// # Errors
    /// Fails if the folder cannot be read, if it is not to be used, or if a file cannot be removed.
    pub fn clear(&self) -> Result<Vec<DiskCacheFile>, DiskCacheProblem> {
        let files = self.files()?;
        if let Some(folder) = self.open()? {
            for found in folder.list()? {
                folder.remove(&found.name)?;
            }
        }
        Ok(files)
    }

    /// Returns the content of the file for `key`, if there is one that may be used, and refreshes its time. It has at
    /// most `limit_bytes`.
    pub(crate) fn read(&self, key: &Key, limit_bytes: u64) -> Option<Content> {
        let read = || {
            let Some(folder) = self.open()? else { return Ok(None) };
            let limit_bytes = limit_bytes.saturating_add(HEADER_BYTES as u64).min(self.limit_bytes);
            let Some(bytes) = folder.read(&file_name(key), limit_bytes)? else { return Ok(None) };
            let damaged = |what: &str| folder.damaged(&file_name(key), what.to_owned());
            check(&bytes, key).map_err(damaged)?;
            Ok(Some(Content(bytes)))
        };
        read().unwrap_or_else(|problem| {
            self.note(problem);
            None
        })
    }

    /// Remembers that the content of the file for `key` was not as expected.
    pub(crate) fn note_damaged(&self, key: &Key, what: impl ToString) {
        self.note(DiskCacheProblem::Damaged { path: self.folder.join(file_name(key)), what: what.to_string() });
    }

    /// Writes the file for `key`, and removes others if all take too much space.
    pub(crate) fn write(&self, key: &Key, content: &[u8]) {
        let write = || {
            let bytes = (HEADER_BYTES + content.len()) as u64;
            if bytes > self.limit_bytes {
                return Ok(());
            }
            let Some(folder) = self.open_or_create()? else { return Ok(()) };
            folder.write(&file_name(key), &[&header(key, content), content])?;
            folder.shrink(self.limit_bytes, &file_name(key))
        };
        write().unwrap_or_else(|problem| self.note(problem));
    }

    fn note(&self, problem: DiskCacheProblem) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        // The same folder is opened to read and again to write.
        let is_known = problems.iter().any(|known| known.to_string() == problem.to_string());
        if problems.len() < PROBLEMS && !is_known {
            problems.push(problem);
        }
    }

    fn open_or_create(&self) -> Result<Option<Folder<'_>>, DiskCacheProblem> {
        if let Some(folder) = self.open()? {
            return Ok(Some(folder));
        }
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        created.map_err(|source| system("create", &self.folder, source))?;
        self.open()
    }

    /// Opens the folder, if it exists.
    fn open(&self) -> Result<Option<Folder<'_>>, DiskCacheProblem> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = match rustix::fs::open(&self.folder, flags, Mode::empty()) {
            Ok(descriptor) => descriptor,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(system("open", &self.folder, error)),
        };
        let stat = rustix::fs::fstat(&descriptor).map_err(|error| system("look at", &self.folder, error))?;
        check_owner(&self.folder, &stat)?;
        Ok(Some(Folder { path: &self.folder, descriptor }))
    }
}

/// The content of a file that was checked: it is whole, it is of its key, and only this user can have written it.
pub(crate) struct Content(Vec<u8>);

impl Content {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.get(HEADER_BYTES..).unwrap_or_default()
    }
}

/// The open folder. What was checked of it holds for all that is opened through its descriptor.
struct Folder<'a> {
    path: &'a Path,
    descriptor: OwnedFd,
}

/// A file that this cache wrote.
struct Found {
    name: String,
    bytes: u64,
    used: SystemTime,
}

impl Found {
    fn is_partial(&self) -> bool {
        self.name.ends_with(PARTIAL)
    }

    fn is_left_behind(&self) -> bool {
        self.is_partial() && self.used.elapsed().is_ok_and(|age| age > LEFT_BEHIND)
    }
}

impl Folder<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn damaged(&self, name: &str, what: String) -> DiskCacheProblem {
        DiskCacheProblem::Damaged { path: self.path(name), what }
    }

    /// Reads a file that is not larger than this, and refreshes its time.
    fn read(&self, name: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, DiskCacheProblem> {
        // Without NONBLOCK, a pipe of this name would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(foreign(&self.path(name), "is a symbolic link")),
            Err(error) => return Err(system("open", &self.path(name), error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| system("look at", &self.path(name), error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(foreign(&self.path(name), "is not a file"));
        }
        check_owner(&self.path(name), &stat)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > limit_bytes {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let read = (&file).take(size).read_to_end(&mut bytes);
        read.map_err(|source| system("read", &self.path(name), source))?;
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // A time that stays old costs the file its place, and nothing else.
        let _ = rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now });
        Ok(Some(bytes))
    }

    /// Writes a file under another name and then gives it its own, so that nobody reads a part of it.
    fn write(&self, name: &str, parts: &[&[u8]]) -> Result<(), DiskCacheProblem> {
        // Containers that share a folder have the same process numbers, so those do not tell writers apart.
        let random = RandomState::new().hash_one(name);
        let partial = format!("{name}.{random:016x}{PARTIAL}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.descriptor, &*partial, flags, Mode::RUSR | Mode::WUSR);
        let mut file = opened.map(File::from).map_err(|error| system("create", &self.path(&partial), error))?;
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        let written = written.map_err(|source| system("write", &self.path(&partial), source)).and_then(|()| {
            let renamed = rustix::fs::renameat(&self.descriptor, &*partial, &self.descriptor, name);
            renamed.map_err(|error| system("rename", &self.path(&partial), error))
        });
        if written.is_err() {
            let _ = self.remove(&partial);
        }
        written
    }

    /// Removes the files that were not used for longest until all take at most `limit_bytes`, but not the file `kept`.
    fn shrink(&self, limit_bytes: u64, kept: &str) -> Result<(), DiskCacheProblem> {
        let files = self.list()?;
        let mut bytes: u64 = files.iter().map(|found| found.bytes).sum();
        for found in files {
            let is_too_much = bytes > limit_bytes && !found.is_partial() && found.name != kept;
            if is_too_much || found.is_left_behind() {
                self.remove(&found.name)?;
                bytes -= found.bytes;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskCacheProblem> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            // Another process was faster.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(system("remove", &self.path(name), error)),
        }
    }

    /// Returns the files that a cache wrote, those first that were not used for longest.
    fn list(&self) -> Result<Vec<Found>, DiskCacheProblem> {
        let failed = |error: Errno| system("read", self.path, error);
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let Some(name) = name.to_str().filter(|name| is_of_cache(name)) else { continue };
            // It may be gone by now.
            let Ok(stat) = rustix::fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let since = Duration::new(stat.st_mtime.try_into().unwrap_or(0), stat.st_mtime_nsec as u32);
            let bytes = u64::try_from(stat.st_size).unwrap_or(0);
            found.push(Found { name: name.to_owned(), bytes, used: UNIX_EPOCH + since });
        }
        found.sort_by(|one, next| (one.used, &one.name).cmp(&(next.used, &next.name)));
        Ok(found)
    }
}

fn file_name(key: &Key) -> String {
    format!("{key}{SUFFIX}")
}

/// Returns whether a file of this name is a cache's, whole or partial.
fn is_of_cache(name: &str) -> bool {
    let is_key = |digits: &str| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let Some((key, rest)) = name.split_at_checked(KEY_DIGITS) else { return false };
    let rest = rest.strip_prefix(SUFFIX).filter(|_| is_key(key));
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && rest.ends_with(PARTIAL)))
}

fn header(key: &Key, content: &[u8]) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(key.0);
    header.extend((content.len() as u64).to_le_bytes());
    header.extend(blake3::hash(content).as_bytes());
    header
}

/// Checks that these are the bytes of a whole file for `key`.
fn check(bytes: &[u8], key: &Key) -> Result<(), &'static str> {
    let (found, content) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is too short")?;
    let expected = header(key, content);
    // Magic, key, size, checksum.
    let is_same = |from: usize, to: usize| found.get(from..to) == expected.get(from..to);
    match () {
        () if !is_same(0, 8) => Err("it does not begin as such a file does"),
        () if !is_same(8, 40) => Err("it is for another key"),
        () if !is_same(40, 48) => Err("it does not have the size that it says"),
        () if !is_same(48, HEADER_BYTES) => Err("its checksum is not that of its content"),
        () => Ok(()),
    }
}

/// Checks that a file or folder belongs to this user and that nobody else may write it.
fn check_owner(path: &Path, stat: &Stat) -> Result<(), DiskCacheProblem> {
    let own = rustix::process::geteuid().as_raw();
    let mode = stat.st_mode & 0o7777;
    if stat.st_uid != own {
        return Err(foreign(path, format!("belongs to user {}, and this process runs as user {own}", stat.st_uid)));
    }
    if mode & 0o022 != 0 {
        return Err(foreign(path, format!("may be written by other users (mode {mode:o})")));
    }
    Ok(())
}

fn foreign(path: &Path, what: impl Into<String>) -> DiskCacheProblem {
    DiskCacheProblem::Foreign { path: path.to_owned(), what: what.into() }
}

fn system(what: &'static str, path: &Path, source: impl Into<io::Error>) -> DiskCacheProblem {
    DiskCacheProblem::System { what, path: path.to_owned(), source: source.into() }
}
