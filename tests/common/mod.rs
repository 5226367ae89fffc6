//! What several tests need: the guests that lie in the repository, and programs made by hand.
//!
//! It must not know what any test looks for.

pub mod assembler;
pub mod cases;
pub mod comparison;
pub mod engines;
pub mod generator;
pub mod oracle;
pub mod reached;
pub mod regression;
pub mod rng;

use std::path::PathBuf;

/// The root of the repository, whichever package the test is part of.
pub const ROOT: &str = {
    let manifest = env!("CARGO_MANIFEST_DIR");
    match env!("CARGO_PKG_NAME").as_bytes() {
        b"tachy-cli" => manifest.split_at(manifest.len() - "/cli".len()).0,
        b"xtask" => manifest.split_at(manifest.len() - "/xtask".len()).0,
        _ => manifest,
    }
};

/// Flags of a segment, as ELF has them.
pub const X: u32 = 1;
pub const W: u32 = 2;
pub const R: u32 = 4;

const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
const EXECUTABLE: u16 = 2;
const RISCV: u16 = 243;
const VERSION: u32 = 1;
const PT_LOAD: u32 = 1;

/// A static ELF32 for RISC-V with these segments: address, bytes, flags.
pub fn elf(entry: u32, segments: &[(u32, &[u8], u32)]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[u32]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    halves(&mut file, &[EXECUTABLE, RISCV]);
    // Version, entry, where the program headers are, no section headers, no flags.
    words(&mut file, &[VERSION, entry, HEADER_BYTES as u32, 0, 0]);
    // Sizes of this header and of a program header, number of those; a section header's size, number, names.
    halves(&mut file, &[HEADER_BYTES as u16, PROGRAM_HEADER_BYTES as u16, segments.len() as u16, 0, 0, 0]);
    let mut offset = HEADER_BYTES + segments.len() * PROGRAM_HEADER_BYTES;
    for (address, bytes, flags) in segments {
        let size = bytes.len() as u32;
        // Physical address like the virtual one; size in the file like that in memory; alignment 1.
        words(&mut file, &[PT_LOAD, offset as u32, *address, *address, size, size, *flags, 1]);
        offset += bytes.len();
    }
    segments.iter().for_each(|(_, bytes, _)| file.extend(*bytes));
    file
}

/// Where programs of [`code`] lie.
pub const CODE: u32 = 0x1_0000;

/// An ELF of this code alone, at [`CODE`], where it starts.
#[allow(dead_code, reason = "for the tests of the command line")]
pub fn code(words: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    elf(CODE, &[(CODE, &bytes, R | X)])
}

/// What an error says, and what those behind it say.
pub fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut link = error.source();
    while let Some(source) = link {
        text = format!("{text}: {source}");
        link = source.source();
    }
    text
}

/// Path of a guest of the repository, as in `guest("fib")`.
pub fn guest(name: &str) -> PathBuf {
    PathBuf::from(ROOT).join("guests/bin").join(name).with_extension("elf")
}
