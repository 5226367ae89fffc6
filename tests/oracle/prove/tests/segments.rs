//! Segments that Tachy made go through RISC Zero's prover. One short segment always; whole sessions, and segments in a
//! folder, when asked for.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use oracle_prove::accept;
use tachy::risc0::Segment;
use tachy::risc0::host::HostEnv;
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, NullSink, Program};

/// The encoded segments of a guest of the repository with these words of input, made by native code.
fn segments(guest: &str, words: &[u32], po2: u32) -> Result<Vec<Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../../guests/r0vm/bin/{guest}.bin"));
    let program = Program::from_risc0(&fs::read(&path).with_context(|| path.display().to_string())?)?;
    let executor =
        Executor::builder().machine(MachineKind::R0vm).engine(Engine::Jit).jit(JitOptions::eager()).build(&program)?;
    let made = Arc::new(Mutex::new(Vec::new()));
    let kept = made.clone();
    let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).build()?;
    let keep = move |segment: &Segment| {
        kept.lock().map_err(|_| "a test has panicked")?.push(segment.encode());
        Ok(())
    };
    executor.run(Env::new().host(host).segment_po2(po2).segments(keep))?;
    let made = made.lock().map_err(|_| anyhow!("a test has panicked"))?;
    Ok(made.clone())
}

#[test]
fn a_short_segment_is_accepted() -> Result<()> {
    let segments = segments("kernel_modes", &[], 13)?;
    assert_eq!(accept(segments.first().context("there is a segment")?), Ok(()));
    Ok(())
}

#[test]
#[ignore = "takes longer"]
fn a_changed_segment_is_refused() -> Result<()> {
    let mut encoded = segments("kernel_modes", &[], 13)?.swap_remove(0);
    // Somewhere in the first page, whose digest then is not the one that the segment has of it.
    let middle = encoded.get_mut(600).context("a segment has pages")?;
    *middle ^= 1;
    assert!(accept(&encoded).is_err());
    Ok(())
}

/// Sessions of several segments, with SHA-256 and big integers among them: 40 in all, half a minute each.
///
/// Some guests make segments that are the reference's, byte for byte, and that its prover takes from nobody: `kernel_*`
/// trap and set x0 in such ways, and `accelerators` calls Poseidon2, where the executor takes addresses of words and the
/// circuit addresses of bytes.
#[test]
#[ignore = "takes many minutes"]
fn whole_sessions_are_accepted() -> Result<()> {
    for (guest, words, po2) in [("recursion", &[2, 3, 20][..], 14), ("hash", &[10], 14), ("bigint", &[1, 0], 14)] {
        for (index, segment) in segments(guest, words, po2)?.iter().enumerate() {
            assert_eq!(accept(segment), Ok(()), "{guest}, po2 {po2}, segment {index}");
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
