//! The result of an execution, with the names of risc0-zkvm's `Session`. This file must not know how it came about.

use anyhow::{Context, Result};
use risc0_zkvm::sha::Digest;
use risc0_zkvm::{
    Assumption, AssumptionReceipt, Assumptions, ExitCode, Journal, MaybePruned, Output, ProveKeccakRequest,
    ReceiptClaim, SessionStats, SystemState,
};

use crate::segment::SegmentRef;

/// An execution to its end or its next pause.
#[non_exhaustive]
pub struct Session {
    /// Its segments, as the callback of the run kept them. Empty if the run made none.
    pub segments: Vec<Box<dyn SegmentRef>>,
    /// The digest that it claims as its input.
    pub input: Digest,
    /// The journal, if the guest committed to one.
    pub journal: Option<Journal>,
    /// How it ended.
    pub exit_code: ExitCode,
    /// The assumptions that the guest used, the last one first.
    pub assumptions: Vec<(Assumption, AssumptionReceipt)>,
    /// Batches of Keccak to prove, if no callback took them.
    pub pending_keccaks: Vec<ProveKeccakRequest>,
    /// Cycles of instructions.
    pub user_cycles: u64,
    /// Cycles of paging.
    pub paging_cycles: u64,
    /// Cycles that the proofs leave unused.
    pub reserved_cycles: u64,
    /// Cycles of all proofs.
    pub total_cycles: u64,
    /// The system state before the first step; `None` if the run made no segments, because nothing was hashed then.
    pub pre_state: Option<SystemState>,
    /// The system state after the last step; `None` likewise.
    pub post_state: Option<SystemState>,
    /// Number of segments.
    pub(crate) segment_count: u64,
    /// The assumptions without a receipt, other than that of Keccak.
    pub(crate) open: Vec<Assumption>,
}

impl Session {
    /// Returns the claim that a receipt of this session makes. Assumptions with a receipt are not in it.
    ///
    /// # Errors
    /// Fails if the run made no segments.
    pub fn claim(&self) -> Result<ReceiptClaim> {
        let none = "an execution without segments has no claim";
        let state = |state: &Option<SystemState>| Ok::<_, anyhow::Error>(state.clone().context(none)?.into());
        let output = self.journal.as_ref().map(|journal| Output {
            journal: journal.bytes.clone().into(),
            assumptions: MaybePruned::Value(Assumptions::from(self.open.clone())),
        });
        Ok(ReceiptClaim {
            pre: state(&self.pre_state)?,
            post: state(&self.post_state)?,
            exit_code: self.exit_code,
            input: MaybePruned::Pruned(self.input),
            output: output.into(),
        })
    }

    /// Returns its numbers.
    ///
    /// # Errors
    /// Fails if risc0-zkvm's struct has other fields than in 3.0.
    pub fn stats(&self) -> Result<SessionStats> {
        // The struct has no constructor; its bytes are five numbers.
        let numbers =
            [self.segment_count, self.total_cycles, self.user_cycles, self.paging_cycles, self.reserved_cycles];
        Ok(bincode::deserialize(&bincode::serialize(&numbers)?)?)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Session");
        shown.field("exit_code", &self.exit_code).field("user_cycles", &self.user_cycles);
        shown.field("segments", &self.segment_count).finish_non_exhaustive()
    }
}
