//! `tachy run`: a program and nothing but its output.

use clap::Args;
use tachy::NullSink;

use super::args::{EngineArgs, GuestArgs, ReportArgs};
use super::failure::{self, Failure};
use super::guest::Guest;
use super::report::{Report, engine_name};

/// Run a program; its exit code becomes ours (the low eight bits), also when it only pauses
#[derive(Args)]
#[command(after_long_help = failure::help())]
pub(super) struct Run {
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    report: ReportArgs,
    #[command(flatten)]
    guest: GuestArgs,
}

impl Run {
    pub(super) fn main(&self) -> Result<u8, Failure> {
        let mut report = Report::open(&self.report, &self.guest, engine_name(self.engine.engine()))?;
        let result = self.run(&mut report);
        report.close(result)
    }

    fn run(&self, report: &mut Report) -> Result<u8, Failure> {
        let guest = Guest::read(&self.guest)?;
        report.guest(&guest);
        let mut session = guest.start(self.engine.engine(), report.takes_stdout())?;
        let result = session.run(&mut NullSink::off());
        report.session(&session);
        result.map_err(|error| Failure::run(&error, &guest.program, guest.machine, &session))?;
        guest.finish(session.report().as_ref())?;
        // A shell sees eight bits of any code.
        Ok(session.exit_code().unwrap_or(0) as u8)
    }
}
