//! R0VM's queries of a [`Session`]. This file must not know how a session runs.

use crate::machine_kind::MachineKind;
use crate::memory;
use crate::risc0::{Digest, Image, Report, Tree, served_ecall};
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

    /// Returns the Merkle root of memory: after the program has ended or paused, that of the state after its last
    /// segment. Hashes every nonzero page. Returns `None` on another machine.
    pub fn memory_root(&self) -> Option<Digest> {
        if self.machine() != MachineKind::R0vm {
            return None;
        }
        let mut tree = Tree::of(&Image::default());
        tree.update(memory::pages(self.state().vm()).filter_map(|(page, bytes)| Some((page, bytes.try_into().ok()?))));
        Some(tree.root())
    }
}
