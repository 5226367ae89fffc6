//! The book of what is translated: which words, and which entries to take back when one of them is written.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use tachy_runtime::page_of;

use super::region::Region;

/// Times that code in a page may be written over before it is left to the interpreter.
const REWRITES: u32 = 16;

/// What is known of one page with code.
#[derive(Debug, Clone, Default)]
struct Page {
    /// A bit for each translated word.
    words: [u64; 4],
    /// Pcs of the entries of regions that hold words of this page.
    entries: Vec<u32>,
    /// Times that a translated word was written.
    rewrites: u32,
}

/// The book, by page.
#[derive(Debug, Default)]
pub(crate) struct Translations {
    pages: HashMap<u32, Page, FxBuildHasher>,
}

impl Translations {
    /// Whether the word at `address` is part of a translated region.
    pub(crate) fn contains(&self, address: u32) -> bool {
        let (word, bit) = place(address);
        self.pages.get(&page_of(address)).is_some_and(|page| page.words[word] & bit != 0)
    }

    /// Whether code in the page of `address` is written over too often to be worth translating.
    pub(super) fn is_unstable(&self, address: u32) -> bool {
        self.pages.get(&page_of(address)).is_some_and(|page| page.rewrites >= REWRITES)
    }

    /// Enters a region. The pcs of all pages that it has words in are returned, for their stores to be watched.
    pub(super) fn add(&mut self, region: &Region) -> Vec<u32> {
        let entries = region.entries.iter().map(|&entry| region.blocks[entry].pc);
        let mut touched = Vec::new();
        for placed in region.blocks.iter().flat_map(|block| &block.instructions) {
            let page = self.pages.entry(page_of(placed.pc)).or_default();
            let (word, bit) = place(placed.pc);
            page.words[word] |= bit;
            if touched.last().is_none_or(|&last| page_of(last) != page_of(placed.pc)) {
                touched.push(placed.pc);
                page.entries.extend(entries.clone());
            }
        }
        touched
    }

    /// Forgets every region that has words in the page of `address`, a translated word of which is written; returns
    /// the pcs of their entries.
    pub(super) fn rewrite(&mut self, address: u32) -> Vec<u32> {
        let Some(page) = self.pages.get_mut(&page_of(address)) else { return Vec::new() };
        page.rewrites += 1;
        page.words = [0; 4];
        std::mem::take(&mut page.entries)
    }

    /// Forgets everything but which pages are unstable.
    pub(super) fn clear(&mut self) {
        self.pages.retain(|_, page| page.rewrites > 0);
        for page in self.pages.values_mut() {
            page.words = [0; 4];
            page.entries.clear();
        }
    }
}

fn place(address: u32) -> (usize, u64) {
    let word = (address / 4) as usize % 256;
    (word / 64, 1 << (word % 64))
}
