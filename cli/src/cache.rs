//! `tachy cache`: shows and clears the native code that runs have left on disk, and says where that is.
//!
//! It must not know what is in the files.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tachy::jit::{DiskCache, DiskCacheFile, DiskCacheProblem};

use crate::failure::Failure;
use crate::help::{Scope, help};
use crate::streams::say;
use crate::text::{count, grouped};

const EXAMPLES: &str = "  tachy cache
  tachy cache clear
  TACHY_CACHE_DIR=/tmp/code tachy run guests/bin/sha256.elf
";

/// Show or clear the native code that runs have kept
///
/// `tachy run` keeps native code in the folder TACHY_CACHE_DIR; by default this is XDG_CACHE_HOME/tachy or ~/.cache/tachy.
/// If TACHY_CACHE_DIR is empty, no code is kept. All files together take at most 256 MiB, and those that were not used for
/// longest are removed first.
#[derive(Args)]
#[command(after_long_help = help(Scope::Cache, EXAMPLES))]
pub(crate) struct Cache {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand, Clone, Copy)]
enum Action {
    /// List the files, those first that were not used for longest (the default)
    Show,
    /// Remove all files
    Clear,
}

impl Cache {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let Some(folder) = folder() else {
            crate::print("no folder: TACHY_CACHE_DIR is empty, or neither it nor XDG_CACHE_HOME nor HOME is set\n")?;
            return Ok(0);
        };
        let cache = DiskCache::new(folder);
        let text = match self.action {
            None | Some(Action::Show) => shown(cache.folder(), &cache.files().map_err(failure)?),
            Some(Action::Clear) => {
                let files = cache.clear().map_err(failure)?;
                format!("removed {} from {}\n", total(&files), cache.folder().display())
            }
        };
        crate::print(&text)?;
        Ok(0)
    }
}

fn failure(problem: DiskCacheProblem) -> Failure {
    Failure::cache(&problem)
}

fn total(files: &[DiskCacheFile]) -> String {
    let bytes = files.iter().map(|file| file.bytes).sum();
    format!("{} with {}", count(files.len() as u64, "file"), count(bytes, "byte"))
}

fn shown(folder: &Path, files: &[DiskCacheFile]) -> String {
    let mut text = format!("{}: {}\n", folder.display(), total(files));
    for file in files {
        let name = file.path.file_name().unwrap_or_default().display();
        let age = file.used.elapsed().unwrap_or(Duration::ZERO).as_secs();
        let (number, unit) = match age {
            0..60 => (age, "second"),
            60..3600 => (age / 60, "minute"),
            3600..86_400 => (age / 3600, "hour"),
            _ => (age / 86_400, "day"),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name} {:>12} bytes, used {} ago", grouped(file.bytes), count(number, unit));
    }
    text
}

/// The folder for native code; none if the environment names none.
pub(crate) fn folder() -> Option<PathBuf> {
    folder_in(|name| std::env::var_os(name))
}

/// The folder in an environment.
fn folder_in(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folder) = variable("TACHY_CACHE_DIR") {
        return (!folder.is_empty()).then(|| folder.into());
    }
    // The specification of XDG says that relative paths are to be ignored.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    caches.map(|caches| caches.join("tachy"))
}

/// Says why code on disk was not used. What the system refuses is said only on request: a process without a home is no
/// surprise to anybody.
pub(crate) fn tell(cache: Option<&DiskCache>, wants_all: bool) {
    for problem in cache.iter().flat_map(|cache| cache.problems()) {
        if wants_all || !matches!(problem, DiskCacheProblem::System { .. }) {
            say(&format!("tachy: code on disk: {problem}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_folder() {
        let folder = |variables: &[(&str, &str)]| {
            let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            folder_in(value).map(|path| path.display().to_string())
        };
        let of = |path: &str| Some(path.to_owned());
        assert_eq!(folder(&[]), None);
        assert_eq!(folder(&[("HOME", "/h")]), of("/h/.cache/tachy"));
        assert_eq!(folder(&[("HOME", "h")]), None);
        assert_eq!(folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), of("/x/tachy"));
        assert_eq!(folder(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]), of("/h/.cache/tachy"));
        assert_eq!(folder(&[("XDG_CACHE_HOME", "/x"), ("TACHY_CACHE_DIR", "t")]), of("t"));
        assert_eq!(folder(&[("HOME", "/h"), ("TACHY_CACHE_DIR", "")]), None);
    }
}
