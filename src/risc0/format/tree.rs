//! The Merkle tree over memory: 2^22 pages, Poseidon2, the digests of zero subtrees constant and not kept.
//!
//! Nodes have the numbers of a heap: the root is 1, the children of n are 2n and 2n + 1, page p is 2^22 + p. An update
//! goes level by level, so that inner nodes lie side by side in the lanes of the hash just as pages do.
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

/// The digest of a subtree of zero pages, by the depth of its root.
fn zero_digests() -> &'static [PoseidonDigest; DEPTH as usize + 1] {
    // Never locked: a fork while another thread makes them would leave a lock locked in the child.
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

/// The digests of a memory and of all its parts.
#[derive(Clone)]
pub struct Tree {
    kernel: Kernel,
    /// By node. A node that is not here is the root of a zero subtree.
    digests: HashMap<u32, PoseidonDigest>,
}

impl Tree {
    /// The tree of a memory of zeros, computed by the kernel given.
    pub fn new(kernel: Kernel) -> Tree {
        Tree { kernel, digests: HashMap::default() }
    }

    /// The tree of an image.
    pub fn of(image: &Image) -> Tree {
        let mut tree = Tree::new(Kernel::best());
        tree.update(image.pages());
        tree
    }

    /// The digest of the whole memory.
    pub fn root(&self) -> Digest {
        Digest(self.digest(ROOT))
    }

    /// The digest of a node; of one that does not exist, zeros.
    fn digest(&self, node: u32) -> PoseidonDigest {
        let zero = || node.checked_ilog2().and_then(|depth| zero_digests().get(depth as usize)).copied();
        self.digests.get(&node).copied().or_else(zero).unwrap_or_default()
    }

    /// Takes in what pages now hold, by page number; every node above them is hashed once, however many change below it.
    /// Of pages that do not exist nothing is taken.
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

    /// What must be known of the rest of memory to check the given pages against the root: the digests of the pages, of
    /// all nodes above them, and of the sibling of each, by node. Pages must be sorted, distinct and exist.
    fn opening(&self, pages: impl Iterator<Item = u32>) -> Vec<(u32, Digest)> {
        // From the pages up, each level sorted, then the levels from the root down: so all of it is sorted.
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

    /// Makes a segment of what the machine recorded, and takes in what the segment wrote.
    ///
    /// The tree must be at the state that the segment began with: segments are sealed in their order.
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
