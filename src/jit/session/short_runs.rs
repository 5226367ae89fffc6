//! Entries from which native code comes back after a few steps, again and again. Going there costs more than
//! interpreting, so the interpreter keeps them for a while. Pure.
//!
//! A pause ends after so many attempts to enter, since a program may do something else by then; if nothing has changed, the next
//! pause is twice as long.

/// Fewer steps than this do not pay for the way there and back.
const FEW_STEPS: u64 = 8;
/// So many short runs more than long ones, and the entry pauses.
const SHORT_RUNS: u8 = 32;
/// Attempts to enter in the first pause, and doublings of it at the most: the tries after the longest cost less than a hundredth of
/// what the interpreter takes for it, and code around the entry may have been translated meanwhile.
const PAUSE: u32 = 256;
const PAUSE_LOG_MAX: u8 = 4;
/// Entries watched; those whose addresses fall on the same place drive each other out.
const WATCHED: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    /// No entry where `short_runs` is 0.
    pc: u32,
    /// Attempts that are still the interpreter's.
    left: u32,
    short_runs: u8,
    pauses: u8,
}

/// The entries that came back early.
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

    /// Native code was entered at `pc` and did so many steps.
    #[inline]
    pub(crate) fn ran(&mut self, pc: u32, steps: u64) {
        let entry = self.place(pc);
        let is_watched = entry.pc == pc && entry.short_runs > 0;
        if steps >= FEW_STEPS {
            // A long run makes up for as many short ones as it is longer.
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

    /// Whether the interpreter is to go on at the entry `pc`.
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

    /// Attempts to enter at `pc`, each a run of `steps` unless it pauses; how many entered.
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
        // Others are entered as before.
        assert_eq!(entered(&mut runs, 4, 100, 100), 100);
    }

    #[test]
    fn long_runs_make_up_for_short_ones() {
        let mut runs = ShortRuns::default();
        for _ in 0..1000 {
            assert_eq!(entered(&mut runs, 8, 4, 2) + entered(&mut runs, 8, 1, 64), 5);
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
