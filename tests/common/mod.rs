//! Shared helpers of the tests: paths of the repository's guests, and hand-made programs.
//!
//! It must not know what any test checks.

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

/// The root of the repository, independent of the package that contains the test.
pub const ROOT: &str = {
    let manifest = env!("CARGO_MANIFEST_DIR");
    match env!("CARGO_PKG_NAME").as_bytes() {
        b"tachy-cli" => manifest.split_at(manifest.len() - "/cli".len()).0,
        b"xtask" => manifest.split_at(manifest.len() - "/xtask".len()).0,
        _ => manifest,
    }
};

/// Flags of an ELF segment.
pub const X: u32 = 1;
pub const W: u32 = 2;
pub const R: u32 = 4;

const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
const EXECUTABLE: u16 = 2;
const RISCV: u16 = 243;
const VERSION: u32 = 1;
const PT_LOAD: u32 = 1;

/// Builds a static ELF32 for RISC-V with these segments: address, bytes, flags.
pub fn elf(entry: u32, segments: &[(u32, &[u8], u32)]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |file: &mut Vec<u8>, values: &[u16]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    let words = |file: &mut Vec<u8>, values: &[u32]| file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    halves(&mut file, &[EXECUTABLE, RISCV]);
    // Version, entry, offset of the program headers, no section headers, no flags.
    words(&mut file, &[VERSION, entry, HEADER_BYTES as u32, 0, 0]);
    // Sizes of this header and of a program header, number of program headers; a section header's size, number, names.
    halves(&mut file, &[HEADER_BYTES as u16, PROGRAM_HEADER_BYTES as u16, segments.len() as u16, 0, 0, 0]);
    let mut offset = HEADER_BYTES + segments.len() * PROGRAM_HEADER_BYTES;
    for (address, bytes, flags) in segments {
        let size = bytes.len() as u32;
        // The physical address equals the virtual one; the size in the file equals that in memory; alignment 1.
        words(&mut file, &[PT_LOAD, offset as u32, *address, *address, size, size, *flags, 1]);
        offset += bytes.len();
    }
    segments.iter().for_each(|(_, bytes, _)| file.extend(*bytes));
    file
}

/// Base address of the programs of [`code`].
pub const CODE: u32 = 0x1_0000;

/// Builds an ELF that consists of this code, which lies and starts at [`CODE`].
#[allow(dead_code, reason = "for the tests of the command line")]
pub fn code(words: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    elf(CODE, &[(CODE, &bytes, R | X)])
}

/// Joins the messages of an error and its sources.
pub fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut link = error.source();
    while let Some(source) = link {
        text = format!("{text}: {source}");
        link = source.source();
    }
    text
}

/// Returns the path of a guest of the repository, as in `guest("fib")`.
pub fn guest(name: &str) -> PathBuf {
    PathBuf::from(ROOT).join("guests/bin").join(name).with_extension("elf")
}
