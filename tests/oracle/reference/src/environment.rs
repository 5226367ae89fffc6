//! What a program finds around it, as plain data. It must not know who runs the program.

use std::collections::{BTreeMap, BTreeSet};

/// Input, limits, and what is to be observed of a run.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What descriptor 0 gives.
    pub stdin: Vec<u8>,
    /// What further descriptors give.
    pub inputs: BTreeMap<u32, Vec<u8>>,
    /// Descriptors that may be written, beside the journal (3); what was written is in the outcome.
    pub outputs: BTreeSet<u32>,
    /// The guest's arguments.
    pub args: Vec<String>,
    /// The guest's environment variables.
    pub variables: BTreeMap<String, String>,
    /// System calls of the user's own, by name. The answer is these bytes, then those of the request.
    pub channels: BTreeMap<String, Vec<u8>>,
    /// Claims that count as proven, each with its control root (zero: any).
    pub assumptions: Vec<([u8; 32], [u8; 32])>,
    /// The input digest, as it stands in memory.
    pub input_digest: [u8; 32],
    /// Base-2 logarithm of a segment's cycles.
    pub po2: u32,
    /// User cycles at which the run is refused to go on; none: no limit.
    pub session_limit: Option<u64>,
    /// The answers of the random call are the bytes of [`sequence`] from this seed, one after the other: nothing in a
    /// run is left to chance.
    pub random_seed: u32,
    /// How many trace events to keep, the first ones. 0 does without tracing.
    pub events: usize,
    /// Whether the outcome is to have the pages of the final image.
    pub pages: bool,
}

impl Default for Environment {
    /// Nothing to read, standard output and error to write, segments of 2^20 cycles, no limit.
    fn default() -> Self {
        Self {
            stdin: Vec::new(),
            inputs: BTreeMap::new(),
            outputs: BTreeSet::from([1, 2]),
            args: Vec::new(),
            variables: BTreeMap::new(),
            channels: BTreeMap::new(),
            assumptions: Vec::new(),
            input_digest: [0; 32],
            po2: 20,
            session_limit: None,
            random_seed: 0,
            events: 0,
            pages: false,
        }
    }
}

impl Environment {
    /// The default, with these words on standard input.
    pub fn with_words(words: &[u32]) -> Self {
        Self { stdin: words.iter().flat_map(|word| word.to_le_bytes()).collect(), ..Self::default() }
    }
}

/// The bytes of a linear congruential generator: those that the guests make for themselves, and the answers of the
/// random call.
pub fn sequence(seed: u32) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}
