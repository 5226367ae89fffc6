//! The guests of this repository, and their inputs. It must not know who executes them.

/// Returns a guest's program binary.
pub fn binary(guest: &str) -> Vec<u8> {
    let folder = std::env::var("GUESTS").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../guests/r0vm/bin").to_owned()
    });
    // tests/oracle/hosts lies one folder deeper.
    let paths = [format!("{folder}/{guest}.bin"), format!("{folder}/../../../../guests/r0vm/bin/{guest}.bin")];
    let read = paths.iter().find_map(|path| std::fs::read(path).ok());
    read.unwrap_or_else(|| panic!("no guest {guest} in {folder}"))
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
