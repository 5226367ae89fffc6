//! Subcommands that are programs of their own, because they stand on hundreds of packages: `tachy NAME` becomes
//! `tachy-NAME`. It must not know what such a program does.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::failure::Failure;

/// Prove the execution of a RISC Zero program (by the program tachy-prove)
///
/// The program runs on Tachy, and RISC Zero's prover makes the receipt. `tachy-prove` is a package of its own, because it
/// contains that prover. It is looked for beside tachy, then in the folders of PATH, and never in the current folder.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Prove {
    /// Arguments of tachy-prove
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Prove {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        become_program("tachy-prove", &self.arguments)
    }
}

/// Becomes the program of this name.
fn become_program(name: &str, arguments: &[OsString]) -> Result<u8, Failure> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    // An entry that is not absolute leads to the current folder, where anybody may have put a program.
    let in_path = std::env::split_paths(&in_path).filter(|folder| folder.is_absolute());
    let mut found = beside.into_iter().chain(in_path).map(|folder| folder.join(name)).filter(|path| path.is_file());
    let Some(path) = found.next() else {
        let message = format!("{name} is neither beside tachy nor in PATH: install the package {name}");
        return Err(Failure::contender(&message));
    };
    Err(failed(&path, &Command::new(&path).args(arguments).exec()))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::contender(&format!("cannot start {}: {error}", path.display()))
}
