//! Builds a release archive: the stripped binary, completions, man pages, licences and the README.
//!
//! The archive depends only on the commit, the compiler and the target: entries are sorted, have no owner, and carry the
//! time of the commit. The task uses cargo, strip, tar, gzip and sha256sum.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::Result;
use crate::common::ROOT;

/// Shells with a completion script, and the name that each expects for it.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "tachy.bash"),
    ("elvish", "tachy.elv"),
    ("fish", "tachy.fish"),
    ("powershell", "_tachy.ps1"),
    ("zsh", "_tachy"),
];

/// Files of the repository that the archive contains.
const DOCUMENTS: [&str; 5] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md", "docs/command-line.md"];

/// Build a release archive in target/dist
///
/// For a static binary use --target x86_64-unknown-linux-musl, after `rustup target add x86_64-unknown-linux-musl`.
#[derive(Args)]
pub(crate) struct Dist {
    /// Target triple to build for; the processor and system of this machine by default
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,

    /// Cargo profile to build with
    #[arg(long, default_value = "release")]
    profile: String,
}

impl Dist {
    pub(crate) fn run(self) -> Result {
        let host = printed(Command::new("rustc").args(["--print", "host-tuple"]))?;
        let target = self.target.as_deref().unwrap_or(&host);
        let binary = self.build()?;
        let name = format!("tachy-{}-{target}", env!("CARGO_PKG_VERSION"));
        let dist = Path::new(ROOT).join("target/dist");
        let folder = dist.join(&name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("completions"))?;

        done(Command::new("strip").arg("-o").arg(folder.join("tachy")).arg(&binary))?;
        for (shell, file) in COMPLETIONS {
            let script = fs::File::create(folder.join("completions").join(file))?;
            done(Command::new(&binary).args(["completions", shell]).stdout(script))?;
        }
        done(Command::new(&binary).arg("man").arg(folder.join("man")))?;
        for document in DOCUMENTS {
            let from = Path::new(ROOT).join(document);
            fs::copy(&from, folder.join(from.file_name().ok_or("a document without a name")?))?;
        }

        let archive = format!("{name}.tar.gz");
        let time = printed(Command::new("git").args(["log", "-1", "--format=@%ct"]).current_dir(ROOT))?;
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go+r-w", "--format=ustar"]);
        tar.args(["--use-compress-program=gzip -9n", "--mtime", &time, "-cf", &archive, &name]);
        done(tar.current_dir(&dist))?;
        let sum = printed(Command::new("sha256sum").arg(&archive).current_dir(&dist))?;
        fs::write(dist.join(format!("{archive}.sha256")), format!("{sum}\n"))?;
        println!("{sum}");
        println!("{} bytes in {}", fs::metadata(dist.join(&archive))?.len(), dist.join(&archive).display());
        Ok(ExitCode::SUCCESS)
    }

    /// Builds the command line and returns the binary.
    fn build(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "tachy-cli", "--profile", &self.profile]);
        if let Some(target) = &self.target {
            cargo.args(["--target", target]);
            // The code that blake3 compiles needs no C library, so the compiler of this machine works for musl as well.
            let compiler = format!("CC_{}", target.replace('-', "_"));
            if target.ends_with("-musl") && std::env::var_os(&compiler).is_none() {
                cargo.env(compiler, "cc");
            }
        }
        done(cargo.current_dir(ROOT))?;
        // The folder of profile `dev` is called `debug`.
        let folder = if self.profile == "dev" { "debug" } else { &self.profile };
        let targets =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
        Ok(targets.join(self.target.as_deref().unwrap_or_default()).join(folder).join("tachy"))
    }
}

/// Runs a command, which must succeed.
fn done(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

/// Runs a command, which must succeed, and returns what it prints.
fn printed(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
