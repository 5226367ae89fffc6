//! R0VM's report in an [`Outcome`].

use crate::outcome::Outcome;
use crate::risc0::Report;

/// On machine `r0vm`.
impl Outcome {
    /// What the session came to: cycles, segments, journal, assumptions, claim; `None` on another machine.
    pub fn report(&self) -> Option<&Report> {
        self.machine_report.0.as_ref()?.downcast_ref()
    }

    /// As [`Outcome::report`], for those who want to own it.
    pub fn into_report(self) -> Option<Report> {
        self.machine_report.0?.downcast().ok().map(|report| *report)
    }
}
