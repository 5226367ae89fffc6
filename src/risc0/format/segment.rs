//! Segments: what the prover is given of a stretch of execution, in the encoding that it reads, and the record from
//! which a segment is made.
//!
//! The encoding is postcard of the fields in their order, which is that of `execute::Segment` of risc0-circuit-rv32im
//! 4.0.5. This file must not know how digests are computed.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tachy_runtime::PageContent;

use super::claim::Claim;
use super::digest::Digest;

/// What a machine hands over at the end of a segment; [`Tree::seal`](super::Tree::seal) makes a [`Segment`] of it.
#[derive(Clone, Default)]
pub struct SegmentRecord {
    /// The segment's number in its session, from 0.
    pub index: u64,
    /// Base-2 logarithm of the cycles that its proof takes.
    pub po2: u32,
    /// The cycles past which it was split; 0 in the last segment.
    pub threshold: u32,
    /// Cycles of instructions.
    pub user_cycles: u32,
    /// Cycles of paging.
    pub paging_cycles: u32,
    /// Every page that the segment paged in, in any order.
    pub pages: Vec<TouchedPage>,
    /// The input that the host committed to.
    pub input: Digest,
    /// The output words, if the program ended.
    pub output: Option<Digest>,
    /// a0 and a1 of the call that ended the program, if it did.
    pub terminate: Option<(u32, u32)>,
    /// The bytes that each read by a machine ecall got from the host, empty ones too.
    pub reads: Vec<Vec<u8>>,
    /// What the host returned for each write.
    pub writes: Vec<u32>,
    /// Names the segment in a log of work, if there is one.
    pub povw_nonce: Option<PovwNonce>,
}

/// A page that a segment paged in.
#[derive(Clone)]
pub struct TouchedPage {
    /// Its number: its address divided by 1024.
    pub page: u32,
    /// What it held as the segment began.
    pub before: Box<PageContent>,
    /// What it holds as the segment ends, if it was written; whatever was written, even the same.
    pub after: Option<Box<PageContent>>,
}

/// A segment, ready to be proven.
#[derive(Clone, Serialize)]
pub struct Segment {
    pub(super) partial_image: PartialImage,
    pub(super) claim: Claim,
    pub(super) read_record: Vec<Vec<u8>>,
    pub(super) write_record: Vec<u32>,
    pub(super) suspend_cycle: u32,
    pub(super) paging_cycles: u32,
    pub(super) segment_threshold: u32,
    pub(super) po2: u32,
    pub(super) index: u64,
    pub(super) povw_nonce: Option<PovwNonce>,
}

impl Segment {
    /// The memory that the segment touches, as it was before.
    pub fn partial_image(&self) -> &PartialImage {
        &self.partial_image
    }

    /// What its proof will state.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The bytes that each read got from the host.
    pub fn reads(&self) -> &[Vec<u8>] {
        &self.read_record
    }

    /// What the host returned for each write.
    pub fn writes(&self) -> &[u32] {
        &self.write_record
    }

    /// Cycles of instructions.
    pub fn user_cycles(&self) -> u32 {
        self.suspend_cycle
    }

    /// Cycles of paging.
    pub fn paging_cycles(&self) -> u32 {
        self.paging_cycles
    }

    /// The cycles past which it was split; 0 in the last segment.
    pub fn threshold(&self) -> u32 {
        self.segment_threshold
    }

    /// Base-2 logarithm of the cycles that its proof takes.
    pub fn po2(&self) -> u32 {
        self.po2
    }

    /// Its number in its session, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its name in a log of work, if there is one.
    pub fn povw_nonce(&self) -> Option<&PovwNonce> {
        self.povw_nonce.as_ref()
    }

    /// The bytes that `execute::Segment::decode` of risc0-circuit-rv32im 4.0.5 reads.
    #[expect(clippy::expect_used, reason = "postcard fails on sequences of unknown length, and a segment has none")]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("all lengths are known")
    }
}

/// As much of a memory as a segment touches, and what it takes to check that against the root.
#[derive(Clone, PartialEq, Eq)]
pub struct PartialImage {
    pub(super) pages: Vec<(u32, Box<PageContent>)>,
    pub(super) digests: Vec<(u32, Digest)>,
}

impl PartialImage {
    /// The pages touched, by number, as they were before the segment.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = (u32, &PageContent)> {
        self.pages.iter().map(|(page, content)| (*page, &**content))
    }

    /// Digests by node of the Merkle tree (the root is 1, page p is 2^22 + p): of the pages, of every node above them,
    /// and of the sibling of each.
    pub fn digests(&self) -> &[(u32, Digest)] {
        &self.digests
    }
}

impl Serialize for PartialImage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Pages<'a>(&'a PartialImage);
        impl Serialize for Pages<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.pages().map(|(page, content)| (page, Bytes(content))))
            }
        }
        struct Digests<'a>(&'a [(u32, Digest)]);
        impl Serialize for Digests<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().copied())
            }
        }
        let mut image = serializer.serialize_struct("PartialImage", 3)?;
        image.serialize_field("pages", &Pages(self))?;
        image.serialize_field("digests", &Digests(&self.digests))?;
        // The nodes whose digests are out of date: none.
        image.serialize_field("dirty", &[0u32; 0][..])?;
        image.end()
    }
}

/// Bytes as one value; in postcard the same as a sequence of them, and quicker.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A job that RISC Zero's proof of verifiable work counts the proofs of a session in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PovwJob {
    /// The log of work, a 160-bit number, big-endian.
    pub log: [u8; 20],
    /// The job within the log.
    pub job: u64,
}

impl PovwJob {
    /// The name of the segment with this index in the log.
    pub fn nonce(self, segment: u32) -> PovwNonce {
        PovwNonce { log: self.log, job: self.job, segment }
    }
}

/// A number used once, by which RISC Zero's proof of verifiable work counts a segment's proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PovwNonce {
    /// The log of work, a 160-bit number, big-endian.
    #[serde(serialize_with = "log_bytes")]
    pub log: [u8; 20],
    /// The job within the log.
    pub job: u64,
    /// The segment within the job.
    pub segment: u32,
}

fn log_bytes<S: Serializer>(log: &[u8; 20], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(log)
}

impl fmt::Debug for SegmentRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentRecord { index, po2, user_cycles, paging_cycles, pages, .. } = self;
        let mut shown = f.debug_struct("SegmentRecord");
        shown.field("index", index).field("po2", po2).field("user_cycles", user_cycles);
        shown.field("paging_cycles", paging_cycles).field("pages", &pages.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for TouchedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TouchedPage { page, after, .. } = self;
        f.debug_struct("TouchedPage").field("page", page).field("is_written", &after.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Segment { index, po2, suspend_cycle, paging_cycles, claim, partial_image, .. } = self;
        let mut shown = f.debug_struct("Segment");
        shown.field("index", index).field("po2", po2).field("user_cycles", suspend_cycle);
        shown.field("paging_cycles", paging_cycles).field("claim", claim).field("partial_image", partial_image);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for PartialImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PartialImage { pages, digests } = self;
        let mut shown = f.debug_struct("PartialImage");
        shown.field("pages", &pages.len()).field("digests", &digests.len()).finish_non_exhaustive()
    }
}
