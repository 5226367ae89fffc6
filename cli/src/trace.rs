//! `tachy trace`: runs a program and writes its rows.

use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tachy::jit::DiskCache;
use tachy::risc0::Report as Part;
use tachy::trace::{CountingSink, CsvSink, DigestSink, FileSink, Tee};
use tachy::{NullSink, Session, Status};

use crate::args::{CacheArg, EngineArgs, GuestArgs, ReportArgs};
use crate::cache;
use crate::drive::{Drive, ResumeArg, Stopped};
use crate::failure::Failure;
use crate::files::Files;
use crate::guest::{Guest, GuestFiles};
use crate::help::{Scope, help};
use crate::interrupt;
use crate::output::{Output, Writer};
use crate::progress::Progress;
use crate::report::Report;
use crate::risc0::seed::Seed;
use crate::streams::GuestStdout;
use crate::values::{Target, number, target};

const EXAMPLES: &str = "  tachy trace guests/bin/fib.elf -- 5
  tachy trace --from 1000 --to 1010 --effects effects.csv guests/bin/sha256.elf
  tachy trace --format rows -o fib.rows guests/bin/fib.elf -- 5
  tachy trace --format none --json guests/bin/fib.elf -- 20
";

/// Run a program and record every step
#[derive(Args)]
#[command(after_long_help = help(Scope::Trace, EXAMPLES))]
pub(crate) struct Trace {
    #[command(flatten)]
    engine: EngineArgs,

    /// Format of the rows
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Csv)]
    format: Format,

    /// First step to record. If the program ends earlier, there are no rows, and a message says so
    #[arg(long, value_name = "STEP", value_parser = number, default_value_t = 0)]
    from: u64,

    /// Stop before this step
    #[arg(long, value_name = "STEP", value_parser = number)]
    to: Option<u64>,

    /// Write rows to FILE instead of standard output
    ///
    /// With standard output, the guest's output goes to standard error.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write effects to FILE as CSV: the changes that steps make outside their rows
    #[arg(long, value_name = "FILE")]
    effects: Option<PathBuf>,

    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    cache: CacheArg,
    #[command(flatten)]
    resume: ResumeArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text: a header line and one line per row
    Csv,
    /// Binary: a header of 96 bytes and 32 bytes per row; not to a terminal
    Rows,
    /// Rows are produced and dropped
    None,
}

impl Trace {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        let guest_stdout = self.guest_stdout()?;
        if self.to.is_some_and(|to| to < self.from) {
            return Err(Failure::usage("--to is before --from"));
        }
        interrupt::begin(self.guest.conditions.limits().time);
        let mut files = Files::new();
        let guest = GuestFiles::claim(&self.guest, &mut files)?;
        let mut report = Report::claim(&self.report, &self.guest, &mut files, self.engine.engine().into())?;
        let rows = files.output("--output", self.rows_target())?;
        let effects = files.output("--effects", target(self.effects.as_deref()))?;
        report.begin()?;
        let disk_cache = self.cache.cache();
        let result = self.trace(&mut report, guest, disk_cache.as_ref(), (rows, effects), guest_stdout);
        cache::tell(disk_cache.as_ref(), self.report.stats);
        report.close(result)
    }

    fn trace(
        &self,
        report: &mut Report,
        files: GuestFiles,
        cache: Option<&DiskCache>,
        (rows, effects): (Output, Output),
        guest_stdout: GuestStdout,
    ) -> Result<u8, Failure> {
        let mut guest = Guest::read(&self.guest, files, Seed::drawn)?;
        self.resume.check(guest.loaded.machine)?;
        report.guest(&guest);
        let progress = Progress::on_terminal(guest_stdout);
        let mut session = guest.start(self.engine.engine(), cache, guest_stdout, &progress)?;
        let mut tables = self.open_tables(rows, effects)?;
        let mut digest = report.wants_json().then(DigestSink::default);
        let mut counts = CountingSink::default();

        let sink = &mut Tee::new(Tee::new(&mut tables.text, &mut tables.binary), Tee::new(&mut digest, &mut counts));
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
        let result = result.map_err(|stopped| stopped.failure(&guest, &session));
        if let (Ok(Status::Exited { .. } | Status::Paused { .. }), true) = (&result, self.from > session.steps()) {
            self.tell_of_no_rows(session.steps());
        }
        let result = result.and_then(|status| finished.map(|()| status));
        let result = result.and_then(|status| guest.finish(status, session.report().as_ref()));
        let committed = guest.commit();
        result.and_then(|code| committed.map(|()| code.unwrap_or(0)))
    }

    /// Runs to the first recorded step without a trace, and then with one.
    fn run(
        &self,
        drive: &mut Drive,
        session: &mut Session<'_>,
        sink: &mut dyn tachy::Sink,
        part: &mut dyn FnMut(&Part) -> Result<(), Failure>,
    ) -> Result<Status, Stopped> {
        if self.from > 0
            && let status @ (Status::Exited { .. } | Status::Paused { .. }) =
                drive.run_to(session, self.from, &mut NullSink::off(), part)?
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

    /// Where the guest's standard output goes: to standard error if one of our tables or reports takes ours.
    fn guest_stdout(&self) -> Result<GuestStdout, Failure> {
        let targets =
            [self.rows_target(), target(self.effects.as_deref()), self.report.json.target(), self.guest.r0vm.journal()];
        match targets.iter().filter(|target| matches!(target, Target::Stdout)).count() {
            0 => Ok(GuestStdout::Stdout),
            1 => Ok(GuestStdout::Stderr),
            _ => Err(Failure::usage(
                "rows, effects, JSON and journal cannot share standard output; use a FILE for all but one",
            )),
        }
    }

    /// Reports that the program ended before the first recorded step, which explains the empty table.
    fn tell_of_no_rows(&self, steps: u64) {
        // A failure to print the message is ignored.
        let _ = writeln!(
            io::stderr(),
            "tachy: no rows: the program ended after {steps} steps, before --from {}",
            self.from
        );
    }

    fn open_tables(&self, rows: Output, effects: Output) -> Result<Tables, Failure> {
        let mut outputs = [rows, effects];
        let [rows, effects] = &mut outputs;
        let (rows, effects) = (rows.open_if_wanted()?, effects.open_if_wanted()?);
        let (text, binary) = match self.format {
            Format::Csv => (rows, None),
            Format::Rows | Format::None => (None, rows),
        };
        if binary.as_ref().is_some_and(|writer| writer.file().is_terminal()) {
            return Err(Failure::usage("binary rows cannot go to a terminal; write them to a file with -o FILE"));
        }
        let text = match (text, effects) {
            (None, None) => None,
            (rows, effects) => Some(CsvSink::new(rows, effects)),
        };
        Ok(Tables { text, binary: binary.map(FileSink::new), outputs })
    }
}

/// The outputs for rows and effects.
struct Tables {
    text: Option<CsvSink<Writer, Writer>>,
    binary: Option<FileSink<Writer>>,
    /// Rows, effects.
    outputs: [Output; 2],
}

impl Tables {
    /// Completes the tables and gives them their names.
    fn finish(&mut self) -> Result<(), Failure> {
        let text = self.text.as_mut().map_or(Ok(()), CsvSink::finish);
        let [rows, effects] = &mut self.outputs;
        let binary = match &mut self.binary {
            // In a file of our own, the header can be completed.
            Some(binary) if rows.is_file() => binary.finish(),
            Some(binary) => binary.finish_stream(),
            None => Ok(()),
        };
        let finished = text.and(binary).map_err(|error| Failure::output("the trace", &error));
        finished.and(rows.commit()).and(effects.commit())
    }
}
