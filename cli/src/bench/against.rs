//! Runs a program under qemu or as a native executable of the same source, and measures the process.
//!
//! The time is that of a whole process, from start to end. So it is compared with a process of `tachy run`, and not with
//! sessions. This module must not know how sessions are measured.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::stdin::Stdin;
use crate::args::ConditionArgs;
use crate::failure::Failure;
use crate::interrupt;
use crate::values::InputPath;

/// The program of Debian's package qemu-user.
const QEMU: &str = "qemu-riscv32";

/// A program to compare with.
#[derive(Clone)]
pub(super) enum Against {
    /// qemu's user mode.
    Qemu,
    /// An executable, or a folder of executables named like the programs.
    Native(PathBuf),
}

impl Against {
    /// The executable that replaces `program`, unless it is qemu.
    pub(super) fn file(&self, program: &InputPath) -> Option<PathBuf> {
        let program = program.as_path();
        match self {
            Against::Qemu => None,
            Against::Native(path) if path.is_dir() => Some(path.join(program.file_stem().unwrap_or_default())),
            // Without a folder, the system would search the PATH.
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

/// A command that runs a program.
pub(super) struct Process {
    pub(super) name: String,
    command: Vec<OsString>,
}

impl Process {
    /// `tachy run` under the same conditions.
    pub(super) fn tachy(
        program: &InputPath,
        args: &[OsString],
        conditions: &ConditionArgs,
    ) -> Result<Process, Failure> {
        let own = std::env::current_exe();
        let own = own.map_err(|error| Failure::contender(&format!("cannot find the executable of tachy: {error}")))?;
        let mut command = vec![own.into(), "run".into(), "--no-cache".into()];
        command.extend(conditions.command_line());
        command.extend([program.as_path().into(), "--".into()]);
        Ok(Process::new("tachy run", command, args))
    }

    /// The program to compare with.
    pub(super) fn other(against: &Against, program: &InputPath, args: &[OsString]) -> Process {
        match against.file(program) {
            None => Process::new(QEMU, vec![QEMU.into(), program.as_path().into()], args),
            Some(executable) => Process::new("native", vec![executable.into()], args),
        }
    }

    fn new(name: &str, command: Vec<OsString>, args: &[OsString]) -> Process {
        Process { name: name.to_owned(), command: command.into_iter().chain(args.iter().cloned()).collect() }
    }

    /// Runs it once with this input, drops its output, and returns its time. It must end with the low eight bits of `exit`.
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
        // Ctrl-C on a terminal also reaches the process, which may end.
        if interrupt::signal().is_some() {
            return Err(Failure::interrupted());
        }
        if status.code() != Some((exit & 0xff) as i32) {
            let message =
                format!("{name} ({shown}) ended with {status}, but under tachy the program exits with {exit}");
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
