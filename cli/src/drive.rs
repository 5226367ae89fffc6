//! A session driven to its end: past pauses that are to be resumed, with its progress shown, which does not change what a
//! run computes.

use clap::Args;
use tachy::risc0::Report;
use tachy::{Error, MachineKind, Session, Sink, Status};

use crate::failure::Failure;
use crate::guest::Guest;
use crate::progress::{Progress, Watch};
use crate::values::number;

/// What becomes of a guest that pauses.
#[derive(Args)]
#[command(next_help_heading = "Options of machine r0vm")]
pub(crate) struct ResumeArg {
    /// Go on when the guest pauses, N times at the most, or as often as it does
    ///
    /// Each part has cycles, a limit on cycles and a journal of its own. Journals are written one after the other;
    /// files of segments are numbered on, the segments in them count from 0 in each part; and JSON lists the parts
    /// before the last as "parts_before".
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "0xffffffffffffffff",
        hide_default_value = true, value_parser = number)]
    pub(crate) resume: Option<u64>,
}

impl ResumeArg {
    /// On other machines nothing pauses.
    pub(crate) fn check(&self, machine: MachineKind) -> Result<(), Failure> {
        match self.resume {
            Some(_) if machine != MachineKind::R0vm => Err(Failure::of_r0vm("--resume", machine)),
            _ => Ok(()),
        }
    }
}

/// How a session is driven.
pub(crate) struct Drive {
    /// Shows progress as long as this lasts.
    _watch: Option<Watch>,
    resumes: u64,
}

/// Why it stopped: the library's error, or one of ours at a pause.
pub(crate) enum Stopped {
    Run(Error),
    Pause(Failure),
}

impl Stopped {
    /// What to say about it.
    pub(crate) fn failure(self, guest: &Guest<'_>, session: &Session<'_>) -> Failure {
        match self {
            Stopped::Run(error) => {
                let repeat = guest.repeat(session.report().as_ref(), session.stats().ecalls > 0);
                Failure::run(&error, &guest.loaded, session, &repeat)
            }
            Stopped::Pause(failure) => failure,
        }
    }
}

impl Drive {
    /// Watches this session from now on.
    pub(crate) fn new(session: &Session<'_>, progress: &Progress, resume: &ResumeArg) -> Drive {
        Drive { _watch: progress.watch(session.cancel_handle()), resumes: resume.resume.unwrap_or(0) }
    }

    /// As [`Session::run_to`]. What a part that ended with a pause came to is shown to `part` before the next begins.
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
