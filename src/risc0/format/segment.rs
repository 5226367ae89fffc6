//! Segments: the prover's input for a stretch of execution, in the encoding that it reads, and the record from which a
//! segment is made.
//!
//! The encoding is postcard of the fields in the order of `execute::Segment` of risc0-circuit-rv32im 4.0.5. This file
//! must not know how digests are computed.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tachy_runtime::PageContent;

use super::claim::Claim;
use super::digest::Digest;

/// The machine's record of a finished segment; [`Tree::seal`](super::Tree::seal) turns it into a [`Segment`].
#[derive(Clone, Default)]
pub struct SegmentRecord {
    /// The segment's number in its session, from 0.
    pub index: u64,
    /// Base-2 logarithm of the cycles of its proof.
    pub po2: u32,
    /// The cycle count at which it was split; 0 in the last segment.
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
    /// The bytes that each read by a machine ecall got from the host, including empty ones.
    pub reads: Vec<Vec<u8>>,
    /// What the host returned for each write.
    pub writes: Vec<u32>,
    /// Identifies the segment in a work log, if there is one.
    pub povw_nonce: Option<PovwNonce>,
}

/// A page that a segment paged in.
#[derive(Clone)]
pub struct TouchedPage {
    /// Its number: the address divided by 1024.
    pub page: u32,
    /// Its content at the start of the segment.
    pub before: Box<PageContent>,
    /// Its content at the end of the segment, if it was written, even with unchanged values.
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
    /// Returns the memory that the segment touches, with its contents before the segment.
    pub fn partial_image(&self) -> &PartialImage {
        &self.partial_image
    }

    /// Returns the claim that its proof will state.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Returns the bytes that each read got from the host.
    pub fn reads(&self) -> &[Vec<u8>] {
        &self.read_record
    }

    /// Returns the host's result of each write.
    pub fn writes(&self) -> &[u32] {
        &self.write_record
    }

    /// Returns the cycles of instructions.
    pub fn user_cycles(&self) -> u32 {
        self.suspend_cycle
    }

    /// Returns the cycles of paging.
    pub fn paging_cycles(&self) -> u32 {
        self.paging_cycles
    }

    /// Returns the cycle count at which it was split; 0 in the last segment.
    pub fn threshold(&self) -> u32 {
        self.segment_threshold
    }

    /// Returns the base-2 logarithm of the cycles of its proof.
    pub fn po2(&self) -> u32 {
        self.po2
    }

    /// Returns its number in its session, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns its identifier in a work log, if there is one.
    pub fn povw_nonce(&self) -> Option<&PovwNonce> {
        self.povw_nonce.as_ref()
    }

    /// Encodes the segment for `execute::Segment::decode` of risc0-circuit-rv32im 4.0.5.
    #[expect(clippy::expect_used, reason = "postcard fails on sequences of unknown length, and a segment has none")]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("all lengths are known")
    }
}

/// The part of memory that a segment touches, and the digests to check it against the root.
#[derive(Clone, PartialEq, Eq)]
pub struct PartialImage {
    pub(super) pages: Vec<(u32, Box<PageContent>)>,
    pub(super) digests: Vec<(u32, Digest)>,
}

impl PartialImage {
    /// Returns the touched pages by number, with their contents before the segment.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = (u32, &PageContent)> {
        self.pages.iter().map(|(page, content)| (*page, &**content))
    }

    /// Returns digests by node of the Merkle tree (the root is 1, page p is 2^22 + p): of the pages, of every node
    /// above them, and of the sibling of each.
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
        // No digest is out of date.
        image.serialize_field("dirty", &[0u32; 0][..])?;
        image.end()
    }
}

/// Bytes as one value. Postcard encodes them like a sequence, but faster.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// A job in which RISC Zero's proof of verifiable work counts a session's proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PovwJob {
    /// The work log: a 160-bit number, big-endian.
    pub log: [u8; 20],
    /// The job within the log.
    pub job: u64,
}

impl PovwJob {
    /// Returns the identifier of the segment with this index in the log.
    pub fn nonce(self, segment: u32) -> PovwNonce {
        PovwNonce { log: self.log, job: self.job, segment }
    }
}

/// A nonce by which RISC Zero's proof of verifiable work counts a segment's proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PovwNonce {
    /// The work log: a 160-bit number, big-endian.
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
