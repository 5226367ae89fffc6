//! Region transitions: whether native code moves from region to region so often that merging them is worthwhile.
//!
//! A region begins at the address that gets hot first. If the parts of a loop get hot one after the other, the loop is
//! spread over several regions and passes through all of them in each round. It must not know what a region is.

/// Transfers closer together than this are frequent: a transfer costs about as much as ten steps.
const FEW_STEPS: u64 = 128;
/// Recompiled instructions that have to pay off in one interval: about as many as can be compiled in that time.
const PAID_INSTRUCTIONS: u64 = 16;
/// The part of transfers that a merge has to remove to count as a gain.
const GAIN: u64 = 8;

/// Checks now and then, and more rarely each time that a merge is impossible or has gained little.
#[derive(Debug)]
pub(crate) struct RegionTransitions {
    /// Steps between two checks; 0 for never.
    every_steps: u64,
    /// The next check is not before this step.
    next_step: u64,
    /// Steps and transfers at the last check.
    step: u64,
    transfers: u64,
    /// Transfers in 2^20 steps before regions were merged, until the next check.
    before: Option<u64>,
    /// Transfers in 2^20 steps at the last check.
    rate: u64,
}

impl RegionTransitions {
    /// Creates the policy with this number of steps between checks; it never checks if the number is 0.
    pub(crate) fn new(every_steps: u32) -> RegionTransitions {
        let every_steps = every_steps.into();
        RegionTransitions { every_steps, next_step: every_steps, step: 0, transfers: 0, before: None, rate: 0 }
    }

    /// Returns whether it is time to check, and transfers were frequent since the last check. Both counts are of the
    /// whole session.
    #[inline]
    pub(crate) fn are_frequent(&mut self, step: u64, transfers: u64) -> bool {
        if self.every_steps == 0 || step < self.next_step {
            return false;
        }
        let new = transfers.saturating_sub(self.transfers);
        self.rate = new.saturating_mul(1 << 20) / (step - self.step).max(1);
        (self.step, self.transfers) = (step, transfers);
        if self.before.take().is_some_and(|before| self.rate > before - before / GAIN) {
            self.tire();
        }
        self.next_step = step.saturating_add(self.every_steps);
        self.rate > (1 << 20) / FEW_STEPS
    }

    /// Records that this many instructions are recompiled: they have to pay off before there are more.
    pub(crate) fn pay(&mut self, instructions: usize) {
        let intervals = instructions as u64 / PAID_INSTRUCTIONS;
        self.before = (instructions > 0).then_some(self.rate);
        self.next_step = self.next_step.saturating_add(self.every_steps.saturating_mul(intervals));
    }

    /// Checks half as often from now on.
    pub(crate) fn tire(&mut self) {
        self.every_steps = self.every_steps.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks at steps 100, 200, 300 and so on; returns whether transfers were frequent at each. `new_transfers` counts
    /// from the previous check.
    fn frequent(transitions: &mut RegionTransitions, new_transfers: &[u64]) -> Vec<bool> {
        let mut all = 0;
        let checks = (1..).zip(new_transfers);
        checks
            .map(|(check, new)| {
                all += new;
                transitions.are_frequent(100 * check, all)
            })
            .collect()
    }

    #[test]
    fn one_transfer_in_fewer_than_128_steps_is_frequent() {
        assert_eq!(frequent(&mut RegionTransitions::new(100), &[0, 1, 50, 0]), [false, true, true, false]);
        assert_eq!(frequent(&mut RegionTransitions::new(0), &[50, 50]), [false; 2], "never");
        assert_eq!(frequent(&mut RegionTransitions::new(200), &[50, 50, 50, 50]), [false, true, false, true]);
    }

    #[test]
    fn a_merge_has_to_pay_off_before_the_next() {
        let mut transitions = RegionTransitions::new(100);
        assert!(transitions.are_frequent(100, 50));
        // Two intervals for 32 instructions, in addition to the one between any two checks.
        transitions.pay(32);
        let next: Vec<bool> = (2..=5).map(|check| transitions.are_frequent(100 * check, 50 * check)).collect();
        assert_eq!(next, [false, false, true, false], "and it gained nothing, so that the next check is later");
    }
}
