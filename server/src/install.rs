//! Puts a link named `r0vm` where hosts look for their server, and takes it away again. It never replaces or removes
//! anything but such links. This file must not know what the program behind the link does.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The name by which hosts know their server.
const LINK: &str = "r0vm";

/// The name of the program that the link leads to.
const PROGRAM: &str = "tachy";

/// The folder of a link among the extensions of RISC Zero's installer. A host looks there for its own version, then for
/// this one.
pub const RZUP_FOLDER: &str = "v3.0.0-cargo-risczero-tachy";

/// Why a link was not made or removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Something else has the link's name.
    #[error("{0} is not a link to {PROGRAM}, so it stays as it is; move it away, or choose another folder with --dir")]
    NotOurs(PathBuf),
    /// The system refuses.
    #[error("cannot {verb} {path}: {source}")]
    System {
        /// What was tried.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What stands where a link would be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A link to a program named `tachy`, which may be gone.
    Ours(PathBuf),
    Other,
}

/// Returns the link's place in a folder.
pub fn link_in(folder: &Path) -> PathBuf {
    folder.join(LINK)
}

/// Returns the folder of a link among the extensions of RISC Zero's installer.
pub fn rzup_folder(home: &Path) -> PathBuf {
    home.join("extensions").join(RZUP_FOLDER)
}

/// Makes a link to `program` in a folder, and the folder if it is missing. Returns whether anything has changed.
///
/// # Errors
/// Fails if something else has the link's name, or if the system refuses.
pub fn install(program: &Path, folder: &Path) -> Result<bool, InstallError> {
    let link = link_in(folder);
    match look(&link)? {
        Found::Other => return Err(InstallError::NotOurs(link)),
        Found::Ours(target) if target == program => return Ok(false),
        Found::Ours(_) | Found::Nothing => {}
    }
    fs::create_dir_all(folder).map_err(system("make the folder", folder))?;
    // A link takes its name when it is whole, so a host that looks meanwhile finds the old one or the new one.
    let beside = folder.join(format!(".{LINK}.{}", std::process::id()));
    symlink(program, &beside).map_err(system("make the link", &beside))?;
    fs::rename(&beside, &link).map_err(|source| {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
        InstallError::System { verb: "make the link", path: link.clone(), source }
    })?;
    Ok(true)
}

/// Removes the link in a folder. Returns whether there was one.
///
/// # Errors
/// Fails if something else has the link's name, or if the system refuses.
pub fn uninstall(folder: &Path) -> Result<bool, InstallError> {
    let link = link_in(folder);
    match look(&link)? {
        Found::Nothing => Ok(false),
        Found::Other => Err(InstallError::NotOurs(link)),
        Found::Ours(_) => {
            fs::remove_file(&link).map_err(system("remove", &link))?;
            if folder.ends_with(RZUP_FOLDER) {
                // It was made for the link. If the user has put something into it, it stays.
                let _ = fs::remove_dir(folder);
            }
            Ok(true)
        }
    }
}

fn look(link: &Path) -> Result<Found, InstallError> {
    match fs::symlink_metadata(link) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Found::Nothing)
        }
        Err(error) => Err(system("look at", link)(error)),
        Ok(metadata) if metadata.is_symlink() => {
            let target = fs::read_link(link).map_err(system("read", link))?;
            Ok(match target.file_name().is_some_and(|name| name == PROGRAM) {
                true => Found::Ours(target),
                false => Found::Other,
            })
        }
        Ok(_) => Ok(Found::Other),
    }
}

fn system(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.to_owned();
    move |source| InstallError::System { verb, path, source }
}
