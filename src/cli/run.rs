//! `tachy run`: a program and nothing but its output.

use clap::Args;
use tachy::NullSink;

use super::args::{EngineArgs, GuestArgs, ReportArgs};
use super::drive::{Drive, ResumeArg};
use super::failure::{self, Failure};
use super::guest::Guest;
use super::interrupt;
use super::progress::Progress;
use super::r0vm::seed::Seed;
use super::report::{Report, engine_name};

const EXAMPLES: &str = "  tachy run guests/bin/fib.elf -- 20
  tachy run --stats --limit-time 60 guests/bin/sha256.elf -- 1000
  tachy run --json=result.json guests/bin/fib.elf
  printf '\\2\\0\\0\\0\\6\\0\\0\\0\\364\\1\\0\\0' > input
  tachy run --input input --journal journal --segments segments guests/r0vm/bin/recursion.bin
";

/// Run a program; its exit code becomes ours (the low eight bits), also when it only pauses
#[derive(Args)]
#[command(after_long_help = failure::help(EXAMPLES))]
pub(super) struct Run {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    resume: ResumeArg,
}

impl Run {
    pub(super) fn main(&self) -> Result<u8, Failure> {
        interrupt::begin(self.guest.conditions.limits().time);
        let mut report = Report::open(&self.report, &self.guest, engine_name(self.engine.engine()))?;
        let result = self.run(&mut report);
        report.close(result)
    }

    fn run(&self, report: &mut Report) -> Result<u8, Failure> {
        let guest = Guest::read(&self.guest, Seed::drawn)?;
        self.resume.check(guest.loaded.machine)?;
        report.guest(&guest);
        let progress = Progress::on_terminal(report.takes_stdout());
        let mut session = guest.start(self.engine.engine(), report.takes_stdout(), &progress)?;
        let mut drive = Drive::new(&session, &progress, &self.resume);
        let result = drive.run_to(&mut session, u64::MAX, &mut NullSink::off(), &mut |part| {
            report.part(part);
            guest.write_journal(Some(part))
        });
        drop(drive);
        report.session(&session);
        result.map_err(|stopped| stopped.failure(&guest, &session))?;
        guest.finish(session.report().as_ref())?;
        // A shell sees eight bits of any code.
        Ok(session.exit_code().unwrap_or(0) as u8)
    }
}
