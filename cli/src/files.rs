//! The files that a command names. They are compared before any of them is changed.
//!
//! Inputs are opened first. An output that is the same file as an input or as another output is refused, since writing it
//! would destroy the other one. Devices, pipes and sockets are exempt, since nothing in them can be overwritten. This
//! module must not know what is read or written.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::ahead::Ahead;
use crate::failure::Failure;
use crate::output::{Location, Output};
use crate::streams::open_input;
use crate::values::{InputPath, Target};

/// All files that a command has named so far, inputs first.
pub(crate) struct Files {
    known: Vec<Known>,
    /// The input that is standard input.
    stdin: Option<InputName>,
}

/// A file that the user named, or that a standard stream is open on.
struct Known {
    name: String,
    identity: Identity,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Input,
    Output,
    /// Standard output or standard error, which the shell opened.
    Stream,
}

/// What two names of the same file have in common.
#[derive(Clone, PartialEq, Eq)]
enum Identity {
    /// A regular file.
    File { device: u64, inode: u64 },
    /// A file that does not exist yet: its folder and its name there.
    New { device: u64, inode: u64, name: OsString },
    /// All files in a folder whose names start with a prefix.
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

/// What an input is, for messages.
#[derive(Debug, Clone)]
pub(crate) enum InputName {
    Program,
    /// The file of an option, such as `--stdin`.
    Option(String),
}

impl InputName {
    /// The input of this option.
    pub(crate) fn option(name: impl Into<String>) -> InputName {
        InputName::Option(name.into())
    }

    /// The input in a sentence about its file.
    fn noun(&self) -> &'static str {
        match self {
            InputName::Program => "the program",
            InputName::Option(_) => "the input",
        }
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputName::Program => "the program",
            InputName::Option(option) => option,
        })
    }
}

/// An input, with the file or the reason why it could not be opened.
pub(crate) struct Input {
    path: InputPath,
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

    /// Its path, as the user wrote it.
    pub(crate) fn path(&self) -> &InputPath {
        &self.path
    }
}

impl Files {
    /// Knows only the files that standard output and standard error are open on.
    pub(crate) fn new() -> Files {
        let mut files = Files { known: Vec::new(), stdin: None };
        let streams = [("standard output", io::stdout().as_fd().try_clone_to_owned())];
        let streams = streams.into_iter().chain([("standard error", io::stderr().as_fd().try_clone_to_owned())]);
        for (name, stream) in streams {
            // A closed stream is not a file that could be overwritten.
            if let Some(identity) =
                stream.and_then(|stream| File::from(stream).metadata()).ok().as_ref().and_then(Identity::of)
            {
                files.known.push(Known { name: name.to_owned(), identity, role: Role::Stream });
            }
        }
        files
    }

    /// Opens an input. A failure to open it is reported when the input is used.
    ///
    /// # Errors
    /// If standard output or standard error goes to the same file, or if two inputs read standard input.
    pub(crate) fn input(&mut self, name: InputName, path: &InputPath) -> Result<Input, Failure> {
        let opened = match path {
            InputPath::Stdin => self.stdin(&name)?,
            InputPath::File(path) => open_input(name.noun(), path),
        };
        let identity = match &opened {
            Ok(file) => file.metadata().ok().as_ref().and_then(Identity::of),
            // An output may create the file.
            Err(_) => Location::of(path.as_path()).ok().and_then(|location| identity_at(&location)),
        };
        if let InputPath::File(path) = path {
            let others = self.known.iter().filter(|known| known.role != Role::Input);
            refuse(&name.to_string(), path, identity.as_ref(), others)?;
        }
        self.known.extend(identity.map(|identity| Known { name: name.to_string(), identity, role: Role::Input }));
        Ok(Input { path: path.clone(), opened })
    }

    /// Standard input, which only one input may read.
    fn stdin(&mut self, name: &InputName) -> Result<Result<File, Failure>, Failure> {
        if let Some(other) = &self.stdin {
            return Err(Failure::usage(&format!(
                "{other} and {name} both read standard input; use a FILE for one of them"
            )));
        }
        self.stdin = Some(name.clone());
        let stream = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        Ok(stream.map_err(|error| Failure::input("standard input", Path::new("-"), &error)))
    }

    /// Adds our standard input, which the guest reads by default and which may be a file.
    pub(crate) fn standard_input(&mut self) {
        let stream = io::stdin().as_fd().try_clone_to_owned();
        let identity = stream.and_then(|stream| File::from(stream).metadata()).ok().as_ref().and_then(Identity::of);
        let name = "standard input".to_owned();
        self.known.extend(identity.map(|identity| Known { name, identity, role: Role::Input }));
    }

    /// Adds an output. Its file is not changed before it is opened.
    ///
    /// # Errors
    /// If it is the same file as an input or another output.
    pub(crate) fn output(&mut self, name: &str, target: Target<'_>) -> Result<Output, Failure> {
        let path = match target {
            Target::Nowhere => return Ok(Output::new(name, Location::Nowhere)),
            Target::Stdout => return Ok(Output::new(name, Location::Stdout)),
            Target::File(path) => path,
        };
        let location = Location::of(path);
        let identity = location.as_ref().ok().and_then(identity_at);
        refuse(name, path, identity.as_ref(), self.known.iter())?;
        self.known.extend(identity.map(|identity| Known { name: name.to_owned(), identity, role: Role::Output }));
        let shown = path.display().to_string();
        Ok(Output::new(&shown, location.unwrap_or_else(Location::Refused)))
    }

    /// Adds all files in a folder whose names start with a prefix as outputs.
    pub(crate) fn folder(&mut self, name: &str, folder: &Path, prefix: &'static str) {
        if let Ok(metadata) = fs::metadata(folder) {
            let identity = Identity::Prefix { device: metadata.dev(), inode: metadata.ino(), prefix };
            self.known.push(Known { name: name.to_owned(), identity, role: Role::Output });
        }
    }
}

/// The identity of the file at a place, if it is a regular file.
fn identity_at(location: &Location) -> Option<Identity> {
    match location {
        Location::File { old: Some(old), .. } => Identity::of(old),
        Location::File { path, old: None } => new_file(path).ok(),
        _ => None,
    }
}

/// The identity of a file that does not exist yet.
fn new_file(path: &Path) -> io::Result<Identity> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder)?;
    Ok(Identity::New { device: metadata.dev(), inode: metadata.ino(), name: name.to_owned() })
}

/// Fails if a file is one of the others.
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
        Role::Input => "it would be overwritten; write to another file",
        Role::Output | Role::Stream => "use a separate file for each",
    };
    Err(Failure::usage(&format!("{} and {name} are the same file, {path}: {advice}", other.name)))
}
