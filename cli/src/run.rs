//! `tachy run`: a program and nothing but its output.

use clap::Args;
use tachy::NullSink;

use crate::args::{EngineArgs, GuestArgs, ReportArgs};
use crate::drive::{Drive, ResumeArg};
use crate::failure::Failure;
use crate::files::Files;
use crate::guest::{Guest, GuestFiles};
use crate::help::{Scope, help};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::{Report, engine_name};
use crate::risc0::seed::Seed;

const EXAMPLES: &str = "  tachy run guests/bin/fib.elf -- 20
  tachy run --stats --limit-time 60 guests/bin/sha256.elf -- 1000
  tachy run --json=result.json guests/bin/fib.elf
  printf '\\2\\0\\0\\0\\6\\0\\0\\0\\364\\1\\0\\0' > input
  tachy run --input input --journal journal --segments segments guests/r0vm/bin/recursion.bin
";

/// Run a program; its exit code becomes ours (the low eight bits), or 75 when it only pauses
#[derive(Args)]
#[command(after_long_help = help(Scope::Run, EXAMPLES))]
pub(crate) struct Run {
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
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        interrupt::begin(self.guest.conditions.limits().time);
        let mut files = Files::new();
        let guest = GuestFiles::claim(&self.guest, &mut files)?;
        let mut report = Report::claim(&self.report, &self.guest, &mut files, engine_name(self.engine.engine()))?;
        report.begin()?;
        let result = self.run(&mut report, guest);
        report.close(result)
    }

    fn run(&self, report: &mut Report, files: GuestFiles) -> Result<u8, Failure> {
        let mut guest = Guest::read(&self.guest, files, Seed::drawn)?;
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
        let result = result.map_err(|stopped| stopped.failure(&guest, &session));
        let result = result.and_then(|status| guest.finish(status, session.report().as_ref()));
        // Whatever went wrong, what was written is whole and gets its name.
        let committed = guest.commit();
        let code = result.and_then(|code| committed.map(|()| code))?;
        // A shell sees eight bits of any code.
        Ok(code.unwrap_or(session.exit_code().unwrap_or(0) as u8))
    }
}
