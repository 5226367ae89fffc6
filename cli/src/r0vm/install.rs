//! `tachy r0vm install` and `uninstall`: put the link in place by which hosts find this program, and say what it takes
//! until they use it. It must not know where a host looks for its server beyond the three places that it names.

use std::path::{Path, PathBuf};

use clap::Args;
use tachy_r0vm::find::{home, of_version};
use tachy_r0vm::install::{self, link_in, rzup_folder};

/// Put a link named r0vm to this program where hosts find it
///
/// The link is ~/.local/bin/r0vm. Hosts find it if that folder comes first in PATH and rzup has no r0vm of their version,
/// or if RISC0_SERVER_PATH names it.
#[derive(Args)]
pub(super) struct Install {
    #[command(flatten)]
    place: Place,
}

/// Remove the link that install has made
#[derive(Args)]
pub(super) struct Uninstall {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Place {
    /// The folder of the link [default: ~/.local/bin]
    #[arg(long, value_name = "FOLDER", conflicts_with = "rzup")]
    dir: Option<PathBuf>,

    /// Among the extensions of rzup, in a folder of its own; hosts look there before they look in PATH
    #[arg(long)]
    rzup: bool,
}

impl Place {
    fn folder(&self) -> Result<PathBuf, String> {
        match (&self.dir, self.rzup) {
            (Some(folder), _) => std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display())),
            (None, true) => Ok(rzup_folder(&risc0_home()?)),
            (None, false) => {
                let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
                let home = home.ok_or("HOME is not set; name a folder with --dir")?;
                Ok(PathBuf::from(home).join(".local/bin"))
            }
        }
    }
}

fn risc0_home() -> Result<PathBuf, String> {
    home(&|name| std::env::var_os(name)).ok_or_else(|| "neither RISC0_HOME nor HOME is set".to_owned())
}

impl Install {
    pub(super) fn main(&self) -> Result<u8, String> {
        let folder = self.place.folder()?;
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let changed = install::install(&program, &folder).map_err(|error| error.to_string())?;
        let link = link_in(&folder);
        let did = if changed { "made the link" } else { "already there:" };
        let mut text = format!("{did} {} -> {}\n", link.display(), program.display());
        for line in self.advice(&folder, &link) {
            text += &format!("{line}\n");
        }
        crate::print(&text).map_err(|failure| failure.message)?;
        Ok(0)
    }

    /// Says what a host must be told, if anything.
    fn advice(&self, folder: &Path, link: &Path) -> Vec<String> {
        let by_variable = format!("export RISC0_SERVER_PATH={}", link.display());
        let mut lines = Vec::new();
        let servers: Vec<PathBuf> = risc0_home().map(|home| of_rzup(&home)).unwrap_or_default();
        if let Some(server) = servers.iter().find(|server| !server.starts_with(folder)) {
            lines.push(format!("rzup has an r0vm, which hosts of its version find before: {}", server.display()));
            lines.push(format!("they use the link with: {by_variable}"));
            return lines;
        }
        if self.place.rzup {
            lines.push("hosts with risc0-zkvm 3.0 find it now; no variable is needed".to_owned());
            return lines;
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = std::env::split_paths(&path).find(|folder| folder.join("r0vm").is_file());
        match first {
            Some(first) if first == folder => lines.push("it is the first r0vm in PATH, so hosts find it".to_owned()),
            Some(first) => {
                lines.push(format!("PATH leads to {} first; put {} before it", first.display(), folder.display()));
                lines.push(format!("or use: {by_variable}"));
            }
            None => lines.push(format!("{} is not in PATH; use: {by_variable}", folder.display())),
        }
        lines
    }
}

/// The servers of RISC Zero 3.0 that rzup has.
fn of_rzup(home: &Path) -> Vec<PathBuf> {
    (0..=9).flat_map(|patch| of_version(home, &format!("3.0.{patch}"))).collect()
}

impl Uninstall {
    pub(super) fn main(&self) -> Result<u8, String> {
        let folder = self.place.folder()?;
        let link = link_in(&folder);
        let removed = install::uninstall(&folder).map_err(|error| error.to_string())?;
        let text = match removed {
            true => format!("removed {}; hosts find RISC Zero's r0vm as before\n", link.display()),
            false => format!("there is no {}, so nothing was removed\n", link.display()),
        };
        crate::print(&text).map_err(|failure| failure.message)?;
        Ok(0)
    }
}
