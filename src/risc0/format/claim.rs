//! The claim that a segment's proof will state. This file must not know how any part of it is computed.

use serde::{Serialize, Serializer};

use super::digest::Digest;

/// The claim of a segment: from one state of memory to another, with this input and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// Merkle root of memory at the start of the segment.
    pub pre_state: Digest,
    /// Merkle root of memory at its end.
    pub post_state: Digest,
    /// The input that the host committed to.
    pub input: Digest,
    /// The output words, if the segment ends the program.
    pub output: Option<Digest>,
    /// a0 and a1 of the call that ended the program, if the segment ends it.
    #[serde(serialize_with = "halves")]
    pub terminate_state: Option<(u32, u32)>,
    /// Known only to the proof; `None` until there is one.
    pub shutdown_cycle: Option<u32>,
}

/// Serializes each word as two half-words, the high one first.
fn halves<S: Serializer>(state: &Option<(u32, u32)>, serializer: S) -> Result<S::Ok, S::Error> {
    let halves = |word: u32| ((word >> 16) as u16, word as u16);
    state.map(|(a0, a1)| (halves(a0), halves(a1))).serialize(serializer)
}
