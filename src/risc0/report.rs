//! What a session on R0VM came to, as numbers. Plain data.

use std::fmt;

use super::format::{Digest, PovwJob, ReceiptClaim, image_id, output_digest};
use crate::risc0::host::{AssumptionUse, Journal, KeccakRequest};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// For good, with this code.
    Halted(u16),
    /// Until it is resumed, with this code.
    Paused(u16),
    /// In a way that has no meaning: the word that it gave.
    Unknown(u32),
}

impl Exit {
    /// What the word in a0 of the call that ends a program means.
    pub(crate) fn new(a0: u32) -> Exit {
        let code = (a0 >> 16) as u16;
        match a0 & 0xffff {
            0 => Exit::Halted(code),
            1 => Exit::Paused(code),
            _ => Exit::Unknown(a0),
        }
    }
}

/// Calls of one kind and the cycles that they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCount {
    /// Calls carried out.
    pub calls: u64,
    /// Their cycles, the ecall instruction's included, without paging.
    pub cycles: u64,
}

/// What a session came to so far, or the part of it since its last pause. Cycles are of the segments that have ended, but
/// for `user_cycles`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The parts before, each of which ended with a pause, the first one first.
    pub earlier: Vec<Report>,
    /// Steps done in it.
    pub steps: u64,
    /// The input that the host committed to.
    pub input: Digest,
    /// The job that the proofs of its segments are counted in, if there is one.
    pub povw: Option<PovwJob>,
    /// Segments that have ended.
    pub segments: u64,
    /// Cycles of instructions, up to now.
    pub user_cycles: u64,
    /// Cycles of paging.
    pub paging_cycles: u64,
    /// Cycles that the proofs' size leaves over, what their ends take included.
    pub reserved_cycles: u64,
    /// The proofs' sizes.
    pub total_cycles: u64,
    /// Size and cycles of each segment that has ended.
    pub each: Vec<SegmentCycles>,
    /// How the program ended, once it has.
    pub exit: Option<Exit>,
    /// The eight words that it gave then.
    pub output: Option<Digest>,
    /// Machine ecalls by name.
    pub ecalls: Vec<(&'static str, CallCount)>,
    /// The journal, once the program has ended and has committed to one: then its output is not zero. Not with a host of
    /// the caller's own, which has it.
    pub journal: Option<Journal>,
    /// Assumptions that were used, the last one first, once the program has ended.
    pub assumptions: Vec<AssumptionUse>,
    /// Batches of Keccak permutations to be proven, in order, once the program has ended; not those that the host's
    /// coprocessor took.
    pub keccaks: Vec<KeccakRequest>,
    /// System calls by name, if the library's own host was there: how many, and bytes moved.
    pub syscalls: Vec<(String, u64, u64)>,
    /// Roots of memory before the first and after the last segment, if segments were asked for.
    pub roots: Option<(Digest, Digest)>,
}

impl Report {
    /// The ids of memory before and after the session as RISC Zero's session has them, if segments were asked for and the
    /// program has ended. After a halt there is nothing to go on from, and the second is that of a root of zeros.
    pub fn image_ids(&self) -> Option<(Digest, Digest)> {
        let (pre, post) = self.roots?;
        let after = match self.exit? {
            Exit::Halted(_) => Digest::default(),
            _ => post,
        };
        Some((image_id(pre), image_id(after)))
    }

    /// What the segments together prove: the claim under the condition of all assumptions that were used, which its output
    /// names. None if segments were not asked for, before the end, and after an end without a meaning.
    pub fn claim(&self) -> Option<ReceiptClaim> {
        let (pre, post) = self.image_ids()?;
        let exit_code = match self.exit? {
            Exit::Halted(code) => (0, code.into()),
            Exit::Paused(code) => (1, code.into()),
            Exit::Unknown(_) => return None,
        };
        Some(ReceiptClaim { pre, post, exit_code, input: self.input, output: self.output.unwrap_or_default() })
    }

    /// The claim when the other assumptions are resolved and these are not. With none it is the claim of a receipt that
    /// stands for itself.
    pub fn claim_with(&self, unresolved: &[AssumptionUse]) -> Option<ReceiptClaim> {
        let output = self.journal.as_ref().map(|journal| output_digest(&journal.bytes, unresolved));
        Some(ReceiptClaim { output: output.unwrap_or_default(), ..self.claim()? })
    }
}

/// A segment in numbers.
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
    /// What it came to, without the journal's bytes and the list of segments.
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
