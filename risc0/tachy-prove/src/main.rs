//! `tachy prove`: executes a RISC Zero program on Tachy and makes a receipt with RISC Zero's prover.
//!
//! The command line finds this program beside itself. It must not know how a receipt is made.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use risc0_zkvm::sha::Digestible;
use risc0_zkvm::{ExternalProver, Prover, ProverOpts, Receipt, compute_image_id};
use tachy_risc0::ExecutorEnv;
use tempfile::NamedTempFile;

/// Prove the execution of a RISC Zero program
///
/// The program runs on Tachy, and RISC Zero's prover proves its segments, one after the other. The receipt is verified
/// before it is written. With RISC0_DEV_MODE=1, nothing is proven and the receipt is fake.
#[derive(Debug, Parser)]
#[command(name = "tachy prove", version)]
struct Options {
    /// RISC Zero program binary (R0BF)
    program: PathBuf,
    /// Let the guest read FILE with env::read
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the receipt to FILE, in bincode, as r0vm does
    #[arg(long, value_name = "FILE")]
    receipt: PathBuf,
    /// Limit segments to 2^N cycles, 13 to 24
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(13..=24))]
    po2: u32,
    /// Stop after this many user cycles
    #[arg(long, value_name = "N")]
    session_limit: Option<u64>,
    /// Kind of receipt; all but composite need RISC Zero's r0vm
    #[arg(long, value_enum, default_value_t = Kind::Composite)]
    receipt_kind: Kind,
    /// RISC Zero's r0vm, for receipts that are not composite
    #[arg(long, value_name = "FILE", default_value = "r0vm")]
    r0vm: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Composite,
    Succinct,
    Groth16,
}

fn main() -> ExitCode {
    match prove(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn prove(options: &Options) -> Result<()> {
    let read = |path: &PathBuf| fs::read(path).with_context(|| path.display().to_string());
    let program = read(&options.program)?;
    let name = options.program.display();
    ensure!(
        program.starts_with(b"R0BF"),
        "{name}: not a RISC Zero program binary, which begins with R0BF; give the binary that risc0-build writes"
    );
    // A proof takes long, so a folder that takes no file is noticed before.
    let folder = options.receipt.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unwritable = || format!("cannot write {}", options.receipt.display());
    let mut file = NamedTempFile::new_in(folder).with_context(unwritable)?;
    let mut env = ExecutorEnv::builder();
    env.segment_limit_po2(options.po2).session_limit(options.session_limit);
    if let Some(input) = &options.input {
        env.write_slice(&read(input)?);
    }
    let mut receipt = tachy_risc0::prove(env.build()?, &program).with_context(|| name.to_string())?;
    let kind = match options.receipt_kind {
        Kind::Composite => None,
        Kind::Succinct => Some(ProverOpts::succinct()),
        Kind::Groth16 => Some(ProverOpts::groth16()),
    };
    if let Some(kind) = kind {
        receipt = compress(&options.r0vm, &kind, &receipt)?;
    }
    let image_id = compute_image_id(&program)?;
    let claim = receipt.claim()?;
    let claim = claim.as_value()?;
    let exit_code = claim.exit_code;
    if exit_code == risc0_zkvm::ExitCode::Halted(0) {
        receipt.verify(image_id).context("RISC Zero's verifier refuses the receipt")?;
    } else {
        // The verifier takes such a receipt for no proof of success, which it is not.
        ensure!(claim.pre.digest() == image_id, "the receipt is for another program");
        receipt.inner.verify_integrity().context("RISC Zero's verifier refuses the receipt")?;
    }
    file.write_all(&bincode::serialize(&receipt)?).with_context(unwritable)?;
    file.persist(&options.receipt).with_context(unwritable)?;
    eprintln!(
        "{}: image {image_id}, {exit_code:?}, {} bytes of journal",
        options.receipt.display(),
        receipt.journal.bytes.len()
    );
    Ok(())
}

fn compress(r0vm: &PathBuf, kind: &ProverOpts, receipt: &Receipt) -> Result<Receipt> {
    let prover = ExternalProver::new("tachy-prove", r0vm);
    match prover.compress(kind, receipt) {
        Ok(receipt) => Ok(receipt),
        Err(error) => bail!("{} cannot compress the receipt: {error:#}; --r0vm names RISC Zero's own", r0vm.display()),
    }
}
