//! Which pages a segment has brought in and which it must write out, and what that costs.
//!
//! Memory is the leaves of a binary tree with 2^22 of them. The first touch of a page in a segment pays for the page and
//! for each node above it that no other page has brought in yet; the first write pays the same again. Pure: it knows
//! page numbers and nothing of what pages hold.

use tachy_runtime::{MapError, PAGES};

use crate::risc0::layout::{NODE_CYCLES, PAGE_CYCLES};

/// A bit for each node of the tree: node 1 is the root, 2n and 2n + 1 are below n, page p is node 2^22 + p.
struct NodeSet(Vec<u64>);

impl NodeSet {
    fn new() -> Result<NodeSet, MapError> {
        let words = 2 * PAGES as usize / 64;
        // Zeroed memory comes untouched from the system.
        bytemuck::try_zeroed_vec(words).map(NodeSet).map_err(|()| MapError::allocation(8 * words))
    }

    fn contains(&self, node: u32) -> bool {
        self.0.get(node as usize / 64).is_some_and(|word| word >> (node % 64) & 1 != 0)
    }

    /// Whether it was not in the set.
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
    /// Pages loaded, in the order of their first touch.
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

    /// Pages loaded since the segment began.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Cycles of the first touch, 0 if it was.
    pub(super) fn load_cycles(&self, page: u32) -> u32 {
        cycles(&self.loaded, page)
    }

    /// Cycles of the first write to a page that is loaded, 0 if it was.
    pub(super) fn dirty_cycles(&self, page: u32) -> u32 {
        cycles(&self.dirty, page)
    }

    /// Touches a page: the cycles it takes.
    pub(super) fn load(&mut self, page: u32) -> u32 {
        let cycles = add(&mut self.loaded, page);
        if cycles != 0 {
            self.touched.push(page);
        }
        cycles
    }

    /// Writes to a page that is loaded: the cycles it takes.
    pub(super) fn make_dirty(&mut self, page: u32) -> u32 {
        add(&mut self.dirty, page)
    }

    /// Begins a new segment: no page is loaded.
    pub(super) fn clear(&mut self) {
        for page in self.touched.drain(..) {
            // Whoever removed a node removed all above it, unless another page has put them back; none does here. Node 0,
            // above the root, is never there.
            let mut node = PAGES + page;
            while self.loaded.contains(node) {
                self.loaded.remove(node);
                self.dirty.remove(node);
                node /= 2;
            }
        }
    }
}

/// The page and the nodes above it that are not in the set yet.
fn cycles(set: &NodeSet, page: u32) -> u32 {
    let mut node = PAGES + page;
    let mut total = 0;
    while node != 0 && !set.contains(node) {
        total += if node >= PAGES { PAGE_CYCLES } else { NODE_CYCLES };
        node /= 2;
    }
    total
}

/// As [`cycles`], and puts them in.
fn add(set: &mut NodeSet, page: u32) -> u32 {
    let mut node = PAGES + page;
    let mut total = 0;
    while node != 0 && set.insert(node) {
        total += if node >= PAGES { PAGE_CYCLES } else { NODE_CYCLES };
        node /= 2;
    }
    total
}
