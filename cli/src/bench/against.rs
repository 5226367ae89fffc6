//! Who else runs a program: qemu, or an executable of the same source for this machine; and what its process takes.
//!
//! What is timed is a process from its start to its end as its parent sees it, with everything in between: so it is
//! compared with a process of `tachy run`, and not with sessions. It must not know how sessions are measured.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stdin::Stdin;
use crate::args::ConditionArgs;
use crate::failure::Failure;
use crate::interrupt;

/// Debian: qemu-user.
const QEMU: &str = "qemu-riscv32";

/// Whom to compare with, as the command line says it.
#[derive(Clone)]
pub(super) enum Against {
    /// qemu's user mode.
    Qemu,
    /// An executable, or a folder of executables with the names of the programs.
    Native(PathBuf),
}

impl Against {
    /// The executable that is run in the place of the program at `program`, if it is a file that somebody named.
    pub(super) fn file(&self, program: &Path) -> Option<PathBuf> {
        match self {
            Against::Qemu => None,
            Against::Native(path) if path.is_dir() => Some(path.join(program.file_stem().unwrap_or_default())),
            // A name without a folder would be looked for in the PATH.
            Against::Native(path) => Some(Path::new(".").join(path)),
        }
    }
}

/// Reads `qemu` or `native=PATH`.
pub(super) fn against(text: &str) -> Result<Against, String> {
    match text.split_once('=') {
        None if text == "qemu" => Ok(Against::Qemu),
        Some(("native", path)) if !path.is_empty() => Ok(Against::Native(path.into())),
        _ => Err("expected qemu, or native=PATH with an executable or a folder of them".to_owned()),
    }
}

/// A command that does what a program does.
pub(super) struct Process {
    pub(super) name: String,
    command: Vec<OsString>,
}

impl Process {
    /// `tachy run` itself, under these conditions.
    pub(super) fn tachy(program: &Path, args: &[OsString], conditions: &ConditionArgs) -> Result<Process, Failure> {
        let own = std::env::current_exe();
        let own = own.map_err(|error| Failure::contender(&format!("cannot find the program that runs: {error}")))?;
        let mut command = vec![own.into(), "run".into()];
        command.extend(conditions.command_line());
        command.extend([program.into(), "--".into()]);
        Ok(Process::new("tachy run", command, args))
    }

    /// The other one, for the program at `program`.
    pub(super) fn other(against: &Against, program: &Path, args: &[OsString]) -> Process {
        match against.file(program) {
            None => Process::new(QEMU, vec![QEMU.into(), program.into()], args),
            Some(executable) => Process::new("native", vec![executable.into()], args),
        }
    }

    fn new(name: &str, command: Vec<OsString>, args: &[OsString]) -> Process {
        Process { name: name.to_owned(), command: command.into_iter().chain(args.iter().cloned()).collect() }
    }

    /// Runs it once with this input, its output dropped; what it took. It must end with `exit`, of which a parent sees
    /// eight bits.
    pub(super) fn run(&self, exit: u32, stdin: &Stdin) -> Result<Duration, Failure> {
        let Process { name, command } = self;
        let (program, args) = command.split_first().ok_or_else(|| Failure::contender("nothing to run"))?;
        let shown = Path::new(program).display();
        let stdin = stdin.open()?.map_or_else(Stdio::null, Stdio::from);
        let started = Instant::now();
        let status = Command::new(program)
            .args(args)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| Failure::contender(&format!("cannot run {name} ({shown}): {error}")))?;
        let time = started.elapsed();
        // Typed on a terminal, Ctrl-C is for the process as well, and it may end by it.
        if interrupt::signal().is_some() {
            return Err(Failure::interrupted());
        }
        if status.code() != Some((exit & 0xff) as i32) {
            let message = format!("{name} ({shown}) ended with {status}, where the program exits with {exit}");
            return Err(Failure::contender(&message));
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_read() {
        assert!(matches!(against("qemu"), Ok(Against::Qemu)));
        assert!(matches!(against("native=a=b"), Ok(Against::Native(path)) if path == Path::new("a=b")));
        for wrong in ["", "native", "native=", "qemu=x", "spike"] {
            assert!(against(wrong).is_err(), "{wrong:?}");
        }
    }
}
