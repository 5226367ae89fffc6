//! The one assumption that stands for all Keccak batches of a session, by the rules of risc0-zkvm 3.0.6 (`mmr`). This
//! file must not know how batches are made or proven.
//!
//! The batches are leaves of a list of complete binary trees, a Merkle mountain range. A node's claim names both
//! children, the lower digest first.

use super::{Assumption, KeccakRequest};
use crate::risc0::format::{Digest, tagged_struct};

/// Root of the control ids under which RISC Zero 3.0 proves Keccak batches.
const KECCAK_CONTROL_ROOT: [u8; 32] = [
    0xab, 0xd9, 0x38, 0x66, 0xa6, 0x87, 0x85, 0x28, 0xf2, 0x9f, 0xfc, 0x6e, 0xa6, 0xd9, 0xe4, 0x28, 0xcc, 0x9a, 0xd0,
    0x20, 0xa5, 0x40, 0xdd, 0x11, 0xf1, 0xd4, 0x5e, 0x5e, 0x9b, 0xb6, 0xdb, 0x71,
];
/// Root of the control ids under which it proves unions of proofs.
const UNION_CONTROL_ROOT: [u8; 32] = [
    0xa5, 0x4d, 0xc8, 0x5a, 0xc9, 0x9f, 0x85, 0x1c, 0x92, 0xd7, 0xc9, 0x6d, 0x73, 0x18, 0xaf, 0x41, 0xdb, 0xe7, 0xc0,
    0x19, 0x4e, 0xdf, 0xcc, 0x37, 0xeb, 0x4d, 0x42, 0x2a, 0x99, 0x8c, 0x1f, 0x56,
];

/// A claim and the control root that it is proven under.
#[derive(Clone, Copy)]
struct Node {
    claim: Digest,
    control_root: Digest,
}

impl Node {
    fn digest(self) -> Digest {
        tagged_struct("risc0.Assumption", &[self.claim, self.control_root], &[])
    }

    fn union(self, other: Node) -> Node {
        let (a, b) = (self.digest(), other.digest());
        let children = if a <= b { [a, b] } else { [b, a] };
        let claim = tagged_struct("risc0.UnionClaim", &children, &[]);
        Node { claim, control_root: Digest::from_bytes(UNION_CONTROL_ROOT) }
    }
}

/// Returns the assumption under which a session without a coprocessor leaves its Keccak batches to the prover. RISC
/// Zero's prover resolves it itself, so a session's claim does not name it. Returns `None` without batches.
pub fn keccak_root(requests: &[KeccakRequest]) -> Option<Assumption> {
    // Complete trees with their heights, the largest first.
    let mut trees: Vec<(Node, u32)> = Vec::new();
    for request in requests {
        let claim = request.claim_of_inputs();
        let mut node = Node { claim, control_root: Digest::from_bytes(KECCAK_CONTROL_ROOT) };
        let mut height = 0;
        while let Some((last, _)) = trees.pop_if(|(_, last)| *last == height) {
            node = node.union(last);
            height += 1;
        }
        trees.push((node, height));
    }
    let root = trees.into_iter().map(|(node, _)| node).reduce(Node::union)?;
    Some(Assumption { claim: root.claim.to_bytes(), control_root: Some(root.control_root.to_bytes()) })
}
