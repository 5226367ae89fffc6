//! The book of what is translated: which words, how many of them more than once, and which entries to take back when one
//! of them is written.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use tachy_runtime::page_of;

use super::region::Region;

/// Times that code in a page may be written over before it has to wait.
const REWRITES: u32 = 16;
/// The longest wait, as a power of two: it then costs about as much as the translation that it puts off.
const WAIT_LOG_MAX: u32 = 6;

/// Instructions that may be translated again, beside one for each that was new: where control comes to the middle of a
/// region, what follows is translated once more from there; and what is written over, once more altogether.
const FREE_REPEATS: u64 = 4096;
/// Steps that pay for each further one: to interpret them takes about as long.
const STEPS_PER_REPEAT: u64 = 2048;
/// Instructions that take as long to translate as what a block takes beside its own.
const BLOCK: u64 = 4;

/// What is known of one page with code.
#[derive(Debug, Clone, Default)]
struct Page {
    /// A bit for each translated word.
    words: [u64; 4],
    /// And for each that ever was, whatever was written there since.
    once: [u64; 4],
    /// Pcs of the entries of regions that hold words of this page.
    entries: Vec<u32>,
    /// Times that a translated word was written.
    rewrites: u32,
    /// Times since the last of them that something here was hot and left to the interpreter.
    waited: u32,
}

impl Page {
    /// Whether it may be translated. Each time that code here is written over makes it wait twice as long, so that a
    /// program that keeps rewriting itself is interpreted, and one that has done so is not.
    fn is_settled(&self) -> bool {
        let late = self.rewrites.saturating_sub(REWRITES).min(WAIT_LOG_MAX);
        self.rewrites < REWRITES || self.waited >= 1 << late
    }
}

/// The book, by page.
#[derive(Debug, Default)]
pub(crate) struct Translations {
    pages: HashMap<u32, Page, FxBuildHasher>,
    /// Instructions translated where none ever was, and where some were; a block counts as some more.
    new: u64,
    repeats: u64,
}

impl Translations {
    /// Whether the word at `address` is part of a translated region.
    pub(crate) fn contains(&self, address: u32) -> bool {
        let (word, bit) = place(address);
        self.pages.get(&page_of(address)).is_some_and(|page| page.words[word] & bit != 0)
    }

    /// Whether code in the page of `address` may be part of a region.
    pub(super) fn is_settled(&self, address: u32) -> bool {
        self.pages.get(&page_of(address)).is_none_or(Page::is_settled)
    }

    /// Whether the hot code at `pc` may be translated now. Asking is what a page waits for.
    pub(super) fn may_translate(&mut self, pc: u32) -> bool {
        let Some(page) = self.pages.get_mut(&page_of(pc)) else { return true };
        let settled = page.is_settled();
        page.waited += !settled as u32;
        settled
    }

    /// Whether the word at `address` was ever part of a translated region.
    pub(super) fn is_repeat(&self, address: u32) -> bool {
        let (word, bit) = place(address);
        self.pages.get(&page_of(address)).is_some_and(|page| page.once[word] & bit != 0)
    }

    /// Whether regions may have words that others have or had, after so many steps. A program can come to each of its
    /// instructions on its own, or write over them now and then; if all that follows were translated each time, a few
    /// steps could keep the translator busy for a long time.
    pub(super) fn may_repeat(&self, steps: u64) -> bool {
        self.repeats <= FREE_REPEATS + self.new + steps / STEPS_PER_REPEAT
    }

    /// The entries of all regions with words in the page of `pc`, if that is a word of one of them.
    pub(super) fn entries_around(&self, pc: u32) -> &[u32] {
        match self.pages.get(&page_of(pc)) {
            Some(page) if self.contains(pc) => &page.entries,
            _ => &[],
        }
    }

    /// Enters a region, the repeats in which are paid for elsewhere if it `is_paid`. The pcs of all pages that it has words
    /// in are returned, for their stores to be watched.
    pub(super) fn add(&mut self, region: &Region, is_paid: bool) -> Vec<u32> {
        let mut touched = Vec::new();
        for (block, placed) in
            region.blocks.iter().flat_map(|block| block.instructions.iter().map(move |it| (block, it)))
        {
            let page = self.pages.entry(page_of(placed.pc)).or_default();
            let (word, bit) = place(placed.pc);
            let cost = if placed.pc == block.pc { 1 + BLOCK } else { 1 };
            match page.once[word] & bit {
                0 => self.new += cost,
                _ => self.repeats += if is_paid { 0 } else { cost },
            }
            page.words[word] |= bit;
            page.once[word] |= bit;
            if touched.last().is_none_or(|&last| page_of(last) != page_of(placed.pc)) {
                touched.push(placed.pc);
                page.entries.extend(region.entry_pcs());
            }
        }
        touched
    }

    /// Forgets every region that has words in the page of `address`, a translated word of which is written; returns
    /// the pcs of their entries.
    pub(super) fn rewrite(&mut self, address: u32) -> Vec<u32> {
        let Some(page) = self.pages.get_mut(&page_of(address)) else { return Vec::new() };
        page.rewrites = page.rewrites.saturating_add(1);
        page.waited = 0;
        page.words = [0; 4];
        std::mem::take(&mut page.entries)
    }

    /// Forgets everything but how often pages were written over.
    pub(super) fn clear(&mut self) {
        self.pages.retain(|_, page| page.rewrites > 0);
        for page in self.pages.values_mut() {
            (page.words, page.once) = Default::default();
            page.entries.clear();
        }
        (self.new, self.repeats) = (0, 0);
    }
}

fn place(address: u32) -> (usize, u64) {
    let word = (address / 4) as usize % 256;
    (word / 64, 1 << (word % 64))
}
