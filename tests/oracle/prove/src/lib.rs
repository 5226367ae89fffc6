//! The acceptance test of a segment: RISC Zero's prover proves it, its verifier accepts the proof, and the proof claims
//! what the segment claims. It must not know who made the segment.

#![forbid(unsafe_code)]

use risc0_circuit_rv32im::execute::Segment;
use risc0_circuit_rv32im::prove::segment_prover;
use risc0_circuit_rv32im::{Rv32imV2Claim, verify};

/// Proves a segment in the reference's encoding (postcard), verifies the proof, and compares the claims, all but the
/// shutdown cycle, which only the proof knows. Segments whose guest used the host write ecall cannot be proven.
///
/// # Errors
///
/// What went wrong, in words.
pub fn accept(encoded: &[u8]) -> Result<(), String> {
    let segment = Segment::decode(encoded).map_err(|error| format!("it does not decode: {error:#}"))?;
    let prover = segment_prover().map_err(|error| format!("there is no prover: {error:#}"))?;
    let seal = prover.prove(&segment).map_err(|error| format!("it cannot be proven: {error:#}"))?;
    verify(&seal).map_err(|error| format!("its proof is refused: {error}"))?;
    let proven = Rv32imV2Claim::decode(&seal).map_err(|error| format!("its proof has no claim: {error:#}"))?;
    let proven = Rv32imV2Claim { shutdown_cycle: segment.claim.shutdown_cycle, ..proven };
    // A segment that does not terminate claims no output, whatever lies there.
    if proven == segment.claim {
        Ok(())
    } else {
        Err(format!("the proof claims {proven:?}, the segment {:?}", segment.claim))
    }
}
