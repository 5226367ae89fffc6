//! What the receipt of a session states, and its digest, as risc0-zkvm 3.0.6 defines them (`claim::receipt`). It must not
//! know how anything of it was computed.

use super::digest::{Digest, tagged_struct};
use crate::risc0::host::AssumptionUse;

/// What a receipt claims: this program, from this state to that one, with this input, end and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReceiptClaim {
    /// The system state before the first step: the image id.
    pub pre: Digest,
    /// The system state behind the last step; that of no memory after a halt.
    pub post: Digest,
    /// How it ended: 0 for a halt and 1 for a pause, and the guest's code.
    pub exit_code: (u32, u32),
    /// The input that the host committed to.
    pub input: Digest,
    /// The digest of journal and assumptions; zero if the guest committed to none.
    pub output: Digest,
}

impl ReceiptClaim {
    /// The digest by which a receipt's claim is named, as an assumption of another guest for one.
    pub fn digest(&self) -> Digest {
        let ReceiptClaim { pre, post, exit_code: (system, user), input, output } = *self;
        tagged_struct("risc0.ReceiptClaim", &[input, pre, post, output], &[system, user])
    }
}

/// The digest of an output: of a journal, and of assumptions, the last used one first.
pub(crate) fn output_digest(journal: &[u8], assumptions: &[AssumptionUse]) -> Digest {
    let of = |used: &AssumptionUse| {
        let fields = [used.claim, used.control_root].map(Digest::from_bytes);
        tagged_struct("risc0.Assumption", &fields, &[])
    };
    let list =
        assumptions.iter().rfold(Digest::ZERO, |tail, used| tagged_struct("risc0.Assumptions", &[of(used), tail], &[]));
    tagged_struct("risc0.Output", &[Digest::sha256(journal), list], &[])
}
