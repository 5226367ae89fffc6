//! R0VM's report in an [`Outcome`]. This file must not know how the report was computed.

use crate::outcome::Outcome;
use crate::risc0::Report;

/// For machine `r0vm`.
impl Outcome {
    /// Returns the session's report (cycles, segments, journal, assumptions, claim); `None` on another machine.
    pub fn report(&self) -> Option<&Report> {
        self.machine_report.0.as_ref()?.downcast_ref()
    }

    /// Returns the report by value; see [`Outcome::report`].
    pub fn into_report(self) -> Option<Report> {
        self.machine_report.0?.downcast().ok().map(|report| *report)
    }
}
