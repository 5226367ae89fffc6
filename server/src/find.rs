//! Finds RISC Zero's own `r0vm`, in the places where its hosts look for one, without this program. This file must not
//! know what it is wanted for.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The variable that names RISC Zero's server for requests that Tachy does not serve.
pub const SERVER_VARIABLE: &str = "TACHY_R0VM";

/// The variable by which a server that passes a request on marks its child, so that copies of Tachy do not call each
/// other for ever.
pub(crate) const PASSED_ON: &str = "TACHY_R0VM_PASSED_ON";

/// Why there is no server to pass a request on to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    /// There is none.
    #[error(
        "this needs RISC Zero's own r0vm, and there is none: install one (rzup install cargo-risczero 3.0.6), or name \
         one in {SERVER_VARIABLE}"
    )]
    NotFound,
    /// The variable names something else.
    #[error("{SERVER_VARIABLE} names {0}, which is not a file")]
    NotAFile(String),
    /// The program that was found is another copy of Tachy.
    #[error(
        "this needs RISC Zero's own r0vm, and what was found is Tachy again: name RISC Zero's in {SERVER_VARIABLE}"
    )]
    Circle,
}

/// Looks for RISC Zero's server for a client of this version. `variable` reads the environment.
///
/// # Errors
/// Fails if there is none.
pub fn find_server(version: &str, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoServer> {
    if variable(PASSED_ON).is_some() {
        return Err(NoServer::Circle);
    }
    if let Some(path) = variable(SERVER_VARIABLE).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return match path.is_file() {
            true => Ok(absolute(path)),
            false => Err(NoServer::NotAFile(path.display().to_string())),
        };
    }
    let ourselves = std::env::current_exe().ok().and_then(|path| identity(&path));
    let is_another = |path: &PathBuf| path.is_file() && identity(path) != ourselves;
    let named = variable("RISC0_SERVER_PATH").map(PathBuf::from);
    let installed = home(variable).map(|home| installed(&home, version)).unwrap_or_default();
    let in_path = variable("PATH").unwrap_or_default();
    // An empty entry means the current folder, where anybody may have put a program.
    let in_path =
        std::env::split_paths(&in_path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("r0vm"));
    named.into_iter().chain(installed).chain(in_path).find(is_another).map(absolute).ok_or(NoServer::NotFound)
}

/// Makes a path absolute: the system looks for a bare name in PATH, which may be another file.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Returns the folder of RISC Zero's installer. One that is not absolute would lead to the current folder, where anybody may
/// have put a program.
pub fn home(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = variable("RISC0_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".risc0"))).filter(|home| home.is_absolute())
}

/// Returns the servers that RISC Zero's installer has for a client, the exact version first.
fn installed(home: &Path, version: &str) -> Vec<PathBuf> {
    let first = version.rsplit_once('.').map(|(minor, _)| format!("{minor}.0"));
    let versions = [Some(version.to_owned()), first.filter(|first| first != version)];
    versions.into_iter().flatten().flat_map(|version| of_version(home, &version)).collect()
}

/// Returns the servers of one version, by name.
pub fn of_version(home: &Path, version: &str) -> Vec<PathBuf> {
    let begin = format!("v{version}-cargo-risczero-");
    let entries = fs::read_dir(home.join("extensions")).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&begin));
    let mut servers: Vec<PathBuf> =
        folders.map(|entry| entry.path().join("r0vm")).filter(|path| path.exists()).collect();
    servers.sort();
    servers
}

/// Identifies a file, whatever links lead to it.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
