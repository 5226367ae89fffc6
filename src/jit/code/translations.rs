//! A session's record of its compiled code: which words it holds, how many words were compiled more than once, which
//! regions are in progress, and which entries to withdraw when a word is written.

use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use foldhash::{HashMap, HashSet};
use tachy_runtime::page_of;

use crate::jit::analysis::merging::Purpose;
use crate::jit::analysis::region::Region;

/// Times that code in a page may be overwritten before it has to wait.
const REWRITES: u32 = 16;
/// The longest wait, as a power of two. It then costs about as much as the compilation that it delays.
const WAIT_LOG_MAX: u32 = 6;

/// Instructions that may be compiled again, in addition to one for each new one. If control enters the middle of a
/// region, the code from there on is compiled again; so is all code that is overwritten.
const FREE_REPEATS: u64 = 4096;
/// Steps that pay for each further repeat: interpreting them takes about as long.
const STEPS_PER_REPEAT: u64 = 2048;
/// Instructions that take as long to compile as the overhead of a block.
const BLOCK: u64 = 4;

/// Number of a page's regions below which looking for withdrawn ones is not worthwhile.
const REGIONS_MIN: usize = 16;

/// The record of one page with code.
#[derive(Debug, Clone, Default)]
struct Page {
    /// One bit for each compiled word.
    words: [u64; 4],
    /// One bit for each word that was ever compiled, whatever was written there since.
    once: [u64; 4],
    /// Numbers of the regions that hold words of this page, and of some withdrawn ones. The latter are removed when
    /// there are `regions_max` numbers.
    regions: Vec<u32>,
    regions_max: usize,
    /// Times that a compiled word was written.
    rewrites: u32,
    /// Times since the last rewrite that some code here was hot and left to the interpreter.
    waited: u32,
}

impl Page {
    /// Returns whether the page may be compiled. Each overwrite of code here doubles the wait. So a program that keeps
    /// rewriting itself is interpreted, and one that has stopped doing so is not.
    fn is_settled(&self) -> bool {
        let late = self.rewrites.saturating_sub(REWRITES).min(WAIT_LOG_MAX);
        self.rewrites < REWRITES || self.waited >= 1 << late
    }

    /// Enters the region with this number. Numbers that are no longer in `regions` are removed each time that they may
    /// be half of all.
    fn enter(&mut self, number: u32, regions: &Regions) {
        if self.regions.len() >= self.regions_max {
            self.regions.retain(|number| regions.contains_key(number));
            self.regions_max = (2 * self.regions.len()).max(REGIONS_MIN);
        }
        self.regions.push(number);
    }
}

/// Entry pcs by the number of their region.
type Regions = HashMap<u32, Box<[u32]>>;

/// A region that may be on its way to code memory.
#[derive(Debug)]
struct UnderWay {
    number: u32,
    /// From its first word to its last.
    pcs: RangeInclusive<u32>,
    /// The region, which its job holds.
    region: Weak<Region>,
}

impl UnderWay {
    fn has(&self, pc: u32) -> bool {
        self.pcs.contains(&pc) && self.region.upgrade().is_some_and(|region| region.contains(pc))
    }
}

/// The compiled code of a session, by page.
#[derive(Debug, Default)]
pub(crate) struct Translations {
    pages: HashMap<u32, Page>,
    /// The entry pcs of each region that was not withdrawn, by its number.
    regions: Regions,
    /// Regions in progress, and some that have ended.
    under_way: Vec<UnderWay>,
    /// New and repeated instructions that were compiled; a block counts as some more.
    new: u64,
    repeats: u64,
}

impl Translations {
    /// Returns whether the word at `address` is part of a compiled region.
    pub(crate) fn contains(&self, address: u32) -> bool {
        let (word, bit) = place(address);
        self.pages.get(&page_of(address)).is_some_and(|page| page.words[word] & bit != 0)
    }

    /// Returns whether code in the page of `address` may be part of a region.
    pub(crate) fn is_settled(&self, address: u32) -> bool {
        self.pages.get(&page_of(address)).is_none_or(Page::is_settled)
    }

    /// Returns whether the hot code at `pc` may be compiled now. Each call counts towards the page's wait.
    pub(crate) fn may_translate(&mut self, pc: u32) -> bool {
        let Some(page) = self.pages.get_mut(&page_of(pc)) else { return true };
        let settled = page.is_settled();
        page.waited += !settled as u32;
        settled
    }

    /// Returns whether the word at `address` was ever part of a compiled region.
    pub(crate) fn is_repeat(&self, address: u32) -> bool {
        let (word, bit) = place(address);
        self.pages.get(&page_of(address)).is_some_and(|page| page.once[word] & bit != 0)
    }

    /// Returns whether regions may, after this many steps, contain words that others contain or contained.
    ///
    /// A program can enter each of its instructions separately, or overwrite them now and then. If all code that
    /// follows were compiled each time, a few steps could keep the compiler busy for a long time.
    pub(crate) fn may_repeat(&self, steps: u64) -> bool {
        self.repeats <= FREE_REPEATS + self.new + steps / STEPS_PER_REPEAT
    }

    /// Returns whether the word at `pc` is part of a region in progress. The time is proportional to the number of
    /// those, not to the amount of earlier compilations.
    pub(crate) fn is_under_way(&mut self, pc: u32) -> bool {
        self.forget_ended();
        self.under_way.iter().any(|region| region.has(pc))
    }

    fn forget_ended(&mut self) {
        self.under_way.retain(|region| region.region.strong_count() > 0);
    }

    /// Enters the region with this number, which is in progress as long as its job holds it. The repeats of a merged
    /// region are paid for elsewhere. Returns one pc in each page that the region has words in, so that stores there
    /// are watched.
    pub(crate) fn add(&mut self, number: u32, region: &Arc<Region>, purpose: Purpose) -> Vec<u32> {
        self.forget_ended();
        let (lowest, highest) = region.pcs().fold((u32::MAX, 0), |(low, high), pc| (low.min(pc), high.max(pc)));
        let pcs = lowest..=highest;
        self.under_way.push(UnderWay { number, pcs, region: Arc::downgrade(region) });
        self.regions.insert(number, region.entry_pcs().collect());
        let mut touched = Vec::new();
        let leaders = region.blocks.iter().map(|block| block.pc).chain(region.systems.iter().copied());
        let leaders: HashSet<u32> = leaders.collect();
        for pc in region.pcs() {
            let page = self.pages.entry(page_of(pc)).or_default();
            let (word, bit) = place(pc);
            let cost = if leaders.contains(&pc) { 1 + BLOCK } else { 1 };
            match page.once[word] & bit {
                0 => self.new += cost,
                _ if purpose == Purpose::New => self.repeats += cost,
                _ => {}
            }
            page.words[word] |= bit;
            page.once[word] |= bit;
            if !touched.iter().rev().any(|&before| page_of(before) == page_of(pc)) {
                touched.push(pc);
                page.enter(number, &self.regions);
            }
        }
        touched
    }

    /// Forgets every region that has words in the page of `address`, where a compiled word is written. Returns the pcs
    /// of their entries.
    pub(crate) fn rewrite(&mut self, address: u32) -> Vec<u32> {
        let Some(page) = self.pages.get_mut(&page_of(address)) else { return Vec::new() };
        page.rewrites = page.rewrites.saturating_add(1);
        page.waited = 0;
        page.words = [0; 4];
        page.regions_max = 0;
        let numbers = std::mem::take(&mut page.regions);
        let Translations { regions, under_way, .. } = self;
        let entries = numbers.into_iter().filter_map(|number| regions.remove(&number)).flatten().collect();
        // Those in progress will not be published.
        under_way.retain(|region| regions.contains_key(&region.number));
        entries
    }

    /// Forgets everything except how often pages were overwritten.
    pub(crate) fn clear(&mut self) {
        self.pages.retain(|_, page| page.rewrites > 0);
        for page in self.pages.values_mut() {
            *page = Page { rewrites: page.rewrites, waited: page.waited, ..Page::default() };
        }
        let Translations { regions, under_way, new, repeats, .. } = self;
        (*regions, *under_way, *new, *repeats) = Default::default();
    }
}

fn place(address: u32) -> (usize, u64) {
    let word = (address / 4) as usize % 256;
    (word / 64, 1 << (word % 64))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::isa::Variant;
    use crate::jit::analysis::testing::{START, assemble};

    const PAGE: u32 = 1024;

    /// Creates a region with a call in each of `pages` pages, each leading to the next, all of which return. Further
    /// regions begin 8 bytes behind each other.
    fn region(entry: u32, pages: u32) -> Arc<Region> {
        let mut text = String::new();
        for page in 0..pages {
            let call = if page + 1 == pages { "jalr x0,0(x1)" } else { "jal x1,1024" };
            let _ = write!(text, " .org {}\n {call}\n jalr x0,0(x1)\n", page * PAGE + entry);
        }
        let region = Region::discover(START + entry, Variant::Standard, 2000, &assemble(&text));
        Arc::new(region.expect("its words can be translated"))
    }

    /// Returns how many numbers are kept for regions in pages, and for their entries.
    fn held(translations: &Translations) -> (usize, usize) {
        let numbers = translations.pages.values().map(|page| page.regions.capacity()).sum();
        (numbers, translations.regions.values().map(|entries| entries.len()).sum())
    }

    #[test]
    fn what_is_under_way_is_looked_at_and_nothing_else() {
        let mut translations = Translations::default();
        for number in 1..=100 {
            let region = region(8 * number, 4);
            let entry = START + 8 * number;
            translations.add(number, &region, Purpose::New);
            assert!(translations.is_under_way(entry) && translations.is_under_way(entry + 2 * PAGE));
            // In the same page, but not a word of this region.
            assert!(!translations.is_under_way(entry - 8));
            drop(region);
            assert!(!translations.is_under_way(entry) && translations.contains(entry));
            assert!(translations.under_way.is_empty(), "what has ended is not looked at again");
        }
        // Nor is it kept if nothing looks there.
        (101..=110).for_each(|number| drop(translations.add(number, &region(8 * number, 4), Purpose::New)));
        assert!(translations.under_way.len() <= 1, "{}", translations.under_way.len());
    }

    #[test]
    fn a_region_of_many_pages_is_kept_once() {
        const PAGES: u32 = 60;
        let mut translations = Translations::default();
        for number in 1..=100 {
            let region = region(8 * number, PAGES);
            assert_eq!(region.entries.len(), PAGES as usize);
            assert_eq!(translations.add(number, &region, Purpose::New).len(), PAGES as usize);
        }
        let (numbers, entries) = held(&translations);
        assert!(numbers <= 100 * PAGES as usize * 2 && entries == 100 * PAGES as usize, "{numbers}, {entries}");
        translations.clear();
        assert_eq!(held(&translations), (0, 0));
    }

    #[test]
    fn what_is_taken_back_is_not_kept_in_its_other_pages() {
        let mut translations = Translations::default();
        for number in 1..=10_000 {
            let region = region(8, 3);
            translations.add(number, &region, Purpose::New);
            let mut entries = translations.rewrite(START + 8);
            entries.sort_unstable();
            assert_eq!(entries, [8, 12, PAGE + 12].map(|at| START + at), "the first entry, and behind the calls");
        }
        let (numbers, entries) = held(&translations);
        assert!(numbers <= 4 * REGIONS_MIN && entries == 0, "{numbers}, {entries}");
        // A region in both pages is withdrawn once, and then no longer waited for.
        let region = region(8, 3);
        translations.add(10_001, &region, Purpose::New);
        assert!(translations.is_under_way(START + 8));
        assert_eq!(
            (
                translations.rewrite(START + PAGE + 8).len(),
                translations.rewrite(START + 8).len(),
                translations.is_under_way(START + 8)
            ),
            (3, 0, false)
        );
    }

    /// A page may be overwritten sixteen times. Then hot code there waits, twice as long after each further time.
    #[test]
    fn a_page_that_is_written_over_again_and_again_waits_longer_each_time() {
        let mut translations = Translations::default();
        let mut waits = Vec::new();
        for number in 1..=26 {
            translations.add(number, &region(8, 1), Purpose::New);
            translations.rewrite(START + 8);
            waits.push((0..).take_while(|_| !translations.may_translate(START + 8)).count());
        }
        let doubling = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64];
        assert_eq!(waits, [&[0; 15][..], &doubling].concat());
    }

    #[test]
    fn repeats_are_free_up_to_a_number_then_paid_by_steps() {
        let mut translations = Translations::default();
        let region = region(8, 1);
        let mut times = 0;
        while translations.may_repeat(0) {
            times += 1;
            translations.add(times, &region, Purpose::New);
        }
        assert!(u64::from(times) > FREE_REPEATS / (2 * (1 + BLOCK)), "{times}");
        assert!(translations.may_repeat(STEPS_PER_REPEAT * 2 * (1 + BLOCK)), "steps pay for them");
        assert!(translations.is_repeat(START + 8) && !translations.is_repeat(START + 16));
        // Merged code is paid for elsewhere.
        let mut merged = Translations::default();
        (1..=2 * times).for_each(|number| drop(merged.add(number, &region, Purpose::Merge)));
        assert!(merged.may_repeat(0));
    }
}
