//! The files that a command names, compared before any of them is touched.
//!
//! Inputs are opened first. An output that is the same file as an input or as another output is refused: writing it would
//! destroy what is to be read, or what was just written. Devices, pipes and sockets are exempt, since nothing in them can
//! be overwritten. It must not know what is read or written.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ahead::Ahead;
use crate::failure::Failure;
use crate::output::{Output, Place};
use crate::streams::open_input;
use crate::values::Target;

/// All files that a command has named so far. Inputs come first.
pub(crate) struct Files {
    known: Vec<Known>,
    /// The option that reads standard input.
    stdin: Option<String>,
}

/// A file that somebody named, or that a standard stream goes to.
struct Known {
    name: String,
    identity: Identity,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Input,
    Output,
    /// Standard output or standard error, which a shell has opened.
    Stream,
}

/// What two names of the same file have in common.
#[derive(Clone, PartialEq, Eq)]
enum Identity {
    /// A regular file.
    File { device: u64, inode: u64 },
    /// A file that does not exist yet: its folder, and its name there.
    New { device: u64, inode: u64, name: OsString },
    /// All files in a folder whose names begin with this.
    Prefix { device: u64, inode: u64, prefix: &'static str },
}

impl Identity {
    fn of(metadata: &Metadata) -> Option<Identity> {
        metadata.is_file().then(|| Identity::File { device: metadata.dev(), inode: metadata.ino() })
    }

    fn is_same(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Prefix { device, inode, prefix }, Identity::New { device: d, inode: i, name })
            | (Identity::New { device: d, inode: i, name }, Identity::Prefix { device, inode, prefix }) => {
                (device, inode) == (d, i) && name.as_encoded_bytes().starts_with(prefix.as_bytes())
            }
            _ => self == other,
        }
    }
}

/// Something to read, which was tried to open.
pub(crate) struct Input {
    path: PathBuf,
    opened: Result<File, Failure>,
}

impl Input {
    /// The file.
    pub(crate) fn open(self) -> Result<File, Failure> {
        self.opened
    }

    /// The file as a guest reads it.
    pub(crate) fn stream(self) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(Box::new(Ahead::new(self.opened?)))
    }

    /// Its name, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Files {
    /// None yet but where our own streams go.
    pub(crate) fn new() -> Files {
        let mut files = Files { known: Vec::new(), stdin: None };
        let streams = [("standard output", io::stdout().as_fd().try_clone_to_owned())];
        let streams = streams.into_iter().chain([("standard error", io::stderr().as_fd().try_clone_to_owned())]);
        for (name, stream) in streams {
            // A stream that is closed is no file that could be lost.
            if let Some(identity) =
                stream.and_then(|stream| File::from(stream).metadata()).ok().as_ref().and_then(Identity::of)
            {
                files.known.push(Known { name: name.to_owned(), identity, role: Role::Stream });
            }
        }
        files
    }

    /// Opens something to read; `-` is standard input. Whether that failed is told when it is used.
    ///
    /// # Errors
    /// If standard output or standard error goes to the same file, or standard input is read twice.
    pub(crate) fn input(&mut self, name: &str, path: &Path) -> Result<Input, Failure> {
        let opened = match path.as_os_str() == "-" {
            true => self.stdin(name)?,
            false if name.starts_with("--") => open_input("the input", path),
            false => open_input(name, path),
        };
        let identity = match &opened {
            Ok(file) => file.metadata().ok().as_ref().and_then(Identity::of),
            // It may be what an output is going to make.
            Err(_) => Place::of(path).ok().and_then(|place| identity_at(&place)),
        };
        if path.as_os_str() != "-" {
            let others = self.known.iter().filter(|known| known.role != Role::Input);
            refuse(name, path, identity.as_ref(), others)?;
        }
        self.known.extend(identity.map(|identity| Known { name: name.to_owned(), identity, role: Role::Input }));
        Ok(Input { path: path.to_owned(), opened })
    }

    /// Standard input for this option alone.
    fn stdin(&mut self, name: &str) -> Result<Result<File, Failure>, Failure> {
        if let Some(other) = &self.stdin {
            return Err(Failure::usage(&format!("{other} and {name} both read standard input: give one a FILE")));
        }
        self.stdin = Some(name.to_owned());
        let stream = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        Ok(stream.map_err(|error| Failure::input("standard input", Path::new("-"), &error)))
    }

    /// What the guest reads where nothing else is named: its own input may be a file, too.
    pub(crate) fn standard_input(&mut self) {
        let stream = io::stdin().as_fd().try_clone_to_owned();
        let identity = stream.and_then(|stream| File::from(stream).metadata()).ok().as_ref().and_then(Identity::of);
        let name = "standard input".to_owned();
        self.known.extend(identity.map(|identity| Known { name, identity, role: Role::Input }));
    }

    /// Something to write, which is not touched before it is opened.
    ///
    /// # Errors
    /// If it is the same file as an input or another output.
    pub(crate) fn output(&mut self, name: &str, target: Target<'_>) -> Result<Output, Failure> {
        let path = match target {
            Target::Nowhere => return Ok(Output::new(name, Place::Nowhere)),
            Target::Stdout => return Ok(Output::new(name, Place::Stdout)),
            Target::File(path) => path,
        };
        let place = Place::of(path);
        let identity = place.as_ref().ok().and_then(identity_at);
        refuse(name, path, identity.as_ref(), self.known.iter())?;
        self.known.extend(identity.map(|identity| Known { name: name.to_owned(), identity, role: Role::Output }));
        let shown = path.display().to_string();
        Ok(Output::new(&shown, place.unwrap_or_else(Place::Refused)))
    }

    /// All files in a folder whose names begin with this are outputs.
    pub(crate) fn folder(&mut self, name: &str, folder: &Path, prefix: &'static str) {
        if let Ok(metadata) = fs::metadata(folder) {
            let identity = Identity::Prefix { device: metadata.dev(), inode: metadata.ino(), prefix };
            self.known.push(Known { name: name.to_owned(), identity, role: Role::Output });
        }
    }
}

/// The file there, if it is a regular one.
fn identity_at(place: &Place) -> Option<Identity> {
    match place {
        Place::File { old: Some(old), .. } => Identity::of(old),
        Place::File { path, old: None } => new_file(path).ok(),
        _ => None,
    }
}

/// A name that is free: that of its folder, and its own.
fn new_file(path: &Path) -> io::Result<Identity> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder)?;
    Ok(Identity::New { device: metadata.dev(), inode: metadata.ino(), name: name.to_owned() })
}

/// Fails if this file is one of the others.
fn refuse<'a>(
    name: &str,
    path: &Path,
    identity: Option<&Identity>,
    others: impl IntoIterator<Item = &'a Known>,
) -> Result<(), Failure> {
    let same = |other: &&Known| identity.is_some_and(|identity| identity.is_same(&other.identity));
    let Some(other) = others.into_iter().find(same) else { return Ok(()) };
    let path = path.display();
    let advice = match other.role {
        Role::Input => "it would be overwritten, write to another file",
        Role::Output | Role::Stream => "give each a file of its own",
    };
    Err(Failure::usage(&format!("{} and {name} are the same file, {path}: {advice}", other.name)))
}
