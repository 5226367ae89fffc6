//! `tachy trace`: a program and its rows.

use std::fs::File;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tachy::r0vm::Report as Part;
use tachy::trace::{CountingSink, CsvSink, DigestSink, FileSink};
use tachy::{NullSink, Session, Status};

use super::args::{EngineArgs, GuestArgs, ReportArgs};
use super::drive::{Drive, ResumeArg, Stopped};
use super::failure::{self, Failure};
use super::guest::Guest;
use super::interrupt;
use super::progress::Progress;
use super::r0vm::seed::Seed;
use super::report::{Report, engine_name};
use super::streams::create;
use super::values::{Target, number, target};
use super::waiting::Waiting;

const EXAMPLES: &str = "  tachy trace guests/bin/fib.elf -- 5
  tachy trace --from 1000 --to 1010 --effects effects.csv guests/bin/sha256.elf
  tachy trace --format rows -o fib.rows guests/bin/fib.elf -- 5
  tachy trace --format none --json guests/bin/fib.elf -- 20
";

/// Run a program and write down every step
#[derive(Args)]
#[command(after_long_help = failure::help(EXAMPLES))]
pub(super) struct Trace {
    #[command(flatten)]
    engine: EngineArgs,

    /// How rows are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Csv)]
    format: Format,

    /// First step to write down
    #[arg(long, value_name = "STEP", value_parser = number, default_value_t = 0)]
    from: u64,

    /// Stop before this step
    #[arg(long, value_name = "STEP", value_parser = number)]
    to: Option<u64>,

    /// Write rows to FILE, not to standard output (where they send the guest's output to standard error)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write effects to FILE, as CSV: what steps did outside their rows
    #[arg(long, value_name = "FILE")]
    effects: Option<PathBuf>,

    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    resume: ResumeArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines of text with a header line
    Csv,
    /// 32 bytes a row, after a header of 96
    Rows,
    /// Not at all: rows are made and dropped
    None,
}

impl Trace {
    pub(super) fn main(&self) -> Result<u8, Failure> {
        let stdout_users = self.stdout_users();
        if stdout_users > 1 {
            return Err(Failure::usage(
                "rows, effects, JSON and journal cannot share standard output: give some a FILE",
            ));
        }
        if self.to.is_some_and(|to| to < self.from) {
            return Err(Failure::usage("--to lies before --from"));
        }
        interrupt::begin(self.guest.conditions.limits().time);
        let mut report = Report::open(&self.report, &self.guest, engine_name(self.engine.engine()))?;
        let result = self.trace(&mut report, stdout_users > 0);
        report.close(result)
    }

    fn trace(&self, report: &mut Report, stdout_taken: bool) -> Result<u8, Failure> {
        let guest = Guest::read(&self.guest, Seed::drawn)?;
        self.resume.check(guest.loaded.machine)?;
        report.guest(&guest);
        let progress = Progress::on_terminal(stdout_taken);
        let mut session = guest.start(self.engine.engine(), stdout_taken, &progress)?;
        // Files are opened last: what cannot even start leaves older ones alone.
        let mut tables = self.open_tables(guest.loaded.program.digest())?;
        let mut digest = report.json.is_some().then(DigestSink::default);
        let mut counts = CountingSink::default();

        let sink = &mut ((&mut tables.text, &mut tables.binary), (&mut digest, &mut counts));
        let mut drive = Drive::new(&session, &progress, &self.resume);
        let result = self.run(&mut drive, &mut session, sink, &mut |part| {
            report.part(part);
            guest.write_journal(Some(part))
        });
        drop(drive);
        let finished = tables.finish();
        report.session(&session);
        report.facts.rows = counts.rows;
        if let Some(digest) = digest {
            report.facts.digests = digest.digest().into();
        }
        result.map_err(|stopped| stopped.failure(&guest, &session))?;
        finished.and_then(|()| guest.finish(session.report().as_ref())).map(|()| 0)
    }

    /// Runs up to the first step wanted without a trace, and then with one.
    fn run(
        &self,
        drive: &mut Drive,
        session: &mut Session<'_>,
        sink: &mut dyn tachy::Sink,
        part: &mut dyn FnMut(&Part) -> Result<(), Failure>,
    ) -> Result<Status, Stopped> {
        if self.from > 0
            && let status @ Status::Exited { .. } = drive.run_to(session, self.from, &mut NullSink::off(), part)?
        {
            return Ok(status);
        }
        drive.run_to(session, self.to.unwrap_or(u64::MAX), sink, part)
    }

    fn rows_target(&self) -> Target<'_> {
        match (self.format, &self.output) {
            (Format::None, _) => Target::Nowhere,
            (_, None) => Target::Stdout,
            (_, path) => target(path.as_deref()),
        }
    }

    /// How many of our tables and reports go to standard output.
    fn stdout_users(&self) -> usize {
        let targets =
            [self.rows_target(), target(self.effects.as_deref()), self.report.json.target(), self.guest.r0vm.journal()];
        targets.iter().filter(|target| matches!(target, Target::Stdout)).count()
    }

    fn open_tables(&self, program: [u8; 32]) -> Result<Tables, Failure> {
        let rows = create(self.rows_target())?;
        let effects = create(target(self.effects.as_deref()))?;
        let (text, binary) = match self.format {
            Format::Csv => (rows, None),
            Format::Rows | Format::None => (None, rows),
        };
        let is_file = |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file());
        let seekable = matches!(self.rows_target(), Target::File(_)) && binary.as_ref().is_some_and(is_file);
        let [text, effects, binary] = [text, effects, binary].map(|file| file.map(Waiting::new));
        let text = match (text, effects) {
            (None, None) => None,
            (rows, effects) => Some(CsvSink::new(rows, effects).map_err(|error| Failure::output("the trace", &error))?),
        };
        Ok(Tables { text, binary: binary.map(|file| FileSink::new(file, program)), seekable })
    }
}

/// Where rows and effects go.
struct Tables {
    text: Option<CsvSink<Waiting<File>, Waiting<File>>>,
    binary: Option<FileSink<Waiting<File>>>,
    /// The file of rows is one of ours from its first byte on, so that its header can be completed.
    seekable: bool,
}

impl Tables {
    fn finish(&mut self) -> Result<(), Failure> {
        let text = self.text.as_mut().map_or(Ok(()), CsvSink::finish);
        let binary = match &mut self.binary {
            Some(binary) if self.seekable => binary.finish(),
            Some(binary) => binary.finish_stream(),
            None => Ok(()),
        };
        text.and(binary).map_err(|error| Failure::output("the trace", &error))
    }
}
