//! Receipts for executions on Tachy, judged by RISC Zero's verifier.
#![cfg(feature = "prove")]

use anyhow::Result;
use risc0_zkvm::sha::Digest;
use risc0_zkvm::{ExternalProver, Prover, ProverOpts, Receipt, compute_image_id};
use tachy_risc0::{ExecutorEnv, ExecutorImpl, prove, prove_session};

fn binary(guest: &str) -> Vec<u8> {
    let path = format!("{}/../../guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Asserts that a receipt is good for this program and this journal, and for no other.
fn assert_good(receipt: &Receipt, bytes: &[u8]) -> Result<()> {
    let image_id = compute_image_id(bytes)?;
    receipt.verify(image_id)?;
    assert!(receipt.verify(Digest::ZERO).is_err(), "another program");
    let mut changed = receipt.clone();
    changed.journal.bytes.push(0);
    assert!(changed.verify(image_id).is_err(), "another journal");
    let again: Receipt = bincode::deserialize(&bincode::serialize(receipt)?)?;
    again.verify(image_id)?;
    Ok(())
}

#[test]
fn a_receipt_of_one_segment_is_verified() -> Result<()> {
    let bytes = binary("fib");
    let env = ExecutorEnv::builder().write_slice(&[3u32]).segment_limit_po2(16).build()?;
    let receipt = prove(env, &bytes)?;
    assert_eq!(receipt.inner.composite()?.segments.len(), 1);
    assert_good(&receipt, &bytes)?;
    // Smaller receipts are RISC Zero's r0vm's to make.
    let prover = ExternalProver::new("r0vm", "/nonexistent/r0vm");
    assert!(prover.compress(&ProverOpts::succinct(), &receipt).is_err());
    Ok(())
}

#[test]
#[ignore = "takes minutes"]
fn a_receipt_of_several_segments_is_verified() -> Result<()> {
    let bytes = binary("fib");
    let env = ExecutorEnv::builder().write_slice(&[10u32]).segment_limit_po2(14).build()?;
    let session = ExecutorImpl::from_elf(env, &bytes)?.run()?;
    assert!(session.segments.len() >= 3, "{} segments", session.segments.len());
    let receipt = prove_session(&session)?;
    assert_good(&receipt, &bytes)
}
