//! The program as a user runs it, in dev mode, and with a server that cannot prove.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;
use risc0_zkvm::{Receipt, VerifierContext, compute_image_id};

fn guest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/r0vm/bin/fib.bin")
}

/// Runs the program in dev mode in a folder of its own; returns what it left there.
fn prove(arguments: &[&str]) -> Result<(Output, Option<Vec<u8>>)> {
    let folder = tempfile::tempdir()?;
    let (input, receipt) = (folder.path().join("input"), folder.path().join("receipt"));
    std::fs::write(&input, 10u32.to_le_bytes())?;
    let output = Command::new(env!("CARGO_BIN_EXE_tachy-prove"))
        .arg(guest())
        .arg("--input")
        .arg(&input)
        .arg("--receipt")
        .arg(&receipt)
        .args(arguments)
        .env("RISC0_DEV_MODE", "1")
        .output()?;
    Ok((output, std::fs::read(&receipt).ok()))
}

#[test]
fn a_fake_receipt_is_for_dev_mode_alone() -> Result<()> {
    let (output, receipt) = prove(&["--po2", "14"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let receipt: Receipt = bincode::deserialize(&receipt.expect("it is written"))?;
    let image_id = compute_image_id(&std::fs::read(guest())?)?;
    let context = VerifierContext::default().with_dev_mode(true);
    receipt.verify_with_context(&context, image_id)?;
    assert!(receipt.verify_with_context(&VerifierContext::default().with_dev_mode(false), image_id).is_err());
    Ok(())
}

#[test]
fn a_failure_leaves_no_receipt() -> Result<()> {
    let (output, receipt) = prove(&["--session-limit", "10"])?;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Session limit exceeded: "), "{text}");
    assert_eq!((output.status.code(), receipt), (Some(1), None));
    Ok(())
}

/// Words on the screen name the file and what to do, before anything is proven.
#[test]
fn wrong_files_are_named() -> Result<()> {
    let program = |program: &str, receipt: &str| -> Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tachy-prove"));
        let output = command.args([program, "--receipt", receipt]).env("RISC0_DEV_MODE", "1").output()?;
        assert_eq!(output.status.code(), Some(1));
        Ok(String::from_utf8(output.stderr)?)
    };
    let text = program("/dev/null", "/nonexistent/receipt")?;
    assert!(text.contains("/dev/null: not a RISC Zero program binary"), "{text}");
    let text = program(&guest().display().to_string(), "/nonexistent/receipt")?;
    assert!(text.contains("cannot write /nonexistent/receipt"), "{text}");
    Ok(())
}

/// In dev mode, RISC Zero's client compresses a fake receipt without a server.
#[test]
fn other_kinds_of_receipts_are_fake_in_dev_mode() -> Result<()> {
    for kind in ["succinct", "groth16"] {
        let (output, receipt) = prove(&["--receipt-kind", kind, "--r0vm", "/nonexistent/r0vm"])?;
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
        let receipt: Receipt = bincode::deserialize(&receipt.expect("it is written"))?;
        assert!(matches!(receipt.inner, risc0_zkvm::InnerReceipt::Fake(_)), "{kind}");
    }
    Ok(())
}
