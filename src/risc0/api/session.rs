//! What a [`Session`] on machine `r0vm` tells.

use crate::risc0::{Report, served_ecall};
use crate::session::Session;

/// On machine `r0vm`.
impl Session<'_> {
    /// What the session came to: cycles, segments, journal; `None` on another machine.
    pub fn report(&self) -> Option<Report> {
        self.machine_report()?.downcast().ok().map(|report| *report)
    }

    /// The address of the user program's ecall that the kernel is serving: where an error in the kernel came from. `None`
    /// where the pc is the user program's own, where no user program has called, and on another machine.
    pub fn served_ecall(&self) -> Option<u32> {
        self.report()?;
        served_ecall(self.pc(), |address| self.word(address))
    }
}
