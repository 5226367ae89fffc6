//! Keccak permutations, which the host computes and keeps for a separate proof. This file must not know that proof.

use std::ops::RangeInclusive;

use super::quota::Quota;
use super::{CallbackError, Digest, HostError};
use crate::callers;
use crate::risc0;

/// Sizes of Keccak proofs in risc0-circuit-keccak 4.0.6, as powers of 2 of cycles.
pub(super) const PO2: RangeInclusive<u32> = 14..=18;
pub(super) const DEFAULT_PO2: u32 = 17;
/// Cycles of one permutation in such a proof.
const PERMUTATION_CYCLES: usize = 200;
/// The state that SHA-256 starts with (FIPS 180-4, 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
/// Size of a state.
pub(super) const STATE_BYTES: usize = 200;

/// A batch of permutations that a guest expects to be proven.
#[derive(Clone, PartialEq, Eq)]
pub struct KeccakRequest {
    /// Digest of the batch's claim, as the guest computed it.
    pub claim: Digest,
    /// The control root under which the guest wants the proof resolved.
    pub control_root: Digest,
    /// Base-2 logarithm of the proof's cycles.
    pub po2: u32,
    /// The states before each permutation.
    pub inputs: Vec<[u64; 25]>,
}

impl KeccakRequest {
    /// Returns the claim that a proof of the inputs states, whatever the guest has computed: the SHA-256 state after all
    /// inputs and outputs, each padded to 256 bytes.
    pub fn claim_of_inputs(&self) -> risc0::Digest {
        let mut state = SHA256_START;
        for input in &self.inputs {
            let mut output = *input;
            keccak::f1600(&mut output);
            for words in [*input, output] {
                let mut padded = [0; 256];
                for (bytes, word) in padded.as_chunks_mut().0.iter_mut().zip(words) {
                    *bytes = word.to_le_bytes();
                }
                let blocks = padded.as_chunks().0;
                for block in blocks {
                    sha2::compress256(&mut state, &[(*block).into()]);
                }
            }
        }
        risc0::Digest(state)
    }

    fn bytes(&self) -> u64 {
        (size_of::<KeccakRequest>() + self.inputs.len() * STATE_BYTES) as u64
    }
}

/// Takes each request as it is made, to prove it during the run.
pub(super) type Coprocessor<'env> = Box<dyn FnMut(KeccakRequest) -> Result<(), CallbackError> + Send + 'env>;

/// The open batch of a guest, and its closed ones.
pub(super) struct Keccak<'env> {
    pub(super) po2: u32,
    pub(super) coprocessor: Option<Coprocessor<'env>>,
    inputs: Vec<[u64; 25]>,
    requests: Vec<KeccakRequest>,
}

impl Keccak<'_> {
    pub(super) fn new(po2: u32) -> Self {
        Keccak { po2, coprocessor: None, inputs: Vec::new(), requests: Vec::new() }
    }

    /// Returns whether the batch is as large as its proof permits.
    pub(super) fn is_full(&self) -> bool {
        self.inputs.len() >= (1 << self.po2) / PERMUTATION_CYCLES
    }

    /// Permutes a state, and adds it to the batch.
    pub(super) fn permute(&mut self, quota: &mut Quota, state: &mut [u8; STATE_BYTES]) -> Result<(), HostError> {
        quota.take(STATE_BYTES as u64)?;
        let (lanes, _) = state.as_chunks_mut();
        let mut words = [0; 25];
        for (word, lane) in words.iter_mut().zip(&*lanes) {
            *word = u64::from_le_bytes(*lane);
        }
        self.inputs.push(words);
        keccak::f1600(&mut words);
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = word.to_le_bytes();
        }
        Ok(())
    }

    /// Closes the batch.
    pub(super) fn prove(&mut self, quota: &mut Quota, claim: Digest, control_root: Digest) -> Result<(), HostError> {
        let inputs = std::mem::take(&mut self.inputs);
        quota.give((inputs.len() * STATE_BYTES) as u64);
        let request = KeccakRequest { claim, control_root, po2: self.po2, inputs };
        if let Some(coprocessor) = &mut self.coprocessor {
            let inputs = request.inputs.clone();
            return match callers::call(|| coprocessor(request)) {
                Ok(taken) => taken.map_err(|source| HostError::Callback { name: "SYS_KECCAK".to_owned(), source }),
                Err(panic) => {
                    // The guest closes the same batch again later.
                    self.inputs = inputs;
                    panic.resume()
                }
            };
        }
        quota.take(request.bytes())?;
        self.requests.push(request);
        Ok(())
    }

    /// Returns the batches closed since the last call, in order, without those that the coprocessor took.
    pub(super) fn take_requests(&mut self, quota: &mut Quota) -> Vec<KeccakRequest> {
        quota.give(self.requests.iter().map(KeccakRequest::bytes).sum());
        std::mem::take(&mut self.requests)
    }
}

impl std::fmt::Debug for KeccakRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let KeccakRequest { claim, control_root, po2, inputs } = self;
        let mut shown = f.debug_struct("KeccakRequest");
        shown.field("claim", claim).field("control_root", control_root).field("po2", po2);
        shown.field("inputs", &inputs.len()).finish_non_exhaustive()
    }
}
