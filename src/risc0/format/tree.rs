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

    /// Makes a segment from the machine's record, and updates the tree with its writes.
    ///
    /// The tree must be in the state at the start of the segment, so segments must be sealed in order.
    pub fn seal(&mut self, mut record: SegmentRecord) -> Segment {
        let (pages, contents): (Vec<u32>, Vec<_>) = take_written(&mut record).into_iter().unzip();
        let digests = self.kernel.hash_pages(&contents.iter().map(|content| &**content).collect::<Vec<_>>());
        let mut sealing = [Sealing::new(HashedRecord { record, written: pages.into_iter().zip(digests).collect() })];
        self.update_for(&mut sealing);
        let [sealing] = sealing;
        sealing.segment()
    }

    /// Makes segments from consecutive records as [`Tree::seal`] does. Inner nodes of all of them are hashed together, a
    /// level at a time, so that lanes are full even if each segment changes few pages.
    pub(crate) fn seal_all(&mut self, records: impl IntoIterator<Item = HashedRecord>) -> Vec<Segment> {
        let mut sealings: Vec<Sealing> = records.into_iter().map(Sealing::new).collect();
        self.update_for(&mut sealings);
        sealings.into_iter().map(Sealing::segment).collect()
    }

    /// Updates the tree with the writes of consecutive segments, and gives each of them its opening and its roots.
    ///
    /// A node depends on the level below alone. Each level is therefore finished for all segments before the next one
    /// begins. Within a level, the segments take their turns in order, and each finds the nodes as they are at its
    /// start.
    fn update_for(&mut self, sealings: &mut [Sealing]) {
        for depth in (0..=DEPTH).rev() {
            let mut children = Vec::new();
            for sealing in &mut *sealings {
                if depth == 0 {
                    sealing.opening.push((ROOT, self.root()));
                    sealing.pre_state = self.root();
                }
                halve(&mut sealing.touched);
                let opened = sealing.touched.iter().rev().filter(|_| depth > 0);
                let opened = opened.flat_map(|parent| [2 * parent + 1, 2 * parent]);
                sealing.opening.extend(opened.map(|node| (node, Digest(self.digest(node)))));

                self.digests.extend(sealing.written.iter().copied().zip(sealing.digests.drain(..)));
                if depth == 0 {
                    sealing.post_state = self.root();
                    continue;
                }
                halve(&mut sealing.written);
                children.extend(
                    sealing.written.iter().map(|parent| [self.digest(2 * parent), self.digest(2 * parent + 1)]),
                );
            }
            let mut hashed = self.kernel.hash_pairs(&children).into_iter();
            for sealing in &mut *sealings {
                sealing.digests.extend(hashed.by_ref().take(sealing.written.len()));
            }
        }
    }
}

/// Replaces sorted nodes by their parents, each once.
fn halve(nodes: &mut Vec<u32>) {
    for node in &mut *nodes {
        *node /= 2;
    }
    nodes.dedup();
}

/// A record whose written pages are hashed, without their contents.
pub(crate) struct HashedRecord {
    /// The record after [`take_written`].
    pub(crate) record: SegmentRecord,
    /// Each written page with the digest of its content at the end of the segment, in the order of [`take_written`].
    pub(crate) written: Vec<(u32, PoseidonDigest)>,
}

/// Sorts the pages of a record, and takes the contents at the end of the segment out of it, by page number. Pages that
/// do not exist or that occur twice are dropped.
pub(crate) fn take_written(record: &mut SegmentRecord) -> Vec<(u32, Box<PageContent>)> {
    let pages = &mut record.pages;
    pages.retain(|touched| touched.page < PAGES);
    pages.sort_unstable_by_key(|touched| touched.page);
    pages.dedup_by_key(|touched| touched.page);
    pages.iter_mut().filter_map(|touched| Some((touched.page, touched.after.take()?))).collect()
}

/// A segment that is being sealed, at some level of the tree.
struct Sealing {
    record: SegmentRecord,
    /// The nodes of this level above the pages that it touches, sorted.
    touched: Vec<u32>,
    /// Those above the pages that it writes, and their new digests.
    written: Vec<u32>,
    digests: Vec<PoseidonDigest>,
    /// The digests needed to check its pages against the root: of the pages, of all nodes above them, and of the
    /// sibling of each, by node. The last node comes first until it is whole.
    opening: Vec<(u32, Digest)>,
    pre_state: Digest,
    post_state: Digest,
}

impl Sealing {
    fn new(HashedRecord { record, written }: HashedRecord) -> Sealing {
        let touched = record.pages.iter().map(|touched| PAGES + touched.page).collect();
        let (written, digests) = written.into_iter().map(|(page, digest)| (PAGES + page, digest)).unzip();
        let (opening, pre_state, post_state) = (Vec::new(), Digest::ZERO, Digest::ZERO);
        Sealing { record, touched, written, digests, opening, pre_state, post_state }
    }

    fn segment(self) -> Segment {
        let Sealing { record, opening, pre_state, post_state, .. } = self;
        let claim = Claim {
            pre_state,
            post_state,
            input: record.input,
            output: record.output,
            terminate_state: record.terminate,
            shutdown_cycle: None,
        };
        let pages = record.pages.into_iter().map(|touched| (touched.page, touched.before)).collect();
        Segment {
            partial_image: PartialImage { pages, digests: opening.into_iter().rev().collect() },
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
