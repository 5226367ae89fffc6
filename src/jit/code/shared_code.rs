//! Where a program's code lies before its first step. Sessions share native code of these words, each until it writes
//! there.
//!
//! It must not know what is translated, nor what a page's state means.

use tachy_runtime::page_of;

/// Pages that sessions watch, at the most: each marks them all when it begins. What has more code is not shared.
const PAGES_MAX: u32 = 8192;

/// Whole words of code.
#[derive(Debug)]
pub(crate) struct SharedCode {
    /// The address of the first word and of the last, sorted, none of them touching another.
    ranges: Vec<(u32, u32)>,
}

impl SharedCode {
    /// The words in these ranges, each a first address and one past the last. `None` if there are none, or too many.
    pub(crate) fn new(code: &[(u32, u64)]) -> Option<SharedCode> {
        let mut words: Vec<(u64, u64)> =
            code.iter().map(|&(first, end)| (u64::from(first).div_ceil(4), end.min(1 << 32) / 4)).collect();
        words.retain(|(first, end)| first < end);
        words.sort_unstable();
        words.dedup_by(|(first, end), (_, end_before)| {
            let touches = *first <= *end_before;
            *end_before = if touches { (*end_before).max(*end) } else { *end_before };
            touches
        });
        let ranges: Vec<_> =
            words.into_iter().map(|(first, end)| ((first * 4) as u32, ((end - 1) * 4) as u32)).collect();
        let pages: u64 = ranges.iter().map(|&(first, last)| u64::from(page_of(last) - page_of(first)) + 1).sum();
        (1..=u64::from(PAGES_MAX)).contains(&pages).then_some(SharedCode { ranges })
    }

    /// Whether the word at `address` is one of them.
    pub(crate) fn contains(&self, address: u32) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|&(_, last)| address & !3 <= last)
    }

    /// The numbers of the pages that have any of them; some may come twice.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u32> {
        self.ranges.iter().flat_map(|&(first, last)| page_of(first)..=page_of(last))
    }
}
