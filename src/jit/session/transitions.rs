//! Region transitions: whether native code goes from region to region so often that merging them is worth while.
//!
//! Regions begin at what gets hot first. A loop whose parts get hot one after the other comes to lie in several
//! of them then, and goes through all in each round. It must not know what a region is.

/// Fewer steps than this from one transfer to the next are few: a transfer costs about as much as ten of them.
const FEW_STEPS: u64 = 128;
/// Recompiled instructions that have to pay off in one interval: about as long as that takes.
const PAID_INSTRUCTIONS: u64 = 16;
/// The part of transfers that have to be gone after that, or it was hardly worth it.
const GAIN: u64 = 8;

/// Looks now and then, and more rarely each time that nothing can be done or what was done came to little.
#[derive(Debug)]
pub(crate) struct RegionTransitions {
    /// Steps between two looks; 0: never.
    every_steps: u64,
    /// The next look is not before this step.
    next_step: u64,
    /// Steps and transfers at the last look.
    step: u64,
    transfers: u64,
    /// Transfers in 2^20 steps before regions were merged, until the next look.
    before: Option<u64>,
    /// The same at the last look.
    rate: u64,
}

impl RegionTransitions {
    /// Looks after so many steps; never, if that is 0.
    pub(crate) fn new(every_steps: u32) -> RegionTransitions {
        let every_steps = every_steps.into();
        RegionTransitions { every_steps, next_step: every_steps, step: 0, transfers: 0, before: None, rate: 0 }
    }

    /// Whether it is time to look, and transfers were frequent since the last look. Both counts are of the whole session.
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

    /// So many instructions are recompiled: it has to pay off before there are more.
    pub(crate) fn pay(&mut self, instructions: usize) {
        let intervals = instructions as u64 / PAID_INSTRUCTIONS;
        self.before = (instructions > 0).then_some(self.rate);
        self.next_step = self.next_step.saturating_add(self.every_steps.saturating_mul(intervals));
    }

    /// Looks half as often.
    pub(crate) fn tire(&mut self) {
        self.every_steps = self.every_steps.saturating_mul(2);
    }
}
