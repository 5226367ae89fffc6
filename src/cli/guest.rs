//! A guest made ready: program and input read, streams opened.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use tachy::{Engine, Env, MachineKind, Program, Session};

use super::args::{GuestArgs, Target};
use super::failure::Failure;

/// A program and how it is to be run.
pub(super) struct Guest<'a> {
    args: &'a GuestArgs,
    pub(super) program: Program,
    pub(super) machine: MachineKind,
}

impl<'a> Guest<'a> {
    /// Reads the program.
    pub(super) fn read(args: &'a GuestArgs) -> Result<Guest<'a>, Failure> {
        Ok(Guest { args, program: read_program(&args.program)?, machine: args.conditions.machine() })
    }

    /// A session at its first step. Where our own output takes stdout, the guest's goes to stderr.
    pub(super) fn start(&self, engine: Engine, stdout_taken: bool) -> Result<Session<'static>, Failure> {
        let builder = self.args.conditions.builder(engine);
        let executor = builder.build(&self.program).map_err(|error| Failure::library(&error))?;
        let mut env = Env::new().args(self.args.argv());
        env = match &self.args.stdin {
            Some(path) => env.stdin(open_input(path)?),
            None => env.stdin(io::stdin()),
        };
        let stdout = if stdout_taken { stderr()? } else { stdout()? };
        executor.start(env.stdout(stdout).stderr(stderr()?)).map_err(|error| Failure::library(&error))
    }
}

/// Reads a program from a file.
pub(super) fn read_program(path: &Path) -> Result<Program, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::input("the program", path, &error))?;
    Program::from_elf(&bytes).map_err(|error| Failure::program(path, error))
}

/// Opens the guest's input.
fn open_input(path: &Path) -> Result<File, Failure> {
    let refused = |error: io::Error| Failure::input("the input", path, &error);
    let file = File::open(path).map_err(refused)?;
    // A folder can be opened, and fails only when it is read.
    match file.metadata().map_err(refused)?.is_dir() {
        true => Err(refused(io::ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

/// Reads all of the guest's input; without a file it is empty.
pub(super) fn read_input(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    fs::read(path).map_err(|error| Failure::input("the input", path, &error))
}

/// Opens where something of ours goes, if anywhere.
pub(super) fn create(target: Target<'_>) -> Result<Option<File>, Failure> {
    match target {
        Target::Nowhere => Ok(None),
        Target::Stdout => stdout().map(Some),
        Target::File(path) => {
            let file = File::create(path);
            file.map(Some).map_err(|error| Failure::output(&path.display().to_string(), &error))
        }
    }
}

/// Standard output without a buffer: what a guest writes, it writes now.
fn stdout() -> Result<File, Failure> {
    let stream = io::stdout().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard output", &error))
}

/// Standard error, likewise.
fn stderr() -> Result<File, Failure> {
    let stream = io::stderr().as_fd().try_clone_to_owned();
    stream.map(File::from).map_err(|error| Failure::output("standard error", &error))
}
