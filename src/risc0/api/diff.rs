//! R0VM's report in a comparison of both engines.

use crate::diff;
use crate::risc0::Report;

/// On machine `r0vm`.
impl diff::Report {
    /// What the JIT's session came to; `None` on another machine.
    pub fn risc0(&self) -> Option<&Report> {
        self.machine_report.as_ref()?.downcast_ref()
    }
}
