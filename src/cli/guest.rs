//! A guest made ready: program read, streams chosen.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use tachy::r0vm::{Exit, Report};
use tachy::{CancelHandle, Engine, Env, MachineKind, Session};

use super::args::{GuestArgs, argv};
use super::failure::Failure;
use super::interrupt;
use super::load::Loaded;
use super::progress::Progress;
use super::r0vm::args::R0vmArgs;
use super::r0vm::facts;
use super::r0vm::host::surroundings;
use super::r0vm::seed::Seed;
use super::repeat::Repeat;
use super::streams::{Streams, create, open_input, say, stderr, stdin, stdout};
use super::waiting::Waiting;

/// A program and how it is to be run.
pub(super) struct Guest<'a> {
    args: &'a GuestArgs,
    pub(super) loaded: Loaded,
    /// What its random bytes follow from.
    pub(super) seed: Seed,
    /// Where its journal goes, if it has one and it is wanted.
    journal: Option<File>,
}

impl<'a> Guest<'a> {
    /// Reads the program. Random bytes follow from the seed that was given, or else from this one.
    pub(super) fn read(
        args: &'a GuestArgs,
        seed: impl FnOnce() -> Result<Seed, Failure>,
    ) -> Result<Guest<'a>, Failure> {
        args.r0vm.contradiction(args.stdin.is_some())?;
        let loaded = Loaded::read(&args.program, args.conditions.machine())?;
        args.r0vm.check(loaded.machine)?;
        let seed = args.r0vm.random_seed().map_or_else(seed, Ok)?;
        Ok(Guest { args, loaded, seed, journal: create(args.r0vm.journal())? })
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
        let cancel = self.begin();
        let streams = Streams {
            stdin: self.input(progress)?,
            stdout: progress.beside(if stdout_taken { stderr()? } else { stdout()? }),
            stderr: progress.beside(stderr()?),
            kernel: progress.beside(stderr()?),
            is_quiet: false,
            progress: progress.clone(),
        };
        executor.start(self.env(streams)?.cancel_handle(cancel)).map_err(|error| Failure::library(&error))
    }

    /// Surroundings without output, and without input but for what is named.
    pub(super) fn quiet_env(&self) -> Result<Env<'static>, Failure> {
        let (cancel, mut streams) = (self.begin(), Streams::none());
        if self.args.stdin.is_some() {
            streams.stdin = self.input(&Progress::default())?;
        }
        Ok(self.env(streams)?.cancel_handle(cancel))
    }

    /// Signals and the limit on time end the run from now on.
    fn begin(&self) -> CancelHandle {
        interrupt::begin(self.args.conditions.limits().time)
    }

    /// What the guest reads as its standard input: on machine `r0vm` nothing unless it is named, as RISC Zero does it.
    fn input(&self, progress: &Progress) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match &self.args.stdin {
            None if self.loaded.machine == MachineKind::R0vm => Box::new(io::empty()),
            Some(path) if path.as_os_str() != "-" => progress.before(open_input(path)?),
            _ => progress.before(Waiting::new(stdin()?)),
        })
    }

    fn env(&self, streams: Streams) -> Result<Env<'static>, Failure> {
        let GuestArgs { program, args, r0vm, .. } = self.args;
        env(self.loaded.machine, program, args, r0vm, streams, self.seed)
    }

    /// The commands that do again what it did; it may have read what it finds without being told.
    pub(super) fn repeat(&self, report: Option<&Report>, may_have_read: bool) -> Repeat {
        let reads_ours = match &self.args.stdin {
            Some(path) => path.as_os_str() == "-",
            None => may_have_read && self.loaded.machine != MachineKind::R0vm,
        };
        let is_given = self.args.r0vm.random_seed().is_some();
        let seed = Some(self.seed).filter(|_| is_given || report.is_some_and(facts::is_random));
        Repeat::of_guest(self.args, reads_ours, seed)
    }

    /// What is left to do after the last step on machine `r0vm`: the journal, and a word about how it ended.
    pub(super) fn finish(&self, report: Option<&Report>) -> Result<(), Failure> {
        self.write_journal(report)?;
        match report.and_then(|report| report.exit) {
            Some(Exit::Unknown(word)) => Err(Failure::end(word)),
            Some(Exit::Paused(code)) => {
                say(&format!("tachy: the guest paused with code {code}; with --resume it goes on\n"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the journal, if it is wanted and counts.
    pub(super) fn write_journal(&self, report: Option<&Report>) -> Result<(), Failure> {
        let journal = report.and_then(facts::journal);
        let (Some(file), Some(journal)) = (self.journal.as_ref(), journal) else { return Ok(()) };
        Waiting::new(file).write_all(journal).map_err(|error| Failure::output("the journal", &error))
    }
}

/// A guest's surroundings on its machine.
pub(super) fn env(
    machine: MachineKind,
    program: &Path,
    args: &[OsString],
    r0vm: &R0vmArgs,
    streams: Streams,
    seed: Seed,
) -> Result<Env<'static>, Failure> {
    match machine {
        MachineKind::R0vm => surroundings(r0vm, args, streams, seed),
        _ => {
            let Streams { stdin, stdout, stderr, .. } = streams;
            Ok(Env::new().args(argv(program, args)).stdin(stdin).stdout(stdout).stderr(stderr))
        }
    }
}
