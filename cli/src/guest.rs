//! Prepares a guest: reads its program and opens its streams.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use tachy::jit::DiskCache;
use tachy::risc0::Report;
use tachy::{CancelHandle, Engine, Env, MachineKind, Session, Status};

use crate::args::{GuestArgs, argv};
use crate::failure::Failure;
use crate::files::{Files, Input, InputName};
use crate::interrupt;
use crate::kind::Code;
use crate::load::Loaded;
use crate::output::{Output, Writer};
use crate::progress::Progress;
use crate::repeat::{OurInput, Repeat};
use crate::risc0::args::R0vmArgs;
use crate::risc0::facts;
use crate::risc0::host::surroundings;
use crate::risc0::seed::Seed;
use crate::risc0::segments::{Folder, SEGMENT_NAME};
use crate::streams::{GuestStdout, Sink, Source, Streams, say, stderr, stdin, stdout};
use crate::values::{InputPath, target};
use crate::waiting::Waiting;

/// The files that a guest's options name. Inputs are open, outputs are not changed yet.
pub(crate) struct GuestFiles {
    program: Input,
    stdin: Option<Input>,
    read_fd: Vec<(u32, Input)>,
    write_fd: Vec<(u32, Output)>,
    journal: Output,
    segments: Option<Folder>,
}

impl GuestFiles {
    /// Claims all of them.
    ///
    /// # Errors
    /// If an output is also another file of the command, or if the folder for segments has segments.
    pub(crate) fn claim(args: &GuestArgs, files: &mut Files) -> Result<GuestFiles, Failure> {
        let program = files.input(InputName::Program, &args.program)?;
        let stdin = args.stdin.as_ref().map(|path| files.input(InputName::option("--stdin"), path)).transpose()?;
        if stdin.is_none() {
            files.standard_input();
        }
        let read_fd = args.r0vm.read_fd.iter().map(|(descriptor, path)| {
            let input = files.input(InputName::option(format!("--read-fd {descriptor}")), path)?;
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

/// A program and how to run it.
pub(crate) struct Guest<'a> {
    args: &'a GuestArgs,
    pub(crate) loaded: Loaded,
    stdin: Option<Input>,
    read_fd: Vec<(u32, Input)>,
    write_fd: Vec<(u32, Output)>,
    /// The seed of its random bytes.
    pub(crate) seed: Seed,
    /// The file for its journal, if the user wants it.
    journal: Output,
    journal_writer: Option<Writer>,
    segments: Option<Folder>,
}

impl<'a> Guest<'a> {
    /// Reads the program. `seed` gives the seed of its random bytes if the options do not.
    pub(crate) fn read(
        args: &'a GuestArgs,
        files: GuestFiles,
        seed: impl FnOnce() -> Result<Seed, Failure>,
    ) -> Result<Guest<'a>, Failure> {
        let GuestFiles { program, stdin, read_fd, write_fd, mut journal, segments } = files;
        args.r0vm.contradiction(args.stdin.as_ref())?;
        let loaded = Loaded::read(program, args.conditions.machine())?;
        args.r0vm.check(loaded.machine)?;
        let seed = args.r0vm.random_seed().map_or_else(seed, Ok)?;
        let journal_writer = journal.open_if_wanted()?;
        Ok(Guest { args, loaded, stdin, read_fd, write_fd, seed, journal, journal_writer, segments })
    }

    /// Starts a session, with the code in `cache`. `progress` makes room for the session's output.
    pub(crate) fn start(
        &mut self,
        engine: Engine,
        cache: Option<&DiskCache>,
        guest_stdout: GuestStdout,
        progress: &Progress,
    ) -> Result<Session<'static>, Failure> {
        let mut builder = self.args.conditions.builder(engine, self.loaded.machine);
        if let Some(cache) = cache {
            builder = builder.disk_cache(cache.clone());
        }
        let executor = builder.build(&self.loaded.program).map_err(|error| Failure::library(&error))?;
        let cancel = self.begin();
        let mut write_fd: Vec<Sink> = Vec::new();
        for (descriptor, output) in &mut self.write_fd {
            match guest_stdout {
                GuestStdout::Stderr if output.is_stdout() => {
                    write_fd.push((*descriptor, Box::new(Waiting::new(stderr()?))));
                }
                _ => write_fd.push((*descriptor, Box::new(output.open()?))),
            }
        }
        let streams = Streams {
            stdin: self.input(progress)?,
            stdout: progress.beside(match guest_stdout {
                GuestStdout::Stdout => stdout()?,
                GuestStdout::Stderr => stderr()?,
            }),
            stderr: progress.beside(stderr()?),
            kernel: progress.beside(stderr()?),
            read_fd: self.inputs()?,
            write_fd,
            segments: self.segments.take(),
            progress: progress.clone(),
        };
        executor.start(self.env(streams)?.cancel_handle(cancel)).map_err(|error| Failure::library(&error))
    }

    /// An environment with the same input, and with segments as the only output.
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

    /// From now on, signals and the time limit end the run.
    fn begin(&self) -> CancelHandle {
        interrupt::begin(self.args.conditions.limits().time)
    }

    /// The guest's standard input. On machine `r0vm` it is empty by default, as with RISC Zero's tools.
    fn input(&mut self, progress: &Progress) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match self.stdin.take() {
            Some(input) if *input.path() != InputPath::Stdin => input.stream()?,
            None if self.loaded.machine == MachineKind::R0vm => Box::new(io::empty()),
            _ => progress.before(Waiting::new(stdin()?)),
        })
    }

    /// The other descriptors that it reads.
    fn inputs(&mut self) -> Result<Vec<Source>, Failure> {
        let inputs = self.read_fd.drain(..);
        inputs.map(|(descriptor, input)| Ok((descriptor, input.stream()?))).collect()
    }

    fn env(&self, streams: Streams) -> Result<Env<'static>, Failure> {
        let GuestArgs { program, args, r0vm, .. } = self.args;
        env(self.loaded.machine, program, args, r0vm, streams, self.seed)
    }

    /// The commands that repeat the run. `default_input` says whether the guest may have read our standard input by default.
    pub(crate) fn repeat(&self, report: Option<&Report>, default_input: OurInput) -> Repeat {
        let input = match &self.args.stdin {
            Some(InputPath::Stdin) => OurInput::Read,
            Some(InputPath::File(_)) => OurInput::Unread,
            None if self.loaded.machine == MachineKind::R0vm => OurInput::Unread,
            None => default_input,
        };
        let is_given = self.args.r0vm.random_seed().is_some();
        let seed = Some(self.seed).filter(|_| is_given || report.is_some_and(facts::is_random));
        Repeat::of_guest(self.args, input, seed)
    }

    /// Writes the journal after the last step and reports a pause. Returns the exit code of a pause, or `None` where the
    /// guest's own code counts.
    pub(crate) fn finish(&self, status: Status, report: Option<&Report>) -> Result<Option<u8>, Failure> {
        self.write_journal(report)?;
        let Status::Paused { code } = status else { return Ok(None) };
        say(&format!("tachy: the guest paused with code {code}; --resume continues it\n"));
        Ok(Some(Code::Paused as u8))
    }

    /// Writes the journal, if the user wants it and the guest committed to it.
    pub(crate) fn write_journal(&self, report: Option<&Report>) -> Result<(), Failure> {
        let journal = report.and_then(|report| report.journal.as_ref());
        let (Some(mut writer), Some(journal)) = (self.journal_writer.clone(), journal) else { return Ok(()) };
        writer.write_all(&journal.bytes).map_err(|error| Failure::output("the journal", &error))
    }

    /// Gives the outputs their names, however the run ended.
    pub(crate) fn commit(&mut self) -> Result<(), Failure> {
        let written = self.write_fd.iter_mut().map(|(_, output)| output.commit());
        // All are committed, and the first failure is returned.
        written.fold(self.journal.commit(), Result::and)
    }
}

/// The environment of a guest on its machine.
pub(crate) fn env(
    machine: MachineKind,
    program: &InputPath,
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
