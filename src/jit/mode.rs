//! A mode of a machine, as the JIT's callers name it. It must not know which machine the mode belongs to.

use std::fmt;

use crate::rules::Rules;

/// A mode of a machine, for which code is compiled. [`MachineKind::modes`](crate::MachineKind::modes) lists them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    name: &'static str,
    pub(super) rules: &'static Rules,
}

impl Mode {
    pub(crate) const fn new(name: &'static str, rules: &'static Rules) -> Mode {
        Mode { name, rules }
    }

    /// Returns the mode's name: "bare", or "user" and "machine" on R0VM.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Returns whether the address `pc` permits instructions to run in this mode.
    pub fn may_run(self, pc: u32) -> bool {
        self.rules.fetch_range.is_none_or(|(first, last)| (first..=last).contains(&pc))
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mode").field(&self.name).finish()
    }
}
