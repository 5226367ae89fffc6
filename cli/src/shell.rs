//! Completions for shells and pages for `man`, generated from the definition of the command line.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;

/// Print a shell's completion script
#[derive(Args)]
#[command(after_long_help = "Examples:\n  tachy completions bash > tachy.bash\n  tachy completions zsh > _tachy\n")]
pub(crate) struct Completions {
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tachy", &mut script);
        crate::print(&String::from_utf8_lossy(&script)).map(|()| 0)
    }
}

/// Write man pages to DIR: tachy.1, and one for each command
#[derive(Args)]
#[command(after_long_help = "Examples:\n  tachy man man1\n")]
pub(crate) struct Man {
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let written = self.write();
        written.map(|()| 0).map_err(|error| Failure::output(&self.folder.display().to_string(), &error))
    }

    /// Writes all pages before any of them appears under its name.
    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let beside = tempfile::tempdir_in(&self.folder)?;
        clap_mangen::generate_to(Cli::command(), &beside)?;
        for page in fs::read_dir(&beside)? {
            let page = page?;
            fs::rename(page.path(), self.folder.join(page.file_name()))?;
        }
        Ok(())
    }
}
