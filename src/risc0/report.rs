//! The results of a session on R0VM, as numbers. This file holds plain data and must not know how it was gathered.

use std::fmt;

use super::format::{Digest, PovwJob, ReceiptClaim, image_id, output_digest};
use crate::risc0::host::{AssumptionUse, Journal, KeccakRequest};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Ended for good, with this exit code.
    Halted(u16),
    /// Paused until it is resumed, with this exit code.
    Paused(u16),
    /// Ended in an undefined way; this is the word that it gave.
    Unknown(u32),
}

impl Exit {
    /// Decodes a0 of the call that ends a program.
    pub(crate) fn new(a0: u32) -> Exit {
        let code = (a0 >> 16) as u16;
        match a0 & 0xffff {
            0 => Exit::Halted(code),
            1 => Exit::Paused(code),
            _ => Exit::Unknown(a0),
        }
    }
}

/// Number and cycles of calls of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCount {
    /// Calls carried out.
    pub calls: u64,
    /// Their cycles, including the ecall instruction's, without paging.
    pub cycles: u64,
}

/// The results of a session so far, or of its part since the last pause. Cycles are those of finished segments, except
/// for `user_cycles`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The parts before this one, each ended by a pause, first one first.
    pub earlier: Vec<Report>,
    /// Steps done.
    pub steps: u64,
    /// The input that the host committed to.
    pub input: Digest,
    /// The job that counts the proofs of its segments, if there is one.
    pub povw: Option<PovwJob>,
    /// Finished segments.
    pub segments: u64,
    /// Cycles of instructions so far.
    pub user_cycles: u64,
    /// Cycles of paging.
    pub paging_cycles: u64,
    /// Cycles that the proofs leave unused, including those of the segments' ends.
    pub reserved_cycles: u64,
    /// Cycles of all proofs.
    pub total_cycles: u64,
    /// Size and cycles of each finished segment.
    pub each: Vec<SegmentCycles>,
    /// How the program ended, once it has.
    pub exit: Option<Exit>,
    /// The eight output words that it gave at its end.
    pub output: Option<Digest>,
    /// Machine ecalls by name.
    pub ecalls: Vec<(&'static str, CallCount)>,
    /// The journal, once the program has ended and has committed to one (its output is then nonzero). Absent with a
    /// custom host, which keeps its own journal.
    pub journal: Option<Journal>,
    /// Assumptions that were used, last used first, once the program has ended.
    pub assumptions: Vec<AssumptionUse>,
    /// Batches of Keccak permutations to prove, in order, once the program has ended. Excludes those that the host's
    /// coprocessor took.
    pub keccaks: Vec<KeccakRequest>,
    /// System calls by name, if the library's own host was used: number of calls, and bytes moved.
    pub syscalls: Vec<(String, u64, u64)>,
    /// Roots of memory before the first and after the last segment, if the caller takes segments.
    pub roots: Option<(Digest, Digest)>,
}

impl Report {
    /// Returns the ids of memory before and after the session, as RISC Zero's session has them. Requires a program that
    /// has ended, and a caller that takes segments. After a halt nothing can continue, so the second id is that of a
    /// zero root.
    pub fn image_ids(&self) -> Option<(Digest, Digest)> {
        let (pre, post) = self.roots?;
        let after = match self.exit? {
            Exit::Halted(_) => Digest::default(),
            _ => post,
        };
        Some((image_id(pre), image_id(after)))
    }

    /// Returns the claim that the segments together prove. It holds under the condition of all assumptions used, which
    /// its output names. Returns `None` if the caller takes no segments, before the end, and after an undefined end.
    pub fn claim(&self) -> Option<ReceiptClaim> {
        let (pre, post) = self.image_ids()?;
        let exit_code = match self.exit? {
            Exit::Halted(code) => (0, code.into()),
            Exit::Paused(code) => (1, code.into()),
            Exit::Unknown(_) => return None,
        };
        Some(ReceiptClaim { pre, post, exit_code, input: self.input, output: self.output.unwrap_or_default() })
    }

    /// Returns the claim when all assumptions but these are resolved. With an empty list, it is the claim of an
    /// unconditional receipt. RISC Zero names an unresolved assumption of the caller with the root that the caller gave it,
    /// whatever root the guest named.
    pub fn claim_with(&self, unresolved: &[AssumptionUse]) -> Option<ReceiptClaim> {
        let output = self.journal.as_ref().map(|journal| output_digest(&journal.bytes, unresolved));
        Some(ReceiptClaim { output: output.unwrap_or_default(), ..self.claim()? })
    }
}

/// Size and cycles of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentCycles {
    /// Base-2 logarithm of its cycles.
    pub po2: u32,
    /// Cycles of instructions.
    pub user_cycles: u32,
    /// Cycles of paging.
    pub paging_cycles: u32,
}

impl fmt::Debug for Report {
    /// Prints the report without the journal's bytes and the list of segments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Report");
        shown.field("segments", &self.segments).field("user_cycles", &self.user_cycles);
        shown.field("paging_cycles", &self.paging_cycles).field("total_cycles", &self.total_cycles);
        shown.field("exit", &self.exit).field("output", &self.output).field("ecalls", &self.ecalls);
        shown
            .field("journal_bytes", &self.journal.as_ref().map(|journal| journal.bytes.len()))
            .field("roots", &self.roots);
        shown.finish_non_exhaustive()
    }
}
