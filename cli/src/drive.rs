//! Drives a session to its end: resumes it after pauses and shows its progress.
//!
//! It must not change what a run computes.

use clap::Args;
use tachy::risc0::Report;
use tachy::{Error, MachineKind, Session, Sink, Status};

use crate::failure::Failure;
use crate::guest::Guest;
use crate::progress::{Progress, Watch};
use crate::repeat::OurInput;
use crate::values::number;

/// How to continue after a pause of the guest.
#[derive(Args)]
#[command(next_help_heading = "Options of machine r0vm")]
pub(crate) struct ResumeArg {
    /// Continue when the guest pauses, at most N times; without N, every time
    ///
    /// Each part has its own cycles, cycle limit and journal. Journals are concatenated. Segment files keep counting, but
    /// the index inside each segment starts at 0 in each part. JSON lists all parts but the last as "parts_before".
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0xffffffffffffffff",
        hide_default_value = true, value_parser = number)]
    pub(crate) resume: Option<u64>,
}

impl ResumeArg {
    /// Fails on other machines, where no guest pauses.
    pub(crate) fn check(&self, machine: MachineKind) -> Result<(), Failure> {
        match self.resume {
            Some(_) if machine != MachineKind::R0vm => Err(Failure::of_r0vm("--resume", machine)),
            _ => Ok(()),
        }
    }
}

/// Drives one session.
pub(crate) struct Drive {
    /// Shows progress until it is dropped.
    _watch: Option<Watch>,
    resumes: u64,
}

/// Why a session stopped: an error of the library, or a failure of ours at a pause.
pub(crate) enum Stopped {
    Run(Error),
    Pause(Failure),
}

impl Stopped {
    /// The failure to report.
    pub(crate) fn failure(self, guest: &Guest<'_>, session: &Session<'_>) -> Failure {
        match self {
            Stopped::Run(error) => {
                let read = if session.stats().ecalls > 0 { OurInput::Read } else { OurInput::Unread };
                let repeat = guest.repeat(session.report().as_ref(), read);
                Failure::run(&error, &guest.loaded, session, &repeat)
            }
            Stopped::Pause(failure) => failure,
        }
    }
}

impl Drive {
    /// Starts to show the progress of this session.
    pub(crate) fn new(session: &Session<'_>, progress: &Progress, resume: &ResumeArg) -> Drive {
        Drive { _watch: progress.watch(session.cancel_handle()), resumes: resume.resume.unwrap_or(0) }
    }

    /// Like [`Session::run_to`]. Calls `part` with the report of each part that paused, before the next part starts.
    pub(crate) fn run_to(
        &mut self,
        session: &mut Session<'_>,
        step: u64,
        sink: &mut dyn Sink,
        part: &mut dyn FnMut(&Report) -> Result<(), Failure>,
    ) -> Result<Status, Stopped> {
        loop {
            let status = session.run_to(step, sink).map_err(Stopped::Run)?;
            let goes_on = self.resumes > 0 && matches!(status, Status::Paused { .. });
            let Some(report) = session.report().filter(|_| goes_on) else { return Ok(status) };
            part(&report).map_err(Stopped::Pause)?;
            session.resume().map_err(Stopped::Run)?;
            self.resumes -= 1;
        }
    }
}
