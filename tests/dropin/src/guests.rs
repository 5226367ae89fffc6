//! The guests of this repository, and their inputs. It must not know who executes them.

use std::path::Path;

/// Returns a guest's program binary.
pub fn binary(guest: &str) -> Vec<u8> {
    // Above this package, or that of tests/oracle/hosts.
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root =
        manifest.ancestors().find(|folder| folder.join("guests").is_dir()).expect("guests are in the repository");
    let path = root.join(format!("guests/r0vm/bin/{guest}.bin"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns `bytes` bytes that follow from a seed, all of them printable.
pub fn text(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 % 95 + 32
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
