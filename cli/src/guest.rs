//! A guest made ready: program read, streams chosen.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;

use tachy::risc0::Report;
use tachy::{CancelHandle, Engine, Env, MachineKind, Session, Status};

use crate::args::{GuestArgs, argv};
use crate::failure::{Failure, PAUSED};
use crate::files::{Files, Input};
use crate::interrupt;
use crate::load::Loaded;
use crate::output::{Output, Writer};
use crate::progress::Progress;
use crate::repeat::Repeat;
use crate::risc0::args::R0vmArgs;
use crate::risc0::facts;
use crate::risc0::host::surroundings;
use crate::risc0::seed::Seed;
use crate::risc0::segments::{Folder, SEGMENT_NAME};
use crate::streams::{Sink, Source, Streams, say, stderr, stdin, stdout};
use crate::values::target;
use crate::waiting::Waiting;

/// The files that a guest's options name: inputs opened, outputs not yet touched.
pub(crate) struct GuestFiles {
    program: Input,
    stdin: Option<Input>,
    read_fd: Vec<(u32, Input)>,
    write_fd: Vec<(u32, Output)>,
    journal: Output,
    segments: Option<Folder>,
}

impl GuestFiles {
    /// Claims them all.
    ///
    /// # Errors
    /// Where an output is also something else, or the folder for segments has some.
    pub(crate) fn claim(args: &GuestArgs, files: &mut Files) -> Result<GuestFiles, Failure> {
        let program = files.input("the program", &args.program)?;
        let stdin = args.stdin.as_deref().map(|path| files.input("--stdin", path)).transpose()?;
        if stdin.is_none() {
            files.standard_input();
        }
        let read_fd = args.r0vm.read_fd.iter().map(|(descriptor, path)| {
            let input = files.input(&format!("--read-fd {descriptor}"), path)?;
            Ok((*descriptor, input))
        });
        let read_fd = read_fd.collect::<Result<_, Failure>>()?;
        let segments = args.r0vm.segments.as_deref().map(Folder::claim).transpose()?;
        if let Some(folder) = &args.r0vm.segments {
            files.folder("--segments", folder, SEGMENT_NAME);
        }
        let write_fd = args.r0vm.write_fd.iter().map(|(descriptor, path)| {
            let output = files.output(&format!("--write-fd {descriptor}"), target(Some(path)))?;
            Ok((*descriptor, output))
        });
        let write_fd = write_fd.collect::<Result<_, Failure>>()?;
        let journal = files.output("--journal", args.r0vm.journal())?;
        Ok(GuestFiles { program, stdin, read_fd, write_fd, journal, segments })
    }
}

/// A program and how it is to be run.
pub(crate) struct Guest<'a> {
    args: &'a GuestArgs,
    pub(crate) loaded: Loaded,
    stdin: Option<Input>,
    read_fd: Vec<(u32, Input)>,
    write_fd: Vec<(u32, Output)>,
    /// What its random bytes follow from.
    pub(crate) seed: Seed,
    /// Where its journal goes, if it has one and it is wanted.
    journal: Output,
    journal_writer: Option<Writer>,
    segments: Option<Folder>,
}

impl<'a> Guest<'a> {
    /// Reads the program. Random bytes follow from the seed that was given, or else from this one.
    pub(crate) fn read(
        args: &'a GuestArgs,
        files: GuestFiles,
        seed: impl FnOnce() -> Result<Seed, Failure>,
    ) -> Result<Guest<'a>, Failure> {
        let GuestFiles { program, stdin, read_fd, write_fd, mut journal, segments } = files;
        args.r0vm.contradiction(args.stdin.is_some())?;
        let loaded = Loaded::read(program, args.conditions.machine())?;
        args.r0vm.check(loaded.machine)?;
        let seed = args.r0vm.random_seed().map_or_else(seed, Ok)?;
        let journal_writer = journal.open_if_wanted()?;
        Ok(Guest { args, loaded, stdin, read_fd, write_fd, seed, journal, journal_writer, segments })
    }

    /// A session at its first step, whose streams `progress` gives way to. Where our own output takes stdout, the
    /// guest's goes to stderr.
    pub(crate) fn start(
        &mut self,
        engine: Engine,
        stdout_taken: bool,
        progress: &Progress,
    ) -> Result<Session<'static>, Failure> {
        let builder = self.args.conditions.builder(engine, self.loaded.machine);
        let executor = builder.build(&self.loaded.program).map_err(|error| Failure::library(&error))?;
        let cancel = self.begin();
        let mut write_fd: Vec<Sink> = Vec::new();
        for (descriptor, output) in &mut self.write_fd {
            match stdout_taken && output.is_stdout() {
                true => write_fd.push((*descriptor, Box::new(Waiting::new(stderr()?)))),
                false => write_fd.push((*descriptor, Box::new(output.open()?))),
            }
        }
        let streams = Streams {
            stdin: self.input(progress)?,
            stdout: progress.beside(if stdout_taken { stderr()? } else { stdout()? }),
            stderr: progress.beside(stderr()?),
            kernel: progress.beside(stderr()?),
            read_fd: self.inputs()?,
            write_fd,
            segments: self.segments.take(),
            progress: progress.clone(),
        };
        executor.start(self.env(streams)?.cancel_handle(cancel)).map_err(|error| Failure::library(&error))
    }

    /// Surroundings with the same input and without output, but for segments.
    pub(crate) fn quiet_env(&mut self) -> Result<Env<'static>, Failure> {
        let cancel = self.begin();
        let mut write_fd: Vec<Sink> = Vec::new();
        write_fd.extend(self.write_fd.iter().map(|(descriptor, _)| (*descriptor, Box::new(io::sink()) as _)));
        let streams = Streams {
            stdin: self.input(&Progress::default())?,
            read_fd: self.inputs()?,
            write_fd,
            segments: self.segments.take(),
            ..Streams::none()
        };
        Ok(self.env(streams)?.cancel_handle(cancel))
    }

    /// Signals and the limit on time end the run from now on.
    fn begin(&self) -> CancelHandle {
        interrupt::begin(self.args.conditions.limits().time)
    }

    /// What the guest reads as its standard input: on machine `r0vm` nothing unless it is named, as RISC Zero does it.
    fn input(&mut self, progress: &Progress) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match self.stdin.take() {
            Some(input) if input.path().as_os_str() != "-" => input.stream()?,
            None if self.loaded.machine == MachineKind::R0vm => Box::new(io::empty()),
            _ => progress.before(Waiting::new(stdin()?)),
        })
    }

    /// What it reads besides.
    fn inputs(&mut self) -> Result<Vec<Source>, Failure> {
        let inputs = self.read_fd.drain(..);
        inputs.map(|(descriptor, input)| Ok((descriptor, input.stream()?))).collect()
    }

    fn env(&self, streams: Streams) -> Result<Env<'static>, Failure> {
        let GuestArgs { program, args, r0vm, .. } = self.args;
        env(self.loaded.machine, program, args, r0vm, streams, self.seed)
    }

    /// The commands that do again what it did; it may have read what it finds without being told.
    pub(crate) fn repeat(&self, report: Option<&Report>, may_have_read: bool) -> Repeat {
        let reads_ours = match &self.args.stdin {
            Some(path) => path.as_os_str() == "-",
            None => may_have_read && self.loaded.machine != MachineKind::R0vm,
        };
        let is_given = self.args.r0vm.random_seed().is_some();
        let seed = Some(self.seed).filter(|_| is_given || report.is_some_and(facts::is_random));
        Repeat::of_guest(self.args, reads_ours, seed)
    }

    /// What is left to do after the last step on machine `r0vm`: the journal, and a word about a pause. The exit code of a
    /// guest that ended as it did, if that is not the guest's own.
    pub(crate) fn finish(&self, status: Status, report: Option<&Report>) -> Result<Option<u8>, Failure> {
        self.write_journal(report)?;
        let Status::Paused { code } = status else { return Ok(None) };
        say(&format!("tachy: the guest paused with code {code}; with --resume it goes on\n"));
        Ok(Some(PAUSED))
    }

    /// Writes the journal, if it is wanted and counts.
    pub(crate) fn write_journal(&self, report: Option<&Report>) -> Result<(), Failure> {
        let journal = report.and_then(|report| report.journal.as_ref());
        let (Some(mut writer), Some(journal)) = (self.journal_writer.clone(), journal) else { return Ok(()) };
        writer.write_all(&journal.bytes).map_err(|error| Failure::output("the journal", &error))
    }

    /// The run is over, whichever way: what was written gets its name.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let written = self.write_fd.iter_mut().map(|(_, output)| output.commit());
        // All are tried, and the first failure counts.
        written.fold(self.journal.commit(), Result::and)
    }
}

/// A guest's surroundings on its machine.
pub(crate) fn env(
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
