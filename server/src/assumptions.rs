//! What a guest may assume: the host's receipts and bare assumptions. A receipt is not verified here; its claim is read,
//! and the root that its proof leads to.
//!
//! This file must not know how a guest uses an assumption.

use prost::Message;
use tachy::risc0::host::Assumption;
use tachy::risc0::{Digest, poseidon2};

use crate::claims::{Assumed, BadClaim, Malformed, claim_digest};
use crate::protocol::core::{self, InnerReceiptKind};

/// An assumption of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    claim: Digest,
    /// `None` for a receipt whose proof leads to no root.
    control_root: Option<Digest>,
    is_proven: bool,
}

impl Known {
    /// Reads a receipt.
    pub(crate) fn proven(bytes: &[u8]) -> Result<Known, BadClaim> {
        let receipt = core::InnerReceipt::decode(bytes)?;
        let (claim, control_root) = match receipt.kind.ok_or(Malformed("InnerReceipt.kind"))? {
            InnerReceiptKind::Composite(receipt) => (receipt.claim_digest()?, None),
            InnerReceiptKind::Fake(receipt) => (claim_digest(receipt.claim.as_ref())?, None),
            InnerReceiptKind::Groth16(receipt) => (claim_digest(receipt.claim.as_ref())?, None),
            InnerReceiptKind::Succinct(receipt) => (claim_digest(receipt.claim.as_ref())?, control_root(&receipt)?),
        };
        Ok(Known { claim, control_root, is_proven: true })
    }

    /// Reads a bare assumption.
    pub(crate) fn unresolved(bytes: &[u8]) -> Result<Known, BadClaim> {
        let Assumed { claim, control_root } = core::Assumption::decode(bytes)?.assumed()?;
        Ok(Known { claim, control_root: Some(control_root), is_proven: false })
    }

    /// Returns the assumption for the guest's host.
    pub(crate) fn for_guest(&self) -> Assumption {
        Assumption { claim: self.claim.to_bytes(), control_root: self.control_root.map(Digest::to_bytes) }
    }

    /// Returns the assumption that stays in a claim; `None` if there is a receipt for it.
    pub(crate) fn left_open(&self) -> Option<Assumed> {
        let control_root = self.control_root.unwrap_or_default();
        (!self.is_proven).then_some(Assumed { claim: self.claim, control_root })
    }
}

/// The prime of BabyBear.
const PRIME: u64 = 15 << 27 | 1;

/// Returns the root that a succinct receipt's proof leads to. Only proofs by Poseidon2 have one that guests name.
fn control_root(receipt: &core::SuccinctReceipt) -> Result<Option<Digest>, BadClaim> {
    if receipt.hashfn != "poseidon2" {
        return Ok(None);
    }
    let proof = receipt.control_inclusion_proof.as_ref().ok_or(Malformed("SuccinctReceipt.control_inclusion_proof"))?;
    let id = receipt.control_id.as_ref().and_then(|id| id.digest()).ok_or(Malformed("SuccinctReceipt.control_id"))?;
    let (mut node, mut index) = (id, proof.index);
    for sibling in &proof.digests {
        let sibling = sibling.digest().ok_or(Malformed("Digest.words"))?;
        node = if index & 1 == 0 { hash_pair(node, sibling) } else { hash_pair(sibling, node) };
        index >>= 1;
    }
    Ok(Some(node))
}

/// Hashes two digests by Poseidon2. Their words are in Montgomery's form: times 2^32.
fn hash_pair(left: Digest, right: Digest) -> Digest {
    // By Fermat: the inverse of 2^32.
    let inverse = power(1 << 32, PRIME - 2);
    let mut cells = [0; poseidon2::CELLS];
    for (cell, word) in cells.iter_mut().zip(left.0.into_iter().chain(right.0)) {
        *cell = (u64::from(word) * inverse % PRIME) as u32;
    }
    poseidon2::permute(&mut cells);
    let mut digest = Digest::ZERO;
    for (word, cell) in digest.0.iter_mut().zip(cells) {
        *word = ((u64::from(cell) << 32) % PRIME) as u32;
    }
    digest
}

/// Returns a power modulo the prime.
fn power(base: u64, exponent: u64) -> u64 {
    let (mut result, mut square, mut rest) = (1, base % PRIME, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result * square % PRIME;
        }
        square = square * square % PRIME;
        rest >>= 1;
    }
    result
}
