//! Native code of a session in each mode of its machine: one mode's is current, stores into code concern all.

use tachy_runtime::{CodeMemory, Vm};

use super::Native;
use crate::engine::Stats;
use crate::interpreter::{DecodedPages, Tier};

/// A [`Native`] for each mode.
pub(crate) struct Natives {
    modes: Vec<Native>,
    current: usize,
}

impl Natives {
    /// Of a machine with these modes, at least one; the first is current.
    pub(super) fn new(modes: Vec<Native>) -> Natives {
        Natives { modes, current: 0 }
    }

    /// Makes the mode with this index the current one.
    #[inline]
    pub(crate) fn set_mode(&mut self, mode: usize) {
        self.current = mode.min(self.modes.len() - 1);
    }

    #[inline]
    fn current(&mut self) -> &mut Native {
        &mut self.modes[self.current]
    }

    /// As [`Native::prepare`], in the current mode.
    pub(crate) fn prepare(&mut self, vm: &mut Vm, pages: &mut DecodedPages) -> bool {
        self.current().prepare(vm, pages)
    }

    /// Code of the current mode.
    pub(crate) fn code(&self) -> &CodeMemory {
        self.modes[self.current].code()
    }

    /// Whether the word at `address` is translated in any mode.
    pub(crate) fn contains(&self, address: u32) -> bool {
        self.modes.iter().any(|native| native.contains(address))
    }

    /// Adds what was translated for this session to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        self.modes.iter().for_each(|native| native.report(stats));
    }
}

impl Tier for Natives {
    #[inline]
    fn arrive(&mut self, pages: &mut DecodedPages, pc: u32) -> bool {
        self.current().arrive(pages, pc)
    }

    fn jumped(&mut self, from: u32, to: u32) {
        self.current().jumped(from, to);
    }

    fn code_written(&mut self, address: u32) {
        self.modes.iter_mut().for_each(|native| native.code_written(address));
    }
}
