//! `tachy run`: runs a program without a trace.

use clap::Args;
use tachy::NullSink;
use tachy::jit::DiskCache;

use crate::args::{EngineArgs, GuestArgs, NoCacheArg, ReportArgs};
use crate::cache;
use crate::drive::{Drive, ResumeArg};
use crate::failure::Failure;
use crate::files::Files;
use crate::guest::{Guest, GuestFiles};
use crate::help::{Scope, help};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Report;
use crate::risc0::seed::Seed;

const EXAMPLES: &str = "  tachy run guests/bin/fib.elf -- 20
  tachy run --stats --limit-time 60 guests/bin/sha256.elf -- 1000
  tachy run --json=result.json guests/bin/fib.elf
  printf '\\2\\0\\0\\0\\6\\0\\0\\0\\364\\1\\0\\0' > input
  tachy run --input input --journal journal --segments segments guests/r0vm/bin/recursion.bin
";

/// Run a program and exit with its exit code (low 8 bits), or with 75 if it pauses
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
    cache: NoCacheArg,
    #[command(flatten)]
    resume: ResumeArg,
}

impl Run {
    pub(crate) fn main(&self) -> Result<u8, Failure> {
        interrupt::begin(self.guest.conditions.limits().time);
        let mut files = Files::new();
        let guest = GuestFiles::claim(&self.guest, &mut files)?;
        let mut report = Report::claim(&self.report, &self.guest, &mut files, self.engine.engine().into())?;
        report.begin()?;
        let disk_cache = self.cache.cache();
        let result = self.run(&mut report, guest, disk_cache.as_ref());
        cache::tell(disk_cache.as_ref(), self.report.stats);
        report.close(result)
    }

    fn run(&self, report: &mut Report, files: GuestFiles, cache: Option<&DiskCache>) -> Result<u8, Failure> {
        let mut guest = Guest::read(&self.guest, files, Seed::drawn)?;
        self.resume.check(guest.loaded.machine)?;
        report.guest(&guest);
        let progress = Progress::on_terminal(report.guest_stdout());
        let mut session = guest.start(self.engine.engine(), cache, report.guest_stdout(), &progress)?;
        let mut drive = Drive::new(&session, &progress, &self.resume);
        let result = drive.run_to(&mut session, u64::MAX, &mut NullSink::off(), &mut |part| {
            report.part(part);
            guest.write_journal(Some(part))
        });
        drop(drive);
        report.session(&session);
        let result = result.map_err(|stopped| stopped.failure(&guest, &session));
        let result = result.and_then(|status| guest.finish(status, session.report().as_ref()));
        // Complete outputs appear under their names even after a failure.
        let committed = guest.commit();
        let code = result.and_then(|code| committed.map(|()| code))?;
        // A process has eight bits for its exit code.
        Ok(code.unwrap_or(session.exit_code().unwrap_or(0) as u8))
    }
}
