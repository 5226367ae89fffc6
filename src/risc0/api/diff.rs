//! R0VM's report in a comparison of both engines. This file must not know how engines are compared.

use crate::diff;
use crate::risc0::Report;

/// For machine `r0vm`.
impl diff::Report {
    /// Returns the report of the JIT's session; `None` on another machine.
    pub fn risc0(&self) -> Option<&Report> {
        self.machine_report.as_ref()?.downcast_ref()
    }
}
