//! Counts the pages that a segment has brought in and must write out, and their cost.
//!
//! Memory is the leaves of a binary tree with 2^22 of them. The first touch of a page in a segment pays for the page,
//! and for each node above it that no other page has brought in yet. The first write pays the same again. This file is
//! pure: it knows page numbers, and must not know the contents of pages.

use tachy_runtime::{MapError, PAGES};

use crate::risc0::layout::{NODE_CYCLES, PAGE_CYCLES};

/// A bit for each node of the tree: node 1 is the root, the children of n are 2n and 2n + 1, page p is node 2^22 + p.
struct NodeSet(Vec<u64>);

impl NodeSet {
    fn new() -> Result<NodeSet, MapError> {
        let words = 2 * PAGES as usize / 64;
        // The system provides zeroed memory lazily.
        bytemuck::try_zeroed_vec(words).map(NodeSet).map_err(|()| MapError::allocation(8 * words))
    }

    fn contains(&self, node: u32) -> bool {
        self.0.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 != 0)
    }

    /// Inserts a node, and returns whether it was new.
    fn insert(&mut self, node: u32) -> bool {
        let Some(word) = self.0.get_mut(node as usize / 64) else { return false };
        let new = *word >> (node % 64) & 1 == 0;
        *word |= 1 << (node % 64);
        new
    }

    fn remove(&mut self, node: u32) {
        if let Some(word) = self.0.get_mut(node as usize / 64) {
            *word &= !(1 << (node % 64));
        }
    }
}

/// The pages of a segment.
pub(super) struct Paging {
    loaded: NodeSet,
    dirty: NodeSet,
    /// Loaded pages, in the order of their first touch.
    touched: Vec<u32>,
}

impl Paging {
    pub(super) fn new() -> Result<Paging, MapError> {
        Ok(Paging { loaded: NodeSet::new()?, dirty: NodeSet::new()?, touched: Vec::new() })
    }

    pub(super) fn is_loaded(&self, page: u32) -> bool {
        self.loaded.contains(PAGES + page)
    }

    pub(super) fn is_dirty(&self, page: u32) -> bool {
        self.dirty.contains(PAGES + page)
    }

    /// Returns the pages loaded since the segment began.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Returns the cycles of a page's first touch; 0 if it is already loaded.
    pub(super) fn load_cycles(&self, page: u32) -> u32 {
        cycles(&self.loaded, page)
    }

    /// Returns the cycles of the first write to a loaded page; 0 if it is already dirty.
    pub(super) fn dirty_cycles(&self, page: u32) -> u32 {
        cycles(&self.dirty, page)
    }

    /// Touches a page, and returns the cycles.
    pub(super) fn load(&mut self, page: u32) -> u32 {
        let cycles = add(&mut self.loaded, page);
        if cycles != 0 {
            self.touched.push(page);
        }
        cycles
    }

    /// Writes to a loaded page, and returns the cycles.
    pub(super) fn make_dirty(&mut self, page: u32) -> u32 {
        add(&mut self.dirty, page)
    }

    /// Begins a new segment, with no page loaded.
    pub(super) fn clear(&mut self) {
        for page in self.touched.drain(..) {
            // If a node is gone, all nodes above it are gone too: each removal continues to the root, and nothing
            // inserts meanwhile. Node 0, above the root, is never in the set.
            let mut node = PAGES + page;
            while self.loaded.contains(node) {
                self.loaded.remove(node);
                self.dirty.remove(node);
                node /= 2;
            }
        }
    }
}

/// Returns the cycles of the page and of the nodes above it that are not in the set yet.
fn cycles(set: &NodeSet, page: u32) -> u32 {
    let mut node = PAGES + page;
    let mut total = 0;
    while node != 0 && !set.contains(node) {
        total += if node >= PAGES { PAGE_CYCLES } else { NODE_CYCLES };
        node /= 2;
    }
    total
}

/// Returns the same as [`cycles`], and inserts the nodes.
fn add(set: &mut NodeSet, page: u32) -> u32 {
    let mut node = PAGES + page;
    let mut total = 0;
    while node != 0 && set.insert(node) {
        total += if node >= PAGES { PAGE_CYCLES } else { NODE_CYCLES };
        node /= 2;
    }
    total
}
