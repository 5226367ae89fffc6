//! Hot code that waits to be compiled. The hottest is compiled first, and is never dropped for something colder. Pure.

use std::collections::BTreeSet;

use foldhash::HashMap;

/// Maximum number of waiting addresses.
const WAITING: usize = 4096;

/// Waiting addresses, by hotness.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    by_hotness: BTreeSet<(u16, u32)>,
    hotness: HashMap<u32, u16>,
}

impl Candidates {
    pub(crate) fn is_empty(&self) -> bool {
        self.hotness.is_empty()
    }

    /// Lets `pc` wait, or updates its hotness. If too many wait, the coldest is dropped.
    pub(crate) fn offer(&mut self, pc: u32, hotness: u16) {
        if let Some(before) = self.hotness.insert(pc, hotness) {
            self.by_hotness.remove(&(before, pc));
        }
        self.by_hotness.insert((hotness, pc));
        if self.hotness.len() > WAITING
            && let Some((_, coldest)) = self.by_hotness.pop_first()
        {
            self.hotness.remove(&coldest);
        }
    }

    /// Takes out the hottest address.
    pub(crate) fn take_hottest(&mut self) -> Option<(u32, u16)> {
        let (hotness, pc) = self.by_hotness.pop_last()?;
        self.hotness.remove(&pc);
        Some((pc, hotness))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_comes_first_and_the_coldest_goes() {
        let mut candidates = Candidates::default();
        (0..WAITING as u32).for_each(|pc| candidates.offer(4 * pc, 200));
        candidates.offer(0x1000_0000, 400);
        candidates.offer(40, 512);
        // Colder than all others, so it does not stay.
        candidates.offer(0x2000_0000, 100);
        assert_eq!(candidates.hotness.len(), WAITING);
        assert_eq!(candidates.take_hottest(), Some((40, 512)));
        assert_eq!(candidates.take_hottest(), Some((0x1000_0000, 400)));
        let mut rest: Vec<_> = std::iter::from_fn(|| candidates.take_hottest()).collect();
        assert!(candidates.is_empty() && candidates.by_hotness.is_empty());
        assert!(rest.iter().all(|&(pc, hotness)| hotness == 200 && pc != 40));
        rest.dedup();
        assert_eq!(rest.len(), WAITING - 2);
    }
}
