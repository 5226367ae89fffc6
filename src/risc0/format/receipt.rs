//! The claim of a session's receipt, and its digest, as risc0-zkvm 3.0.6 defines them (`claim::receipt`). This file
//! must not know how any part of it is computed.

use super::digest::{Digest, tagged_struct};
use crate::risc0::host::AssumptionUse;

/// The claim of a receipt: this program ran from one state to another, with this input, end and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReceiptClaim {
    /// The system state before the first step: the image id.
    pub pre: Digest,
    /// The system state after the last step; after a halt, that of an empty memory.
    pub post: Digest,
    /// How the program ended (0 for a halt, 1 for a pause), and the guest's exit code.
    pub exit_code: (u32, u32),
    /// The input that the host committed to.
    pub input: Digest,
    /// The digest of journal and assumptions; zero if the guest committed to neither.
    pub output: Digest,
}

impl ReceiptClaim {
    /// Returns the digest that identifies a receipt's claim, for example as another guest's assumption.
    pub fn digest(&self) -> Digest {
        let ReceiptClaim { pre, post, exit_code: (system, user), input, output } = *self;
        tagged_struct("risc0.ReceiptClaim", &[input, pre, post, output], &[system, user])
    }
}

/// Returns the digest of an output: of a journal, and of assumptions, last used first.
pub(crate) fn output_digest(journal: &[u8], assumptions: &[AssumptionUse]) -> Digest {
    let of = |used: &AssumptionUse| {
        let fields = [used.claim, used.control_root].map(Digest::from_bytes);
        tagged_struct("risc0.Assumption", &fields, &[])
    };
    let list =
        assumptions.iter().rfold(Digest::ZERO, |tail, used| tagged_struct("risc0.Assumptions", &[of(used), tail], &[]));
    tagged_struct("risc0.Output", &[Digest::sha256(journal), list], &[])
}
