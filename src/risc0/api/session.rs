//! R0VM's queries of a [`Session`]. This file must not know how a session runs.

use crate::risc0::{Report, served_ecall};
use crate::session::Session;

/// For machine `r0vm`.
impl Session<'_> {
    /// Returns the report so far (cycles, segments, journal); `None` on another machine.
    pub fn report(&self) -> Option<Report> {
        self.machine_report()?.downcast().ok().map(|report| *report)
    }

    /// Returns the address of the user program's ecall that the kernel is serving, which is the source of an error in
    /// the kernel. Returns `None` while the user program itself runs, before its first ecall, and on another machine.
    pub fn served_ecall(&self) -> Option<u32> {
        self.report()?;
        served_ecall(self.pc(), |address| self.word(address))
    }
}
