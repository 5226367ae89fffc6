//! A guest made ready: program read, streams chosen.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tachy::r0vm::Report;
use tachy::{Engine, Env, MachineKind, Session, Status};

use super::args::{GuestArgs, argv};
use super::failure::{Failure, PAUSED};
use super::load::Loaded;
use super::progress::Progress;
use super::r0vm::args::R0vmArgs;
use super::r0vm::host::surroundings;
use super::streams::{Streams, create, open_input, stderr, stdout};

/// A program and how it is to be run.
pub(super) struct Guest<'a> {
    args: &'a GuestArgs,
    pub(super) loaded: Loaded,
    /// Where its journal goes, if it has one and it is wanted.
    journal: Option<File>,
}

impl<'a> Guest<'a> {
    /// Reads the program.
    pub(super) fn read(args: &'a GuestArgs) -> Result<Guest<'a>, Failure> {
        let loaded = Loaded::read(&args.program, args.conditions.machine())?;
        args.r0vm.check(loaded.machine)?;
        if args.stdin.is_some() && args.r0vm.reads(0) {
            return Err(Failure::usage("--input and --read-fd 0 both say what the guest reads there: give one"));
        }
        Ok(Guest { args, loaded, journal: create(args.r0vm.journal())? })
    }

    /// A session at its first step, whose streams `progress` gives way to. Where our own output takes stdout, the
    /// guest's goes to stderr.
    pub(super) fn start(
        &self,
        engine: Engine,
        stdout_taken: bool,
        progress: &Progress,
    ) -> Result<Session<'static>, Failure> {
        let builder = self.args.conditions.builder(engine, self.loaded.machine);
        let executor = builder.build(&self.loaded.program).map_err(|error| Failure::library(&error))?;
        let streams = Streams {
            stdin: match &self.args.stdin {
                Some(path) => Box::new(open_input(path)?),
                None => progress.before(io::stdin()),
            },
            stdout: progress.beside(if stdout_taken { stderr()? } else { stdout()? }),
            stderr: progress.beside(stderr()?),
            kernel: progress.beside(stderr()?),
            is_quiet: false,
            progress: progress.clone(),
        };
        executor.start(self.env(streams)?).map_err(|error| Failure::library(&error))
    }

    /// Surroundings without output, and without input but for a file of it.
    pub(super) fn quiet_env(&self) -> Result<Env<'static>, Failure> {
        let mut streams = Streams::none();
        if let Some(path) = &self.args.stdin {
            streams.stdin = Box::new(open_input(path)?);
        }
        self.env(streams)
    }

    fn env(&self, streams: Streams) -> Result<Env<'static>, Failure> {
        let GuestArgs { program, args, r0vm, .. } = self.args;
        env(self.loaded.machine, program, args, r0vm, streams)
    }

    /// What is left to do after the last step on machine `r0vm`: the journal, and a word about a pause. The exit code of a
    /// guest that ended as it did, if that is not the guest's own.
    pub(super) fn finish(&self, status: Status, report: Option<&Report>) -> Result<Option<u8>, Failure> {
        self.write_journal(report)?;
        let Status::Paused { code } = status else { return Ok(None) };
        // What nobody can read is not worth an error.
        let _ = writeln!(io::stderr(), "tachy: the guest paused with code {code}; with --resume it goes on");
        Ok(Some(PAUSED))
    }

    /// Writes the journal, if it is wanted and counts.
    pub(super) fn write_journal(&self, report: Option<&Report>) -> Result<(), Failure> {
        let journal = report.and_then(|report| report.journal.as_ref());
        let (Some(mut file), Some(journal)) = (self.journal.as_ref(), journal) else { return Ok(()) };
        file.write_all(&journal.bytes).map_err(|error| Failure::output("the journal", &error))
    }
}

/// A guest's surroundings on its machine.
pub(super) fn env(
    machine: MachineKind,
    program: &Path,
    args: &[OsString],
    r0vm: &R0vmArgs,
    streams: Streams,
) -> Result<Env<'static>, Failure> {
    match machine {
        MachineKind::R0vm => surroundings(r0vm, args, streams),
        _ => {
            let Streams { stdin, stdout, stderr, .. } = streams;
            Ok(Env::new().args(argv(program, args)).stdin(stdin).stdout(stdout).stderr(stderr))
        }
    }
}
