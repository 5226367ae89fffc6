//! What a segment's proof will state. It must not know how anything of it is computed.

use serde::{Serialize, Serializer};

use super::digest::Digest;

/// What a segment claims: from this memory to that one, with this input and output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The Merkle root of memory as the segment begins.
    pub pre_state: Digest,
    /// The Merkle root of memory as it ends.
    pub post_state: Digest,
    /// The input that the host committed to.
    pub input: Digest,
    /// The output words, if the segment ends the program.
    pub output: Option<Digest>,
    /// a0 and a1 of the call that ended the program, if the segment does.
    #[serde(serialize_with = "halves")]
    pub terminate_state: Option<(u32, u32)>,
    /// Known only to the proof: none as long as there is none.
    pub shutdown_cycle: Option<u32>,
}

/// Words are written as two half-words, the high one first.
fn halves<S: Serializer>(state: &Option<(u32, u32)>, serializer: S) -> Result<S::Ok, S::Error> {
    let halves = |word: u32| ((word >> 16) as u16, word as u16);
    state.map(|(a0, a1)| (halves(a0), halves(a1))).serialize(serializer)
}
