//! Segments go through RISC Zero's prover. One short segment always; longer ones, and those in a folder, when asked for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use oracle_prove::accept;
use risc0_binfmt::ProgramBinary;
use risc0_circuit_rv32im::MAX_INSN_CYCLES_LOWER_PO2;
use risc0_circuit_rv32im::execute::testutil::{NullSyscall, execute};
use risc0_circuit_rv32im::execute::{CycleLimit, Segment};

/// Segments of the reference: a guest that asks the host for nothing.
fn segments(guest: &str, po2: usize) -> Result<Vec<Segment>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../../guests/r0vm/bin/{guest}.bin"));
    let binary = fs::read(&path).with_context(|| path.display().to_string())?;
    let image = ProgramBinary::decode(&binary)?.to_image()?;
    let session = execute(image, po2, MAX_INSN_CYCLES_LOWER_PO2, CycleLimit::None, &NullSyscall, None)?;
    Ok(session.segments)
}

#[test]
fn a_short_segment_is_accepted() -> Result<()> {
    let segment = segments("kernel_registers", 13)?.into_iter().next().context("there is a segment")?;
    let encoded = segment.encode()?;
    assert_eq!(accept(&encoded), Ok(()));
    Ok(())
}

#[test]
#[ignore = "takes longer"]
fn a_wrong_claim_is_refused() -> Result<()> {
    let mut segment = segments("kernel_registers", 13)?.into_iter().next().context("there is a segment")?;
    segment.claim.post_state = segment.claim.pre_state;
    let refused = accept(&segment.encode()?);
    assert!(refused.as_ref().is_err_and(|text| text.contains("claims")), "{refused:?}");
    Ok(())
}

#[test]
#[ignore = "takes minutes"]
fn all_segments_are_accepted() -> Result<()> {
    for guest in ["kernel_registers", "kernel_modes"] {
        for po2 in [13, 14] {
            for segment in segments(guest, po2)? {
                let accepted = accept(&segment.encode()?);
                assert_eq!(accepted, Ok(()), "{guest}, po2 {po2}, segment {}", segment.index);
            }
        }
    }
    Ok(())
}

/// `TACHY_SEGMENTS=folder cargo test --manifest-path tests/oracle/prove/Cargo.toml -- --ignored folder`: each file is a
/// segment in the reference's encoding.
#[test]
#[ignore = "wants a folder of segments"]
fn segments_of_a_folder_are_accepted() -> Result<()> {
    let folder = std::env::var_os("TACHY_SEGMENTS").context("TACHY_SEGMENTS names the folder")?;
    let mut paths: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    assert!(!paths.is_empty(), "the folder has no segments");
    for path in paths {
        assert_eq!(accept(&fs::read(&path)?), Ok(()), "{}", path.display());
    }
    Ok(())
}
