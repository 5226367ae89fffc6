//! The Merkle tree over memory: 2^22 pages, hashed with Poseidon2. Zero subtrees have constant digests and are not
//! stored.
//!
//! Nodes are numbered as in a heap: the root is 1, the children of n are 2n and 2n + 1, page p is 2^22 + p. An update
//! proceeds level by level, so that the hash processes inner nodes in parallel lanes just as it does pages.
//!
//! This file must not know what a program or a session is.

use std::fmt;

use foldhash::HashMap;
use once_cell::race::OnceBox;
use tachy_runtime::poseidon2::{Kernel, PoseidonDigest};
use tachy_runtime::{PAGE_BYTES, PAGES, PageContent};

use super::claim::Claim;
use super::digest::Digest;
use super::image::Image;
use super::segment::{PartialImage, Segment, SegmentRecord};

/// Levels below the root.
const DEPTH: u32 = PAGES.ilog2();

const ROOT: u32 = 1;

/// Returns the digest of a subtree of zero pages, by the depth of its root.
fn zero_digests() -> &'static [PoseidonDigest; DEPTH as usize + 1] {
    // Not a lock: if the process forked while another thread filled it, the lock would stay locked in the child.
    static DIGESTS: OnceBox<[PoseidonDigest; DEPTH as usize + 1]> = OnceBox::new();
    DIGESTS.get_or_init(|| {
        let mut digests = Box::new([[0; 8]; DEPTH as usize + 1]);
        let mut below = Kernel::PORTABLE.hash_pages(&[&[0; PAGE_BYTES as usize]]);
        for digest in digests.iter_mut().rev() {
            let [child] = *below else { break };
            *digest = child;
            below = Kernel::PORTABLE.hash_pairs(&[[child, child]]);
        }
        digests
    })
}

/// The digests of a memory and of all its subtrees.
#[derive(Clone)]
pub struct Tree {
    kernel: Kernel,
    /// By node. A node that is missing here is the root of a zero subtree.
    digests: HashMap<u32, PoseidonDigest>,
}

impl Tree {
    /// Makes the tree of a zero memory. The given kernel computes its digests.
    pub fn new(kernel: Kernel) -> Tree {
        Tree { kernel, digests: HashMap::default() }
    }

    /// Builds the tree of an image.
    pub fn of(image: &Image) -> Tree {
        let mut tree = Tree::new(Kernel::best());
        tree.update(image.pages());
        tree
    }

    /// Returns the digest of the whole memory.
    pub fn root(&self) -> Digest {
        Digest(self.digest(ROOT))
    }

    /// Returns the digest of a node; zeros for a node that does not exist.
    fn digest(&self, node: u32) -> PoseidonDigest {
        let zero = || node.checked_ilog2().and_then(|depth| zero_digests().get(depth as usize)).copied();
        self.digests.get(&node).copied().or_else(zero).unwrap_or_default()
    }

    /// Updates the tree with the contents of pages, by page number. Each node above them is hashed once, however many
    /// pages change below it. Pages that do not exist are ignored.
    pub fn update<'a>(&mut self, pages: impl IntoIterator<Item = (u32, &'a PageContent)>) {
        let (mut nodes, contents): (Vec<u32>, Vec<&PageContent>) =
            pages.into_iter().filter(|(page, _)| *page < PAGES).map(|(page, content)| (PAGES + page, content)).unzip();
        self.digests.extend(nodes.iter().copied().zip(self.kernel.hash_pages(&contents)));
        nodes.sort_unstable();
        for _ in 0..DEPTH {
            for node in &mut nodes {
                *node /= 2;
            }
            nodes.dedup();
            let children: Vec<_> =
                nodes.iter().map(|node| [self.digest(2 * node), self.digest(2 * node + 1)]).collect();
            self.digests.extend(nodes.iter().copied().zip(self.kernel.hash_pairs(&children)));
        }
    }

    /// Returns the digests needed to check the given pages against the root: of the pages, of all nodes above them, and
    /// of the sibling of each, by node. The pages must exist, and be sorted and distinct.
    fn opening(&self, pages: impl Iterator<Item = u32>) -> Vec<(u32, Digest)> {
        // Levels are collected from the pages up, each sorted, then reversed to start at the root. The result is
        // therefore sorted.
        let mut level: Vec<u32> = pages.map(|page| PAGES + page).collect();
        let mut levels = Vec::new();
        while level.first().is_some_and(|node| *node > ROOT) {
            let mut parents: Vec<u32> = level.iter().map(|node| node / 2).collect();
            parents.dedup();
            levels.push(parents.iter().flat_map(|parent| [2 * parent, 2 * parent + 1]).collect());
            level = parents;
        }
        levels.push(vec![ROOT]);
        levels.into_iter().rev().flatten().map(|node| (node, Digest(self.digest(node)))).collect()
    }

    /// Makes a segment from the machine's record, and updates the tree with its writes.
    ///
    /// The tree must be in the state at the start of the segment, so segments must be sealed in order.
    pub fn seal(&mut self, record: SegmentRecord) -> Segment {
        let SegmentRecord { mut pages, .. } = record;
        pages.retain(|touched| touched.page < PAGES);
        pages.sort_unstable_by_key(|touched| touched.page);
        pages.dedup_by_key(|touched| touched.page);

        let pre_state = self.root();
        let digests = self.opening(pages.iter().map(|touched| touched.page));
        let written = pages.iter().filter_map(|touched| Some((touched.page, &**touched.after.as_ref()?)));
        self.update(written);
        let claim = Claim {
            pre_state,
            post_state: self.root(),
            input: record.input,
            output: record.output,
            terminate_state: record.terminate,
            shutdown_cycle: None,
        };
        let pages = pages.into_iter().map(|touched| (touched.page, touched.before)).collect();
        Segment {
            partial_image: PartialImage { pages, digests },
            claim,
            read_record: record.reads,
            write_record: record.writes,
            suspend_cycle: record.user_cycles,
            paging_cycles: record.paging_cycles,
            segment_threshold: record.threshold,
            po2: record.po2,
            index: record.index,
            povw_nonce: record.povw_nonce,
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Tree");
        shown.field("root", &self.root()).field("digests", &self.digests.len()).finish_non_exhaustive()
    }
}
