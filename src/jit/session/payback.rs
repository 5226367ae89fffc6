//! The budget for compilation in a session: no more than its steps have earned.
//!
//! Interpreting is cheap and certain. Compiling a piece of code costs thousands of times as much as interpreting it
//! once, and pays only if the code runs often enough afterwards, which is unknown in advance. So a session keeps an
//! account in *units*, each as much processor time as one interpreted step:
//!
//! ```text
//! earned = FREE                        the least that a program with one hot loop needs
//!        + work / SHARE                what the whole run may be slower than the interpreter: its steps, and what the
//!                                      machine worked in system calls
//!        + GAIN * native steps         what native code saved
//!        - ENTRY * entries             and what it cost to go there
//! spent  = REGION * regions + INSTRUCTION * instructions, of all regions that the session requested
//!        + BYTE * bytes of code beyond that, of each that was translated
//! ```
//!
//! The session requests another region only while it has earned more than it has spent. If the prices are right, a run
//! therefore costs at most 1 + 1 / SHARE times the interpreter's time, plus FREE, plus one region, whatever the program
//! does next. Where native code is worthwhile, it earns much more: a loop of twenty instructions costs 105,000 units
//! and has paid for itself after 130,000 steps. It must not know what is compiled.

use crate::jit::code::price::price;
use crate::trace::Level;

/// Units available from the start: 2 ms.
const FREE: u64 = 750_000;
/// The share of all work that may be lost: one unit in this many.
const SHARE: u64 = 28;
/// Units to enter and leave native code: some 80 ns.
pub(crate) const ENTRY: u64 = 24;
/// The account of a session.
#[derive(Debug, Default)]
pub(crate) struct Payback {
    native_steps: u64,
    machine_work_steps: u64,
    entries: u64,
    spent: u64,
    is_unlimited: bool,
}

impl Payback {
    /// Creates an account that pays only what is earned.
    pub(crate) fn earning() -> Payback {
        Payback::default()
    }

    /// Creates an account that pays everything.
    pub(crate) fn unlimited() -> Payback {
        Payback { is_unlimited: true, ..Payback::default() }
    }

    /// Records that native code was entered and ran for `native_steps` steps.
    pub(crate) fn earn(&mut self, native_steps: u64) {
        self.native_steps += native_steps;
        self.entries += 1;
    }

    /// Records that the machine has worked for as long as this many steps take so far, beside the steps.
    pub(crate) fn set_machine_work(&mut self, steps: u64) {
        self.machine_work_steps = steps;
    }

    /// Returns the steps of native code so far.
    pub(crate) fn native_steps(&self) -> u64 {
        self.native_steps
    }

    /// Returns whether the account pays everything.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// Returns whether a further region may be compiled after this many steps of the session. The compiler knows
    /// `beyond_price`, the part of the regions' price that was not paid in advance.
    pub(crate) fn has_credit(&self, steps: u64, beyond_price: u64) -> bool {
        // A native step takes at most a fifth of the time of an interpreted one.
        let saved = self.native_steps - self.native_steps / 5;
        let work = steps.saturating_add(self.machine_work_steps);
        let earned = FREE.saturating_add(work / SHARE).saturating_add(saved);
        self.is_unlimited
            || earned > self.spent.saturating_add(beyond_price).saturating_add(self.entries.saturating_mul(ENTRY))
    }

    /// Pays for a region of this many instructions that is about to be compiled.
    pub(crate) fn spend(&mut self, instructions: usize, level: Level) {
        self.spent = self.spent.saturating_add(price(instructions, 0, level));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::code::price::{REGION, instruction};

    #[test]
    fn steps_and_native_code_earn_what_regions_cost() {
        let mut account = Payback::earning();
        assert!(account.has_credit(0, 0));
        account.spend(256, Level::Off);
        assert!(!account.has_credit(0, 0), "one region of the largest size is more than what is free");
        let debt = REGION + 256 * instruction(Level::Off) - FREE;
        assert!(!account.has_credit(SHARE * debt, 0) && account.has_credit(SHARE * (debt + 1), 0));
        assert!(!account.has_credit(SHARE * (debt + 1), 1) && account.has_credit(SHARE * (debt + 2), 1));
        account.set_machine_work(SHARE);
        assert!(!account.has_credit(SHARE * (debt - 1), 0) && account.has_credit(SHARE * debt, 0));
        account.set_machine_work(0);
        account.earn(2 * debt);
        assert!(account.has_credit(0, 0));
        // Entries that run for a few steps each cost more than they save.
        (0..debt).for_each(|_| account.earn(4));
        assert!(!account.has_credit(0, 0));
    }

    #[test]
    fn an_unlimited_account_pays_everything() {
        let mut account = Payback::unlimited();
        (0..1000).for_each(|_| account.spend(2000, Level::Rows));
        assert!(account.has_credit(0, u64::MAX));
    }
}
