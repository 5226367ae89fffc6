//! The location of a program's code before its first step. Sessions share native code of these words, each until it
//! writes there.
//!
//! It must not know what is compiled, nor what a page's state means.

use tachy_runtime::page_of;

/// Maximum number of pages that sessions watch: each session marks them all when it begins. Programs with more code do
/// not share it.
const PAGES_MAX: u32 = 8192;

/// Whole words of code.
#[derive(Debug)]
pub(crate) struct SharedCode {
    /// First and last address of each range, sorted; the ranges neither overlap nor touch.
    ranges: Vec<(u32, u32)>,
}

impl SharedCode {
    /// Collects the words in these ranges, each a first address and the first address past it. Returns `None` if there
    /// are no words, or too many.
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

    /// Returns whether the word at `address` is one of them.
    pub(crate) fn contains(&self, address: u32) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        after.checked_sub(1).and_then(|at| self.ranges.get(at)).is_some_and(|&(_, last)| address & !3 <= last)
    }

    /// Returns the numbers of their pages; a number may occur twice.
    pub(crate) fn pages(&self) -> impl Iterator<Item = u32> {
        self.ranges.iter().flat_map(|&(first, last)| page_of(first)..=page_of(last))
    }
}
