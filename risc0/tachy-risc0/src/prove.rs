//! Receipts for sessions: RISC Zero's prover makes a seal for each segment, and its types hold them. This file must not
//! know how a guest runs.
//!
//! The order of fields is that of risc0-zkvm 3.0.6, whose structs have no constructors: they are made from their bytes.

use anyhow::{Context, Result, bail, ensure};
use risc0_circuit_rv32im::prove::segment_prover;
use risc0_circuit_rv32im::{HighLowU16, Rv32imV2Claim, TerminateState};
use risc0_zkvm::sha::{Digest, Digestible};
use risc0_zkvm::{
    AssumptionReceipt, CompositeReceipt, CompositeReceiptVerifierParameters, ExitCode, FakeReceipt,
    InnerAssumptionReceipt, InnerReceipt, MaybePruned, Output, Receipt, ReceiptClaim, SegmentReceipt,
    SegmentReceiptVerifierParameters, SystemState,
};
use serde::Serialize;

use crate::env::ExecutorEnv;
use crate::executor::ExecutorImpl;
use crate::segment::{NullSegmentRef, Segment};
use crate::session::Session;

/// Executes a program and proves the execution. In dev mode (`RISC0_DEV_MODE`), the receipt is fake, as RISC Zero's is.
///
/// # Errors
/// Fails if the guest does not end well, and as [`prove_session`].
pub fn prove(env: ExecutorEnv<'_>, elf: &[u8]) -> Result<Receipt> {
    let mut executor = ExecutorImpl::from_elf(env, elf)?;
    #[expect(deprecated, reason = "the environment is what a host without prover options has")]
    if risc0_zkvm::is_dev_mode() {
        let session = executor.run_with_callback(|_| Ok(Box::new(NullSegmentRef)))?;
        let journal = session.journal.clone().unwrap_or_default().bytes;
        return Ok(Receipt::new(InnerReceipt::Fake(FakeReceipt::new(session.claim()?)), journal));
    }
    prove_session(&executor.run()?)
}

/// Proves a session whose segments were kept, one segment after the other.
///
/// # Errors
/// Fails if a segment was not kept or cannot be proven. Fails for assumptions without a receipt, and for batches of
/// Keccak, which need the whole of RISC Zero's prover.
pub fn prove_session(session: &Session) -> Result<Receipt> {
    let mut assumption_receipts = Vec::new();
    ensure!(
        session.pending_keccaks.is_empty(),
        "{} batches of Keccak are to be proven, which needs RISC Zero's r0vm",
        session.pending_keccaks.len()
    );
    for (assumption, receipt) in &session.assumptions {
        match receipt {
            AssumptionReceipt::Proven(receipt) => assumption_receipts.push(receipt.clone()),
            AssumptionReceipt::Unresolved(_) => {
                bail!(
                    "no receipt available for unresolved assumption: {assumption:?}; add its receipt to the environment"
                )
            }
        }
    }
    let mut segments = Vec::new();
    for (index, segment) in session.segments.iter().enumerate() {
        let segment = segment.resolve()?;
        segments.push(prove_segment(&segment).with_context(|| format!("segment {index} cannot be proven"))?);
    }
    ensure!(!segments.is_empty(), "a session without segments cannot be proven");
    let verifier_parameters = CompositeReceiptVerifierParameters::default().digest();
    let composite: CompositeReceipt = convert(&Composite { segments, assumption_receipts, verifier_parameters })?;
    let journal = session.journal.clone().unwrap_or_default().bytes;
    let receipt = Receipt::new(InnerReceipt::Composite(composite), journal);
    receipt.inner.verify_integrity().context("RISC Zero's verifier refuses the proof")?;
    Ok(receipt)
}

/// Proves one segment. The claim is the one that the proof makes, with the output that its digest stands for.
fn prove_segment(segment: &Segment) -> Result<SegmentReceipt> {
    let seal = segment_prover()?.prove(&segment.inner)?;
    let proven = Rv32imV2Claim::decode(&seal)?;
    let exit_code = exit_code(proven.terminate_state.as_ref())?;
    let state = |merkle_root| MaybePruned::Value(SystemState { pc: 0, merkle_root });
    let output = match (&segment.output, proven.output) {
        (Some(output), Some(digest)) => {
            let output: MaybePruned<Option<Output>> = Some(output.clone()).into();
            ensure!(output.digest() == digest, "the proof claims another output than the session");
            output
        }
        (_, digest) => MaybePruned::Pruned(digest.unwrap_or_default()),
    };
    let claim = ReceiptClaim {
        pre: state(proven.pre_state),
        post: state(if matches!(exit_code, ExitCode::Halted(_)) { Digest::ZERO } else { proven.post_state }),
        exit_code,
        input: MaybePruned::Pruned(proven.input),
        output,
    };
    let verifier_parameters = SegmentReceiptVerifierParameters::default().digest();
    convert(&Sealed { seal, index: segment.index, hashfn: "poseidon2".to_owned(), verifier_parameters, claim })
}

fn exit_code(terminate: Option<&TerminateState>) -> Result<ExitCode> {
    let Some(state) = terminate else { return Ok(ExitCode::SystemSplit) };
    // The low half says how the guest ended, the high half is its exit code.
    let HighLowU16(code, how) = state.a0;
    Ok(match how {
        0 => ExitCode::Halted(code.into()),
        1 => ExitCode::Paused(code.into()),
        _ => bail!("Illegal halt type: {how}"),
    })
}

#[derive(Serialize)]
struct Sealed {
    seal: Vec<u32>,
    index: u32,
    hashfn: String,
    verifier_parameters: Digest,
    claim: ReceiptClaim,
}

#[derive(Serialize)]
struct Composite {
    segments: Vec<SegmentReceipt>,
    assumption_receipts: Vec<InnerAssumptionReceipt>,
    verifier_parameters: Digest,
}

/// Makes a value of RISC Zero's from one of the same fields.
fn convert<T: serde::de::DeserializeOwned>(from: &impl Serialize) -> Result<T> {
    Ok(bincode::deserialize(&bincode::serialize(from)?)?)
}
