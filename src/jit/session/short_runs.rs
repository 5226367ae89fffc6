//! Entries from which native code returns after a few steps, again and again. Entering it costs more than interpreting,
//! so the interpreter keeps these entries for a while. Pure.
//!
//! A pause ends after a number of attempts to enter, because the program may have changed its behavior. If nothing has
//! changed, the next pause is twice as long.

/// Runs shorter than this do not pay for entering and leaving.
const FEW_STEPS: u64 = 32;
/// An entry pauses after this many more short runs than long ones.
const SHORT_RUNS: u8 = 32;
/// Attempts to enter in the first pause, and maximum number of doublings. The tries after the longest pause cost less
/// than a hundredth of the interpreter's time for it, and code around the entry may have been compiled meanwhile.
const PAUSE: u32 = 256;
const PAUSE_LOG_MAX: u8 = 4;
/// Number of entries watched; two whose addresses map to the same place replace each other.
const WATCHED: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    /// The entry; meaningless if `short_runs` is 0.
    pc: u32,
    /// Remaining attempts that the interpreter takes.
    left: u32,
    short_runs: u8,
    pauses: u8,
}

/// The entries that returned early.
#[derive(Debug)]
pub(crate) struct ShortRuns(Box<[Watched; WATCHED]>);

impl Default for ShortRuns {
    fn default() -> ShortRuns {
        ShortRuns(Box::new([Watched::default(); WATCHED]))
    }
}

impl ShortRuns {
    fn place(&mut self, pc: u32) -> &mut Watched {
        &mut self.0[pc as usize / 4 % WATCHED]
    }

    /// Records that native code was entered at `pc` and ran for `steps` steps.
    #[inline]
    pub(crate) fn ran(&mut self, pc: u32, steps: u64) {
        let entry = self.place(pc);
        let is_watched = entry.pc == pc && entry.short_runs > 0;
        if steps >= FEW_STEPS {
            // A long run compensates for short ones in proportion to its length.
            if is_watched {
                entry.short_runs = entry.short_runs.saturating_sub((steps / FEW_STEPS).min(255) as u8);
            }
            return;
        }
        if !is_watched {
            *entry = Watched { pc, ..Watched::default() };
        }
        entry.short_runs += 1;
        if entry.short_runs >= SHORT_RUNS {
            entry.left = PAUSE << entry.pauses;
            entry.pauses = (entry.pauses + 1).min(PAUSE_LOG_MAX);
            entry.short_runs = SHORT_RUNS / 2;
        }
    }

    /// Returns whether the interpreter has to continue at the entry `pc`.
    #[inline]
    pub(crate) fn pauses(&mut self, pc: u32) -> bool {
        let entry = self.place(pc);
        let pauses = entry.pc == pc && entry.left > 0;
        entry.left -= pauses as u32;
        pauses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts to enter at `pc`, each a run of `steps` unless the entry pauses; returns how many entered.
    fn entered(runs: &mut ShortRuns, pc: u32, attempts: u32, steps: u64) -> u32 {
        let mut entered = 0;
        for _ in 0..attempts {
            if !runs.pauses(pc) {
                runs.ran(pc, steps);
                entered += 1;
            }
        }
        entered
    }

    #[test]
    fn an_entry_that_comes_back_early_pauses_longer_each_time() {
        let mut runs = ShortRuns::default();
        assert_eq!(entered(&mut runs, 4, 100, 100), 100);
        assert_eq!(entered(&mut runs, 8, 32 + PAUSE, 2), 32);
        assert_eq!(entered(&mut runs, 8, 16 + 2 * PAUSE, 2), 16);
        let tries = (1 << 20) / (PAUSE << PAUSE_LOG_MAX) * u32::from(SHORT_RUNS / 2);
        assert!(entered(&mut runs, 8, 1 << 20, 2) <= tries + 2 * u32::from(SHORT_RUNS));
        // Other entries are entered as before.
        assert_eq!(entered(&mut runs, 4, 100, 100), 100);
    }

    #[test]
    fn long_runs_make_up_for_short_ones() {
        let mut runs = ShortRuns::default();
        for _ in 0..1000 {
            assert_eq!(entered(&mut runs, 8, 4, 2) + entered(&mut runs, 8, 1, 256), 5);
        }
        assert_eq!(runs.place(8).short_runs, 0);
    }

    #[test]
    fn an_entry_that_changes_is_entered_again() {
        let mut runs = ShortRuns::default();
        entered(&mut runs, 8, 10_000, 2);
        let later = entered(&mut runs, 8, 1 << 20, 1000);
        assert!(later > (1 << 20) - (PAUSE << PAUSE_LOG_MAX), "{later}");
        assert_eq!(runs.place(8).short_runs, 0);
    }
}
