//! Region merging: regions between which control moves too often become one. Pure.
//!
//! ```text
//! a session sees many transfers between regions:
//!     pick the entry E that control went to last
//!     unless E was merged MERGES_MAX times already:
//!         discover a region from E again, up to four times as large, and walk into other regions' entries
//!         if the result holds an entry of any other region: translate it, and give it the entries that it holds
//!         otherwise count the attempt, so that nobody tries for ever
//! ```
//!
//! It must not know how regions are found, compiled or published.

use foldhash::HashMap;

use super::region::Region;

/// Maximum number of merges of the region at one entry. A program may switch from one phase to another repeatedly, and
/// must not keep the compiler busy forever.
const MERGES_MAX: u8 = 4;

/// Why a region is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// There is no region at its entry.
    New,
    /// It replaces the region at its entry, which control often enters from others. It also covers the code of those,
    /// so that indirect jumps to any of its entries stay inside.
    Merge,
}

/// How often regions were merged, by their entries.
#[derive(Debug, Default)]
pub(crate) struct Merges(HashMap<u32, u8>);

impl Merges {
    /// Returns whether the region at `pc` may be merged once more.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.0.get(&pc).is_none_or(|&times| times < MERGES_MAX)
    }

    /// Counts an attempt to merge others into the region at `pc`.
    pub(crate) fn count(&mut self, pc: u32) {
        let times = self.0.entry(pc).or_insert(0);
        *times = (*times + 1).min(MERGES_MAX);
    }

    /// Returns all counts, sorted by their entries.
    pub(crate) fn counts(&self) -> Vec<(u32, u8)> {
        let mut counts: Vec<_> = self.0.iter().map(|(&pc, &times)| (pc, times)).collect();
        counts.sort_unstable();
        counts
    }

    /// Continues with counts from [`Merges::counts`].
    pub(crate) fn resume(&mut self, counts: &[(u32, u8)]) {
        self.0.extend(counts.iter().copied());
    }
}

/// Returns whether `region` contains an entry of a region other than the one at its own first entry. `region_at`
/// returns the number of the region with an entry at a pc.
pub(crate) fn joins_others(region: &Region, region_at: impl Fn(u32) -> Option<u32>) -> bool {
    let own = region_at(region.entry);
    region.blocks.iter().any(|block| region_at(block.pc).is_some_and(|other| Some(other) != own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::analysis::testing::assemble;

    #[test]
    fn a_merge_must_hold_an_entry_of_another_region() {
        let guest = assemble("main: beq x5,x0,main\nnext: addi x5,x5,1\n bne x5,x6,next\nend: jal x0,main");
        let region = guest.region();
        type Entries = &'static [(&'static str, u32)];
        let cases: [(&str, Entries, bool); 5] = [
            ("nothing is there", &[], false),
            ("its own region", &[("main", 1)], false),
            ("its own region at a second entry", &[("main", 1), ("next", 1)], false),
            ("another region", &[("main", 1), ("next", 2)], true),
            ("another region, and none of its own", &[("end", 2)], true),
        ];
        for (what, entries, expected) in cases {
            let region_at = |pc| entries.iter().find(|(name, _)| guest.at(name) == pc).map(|&(_, number)| number);
            assert_eq!(joins_others(&region, region_at), expected, "{what}");
        }
    }

    #[test]
    fn a_region_is_merged_four_times_at_the_most() {
        let mut merges = Merges::default();
        let mut may_merge = Vec::new();
        for _ in 0..6 {
            may_merge.push(merges.may_merge(8));
            merges.count(8);
        }
        assert_eq!(may_merge, [true, true, true, true, false, false]);
        assert!(merges.may_merge(12), "each entry counts for itself");
    }
}
