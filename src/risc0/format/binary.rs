//! RISC Zero's program binaries: a user ELF and a kernel ELF in one file, and the memory that both produce together.
//!
//! Layout, with all numbers little-endian u32: the bytes `R0BF`; version 1; the header's size and the header; the user
//! ELF's size and the user ELF; the kernel ELF takes the rest. The header is a number of attributes, each preceded by
//! its size, in postcard. Unknown attributes are skipped.
//!
//! This file must not know the layout of an ELF, or pages and digests.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::elf::Risc0Elf;
use super::kernel::kernel_elf;
use super::{SUSPEND_MODE_ADDRESS, SUSPEND_PC_ADDRESS, USER_END, USER_ENTRY_ADDRESS};
use crate::program::{Overlay, Permissions, Program, ProgramError, Range};

const MAGIC: [u8; 4] = *b"R0BF";
const VERSION: u32 = 1;

/// First address that a kernel may not use.
const KERNEL_END: u32 = u32::MAX;

/// Header attributes. They are encoded on disk, so the order of variants matters.
#[derive(Serialize, Deserialize)]
enum Attribute {
    AbiVersion(AbiKind, semver::Version),
}

/// The interface between user program and kernel. It is encoded on disk, so the order of variants matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum AbiKind {
    V1Compat,
    Linux,
}

/// A user program and the kernel under it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Binary<'a> {
    /// The user program's ELF file.
    pub user_elf: &'a [u8],
    /// The kernel's ELF file.
    pub kernel_elf: &'a [u8],
}

impl<'a> Binary<'a> {
    /// Splits a program binary into its parts, without reading the ELFs.
    ///
    /// # Errors
    ///
    /// Returns [`ProgramError::MalformedBinary`] for invalid bytes, and [`ProgramError::UnsupportedAbi`] if user
    /// program and kernel use another interface than that of RISC Zero 1 to 3.
    pub fn parse(bytes: &'a [u8]) -> Result<Binary<'a>, ProgramError> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(malformed("it does not begin with R0BF"));
        }
        if reader.word()? != VERSION {
            return Err(malformed("its format is not version 1"));
        }
        check_header(reader.sized()?)?;
        let user_elf = reader.sized()?;
        let kernel_elf = reader.0;
        if user_elf.is_empty() || kernel_elf.is_empty() {
            return Err(malformed("the user's or the kernel's ELF is empty"));
        }
        Ok(Binary { user_elf, kernel_elf })
    }

    /// Encodes the program binary as RISC Zero's tools do.
    #[expect(clippy::expect_used, reason = "the value is a constant")]
    pub fn encode(&self) -> Vec<u8> {
        let abi = Attribute::AbiVersion(AbiKind::V1Compat, semver::Version::new(1, 0, 0));
        let attribute = postcard::to_stdvec(&abi).expect("an attribute is a few bytes");
        let mut header = 1u32.to_le_bytes().to_vec();
        push_sized(&mut header, &attribute);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        push_sized(&mut bytes, &header);
        push_sized(&mut bytes, self.user_elf);
        bytes.extend(self.kernel_elf);
        bytes
    }

    /// Builds the program from both ELFs: user words over kernel words, later ones over earlier ones. It stores the
    /// user's entry in the word that the kernel reads, and the state from which the machine starts the kernel.
    fn load(&self) -> Result<Program, ProgramError> {
        let read = |elf, bytes, end| {
            Risc0Elf::read(bytes, end).map_err(|error| ProgramError::InElf { elf, error: Box::new(error) })
        };
        let user = read("user", self.user_elf, USER_END)?;
        let kernel = read("kernel", self.kernel_elf, KERNEL_END)?;
        let mut overlay = Overlay::default();
        for range in kernel.ranges.into_iter().chain(user.ranges) {
            overlay.put(range);
        }
        let words = [(USER_ENTRY_ADDRESS, user.entry), (SUSPEND_PC_ADDRESS, kernel.entry), (SUSPEND_MODE_ADDRESS, 1)];
        let words = words.map(|(address, word)| (address, word.to_le_bytes()));
        for (address, word) in &words {
            overlay.put(Range { address: *address, memory_bytes: 4, data: word, permissions: Permissions::RWX });
        }
        let code = user.code.into_iter().chain(kernel.code).collect();
        let symbols = user.symbols.into_iter().chain(kernel.symbols).collect();
        Program::new_risc0(kernel.entry, user.entry, overlay.segments(), code, symbols)
    }
}

fn push_sized(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u32).to_le_bytes());
    bytes.extend(part);
}

fn malformed(what: &'static str) -> ProgramError {
    ProgramError::MalformedBinary { what }
}

/// The remaining bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], ProgramError> {
        let (now, later) = self.0.split_at_checked(bytes).ok_or(malformed("it ends too early"))?;
        self.0 = later;
        Ok(now)
    }

    fn word(&mut self) -> Result<u32, ProgramError> {
        let (word, later) = self.0.split_first_chunk().ok_or(malformed("it ends too early"))?;
        self.0 = later;
        Ok(u32::from_le_bytes(*word))
    }

    /// Reads a size, then as many bytes.
    fn sized(&mut self) -> Result<&'a [u8], ProgramError> {
        let bytes = self.word()?;
        self.take(bytes as usize)
    }
}

/// Checks that the header has exactly one known attribute: the version of the ABI.
fn check_header(header: &[u8]) -> Result<(), ProgramError> {
    let mut reader = Reader(header);
    let mut abi = None;
    for _ in 0..reader.word()? {
        if let Ok(Attribute::AbiVersion(kind, version)) = postcard::from_bytes(reader.sized()?)
            && abi.replace((kind, version)).is_some()
        {
            return Err(malformed("its header names two ABIs"));
        }
    }
    if !reader.0.is_empty() {
        return Err(malformed("its header has bytes after the last attribute"));
    }
    let (kind, version) = abi.ok_or(malformed("its header names no ABI"))?;
    // The versions that the requirement ^1.0.0 admits.
    if kind == AbiKind::V1Compat && version.major == 1 && version.pre.is_empty() {
        return Ok(());
    }
    Err(ProgramError::UnsupportedAbi { found: format!("{kind:?} {version}") })
}

impl Program {
    /// Reads a RISC Zero program binary (it begins with `R0BF`), for machine r0vm.
    ///
    /// On that machine, all of memory is readable, writable and executable. The segments therefore have these
    /// permissions, whatever the ELFs declare. They include the three words that start the machine. [`Program::entry`]
    /// is the kernel's.
    ///
    /// # Errors
    ///
    /// Refuses everything that risc0-binfmt 3.0.5 refuses, and an ABI other than the kernel's. Also refuses ELFs whose
    /// segments share the file's bytes and would together exceed the file; see [`ProgramError`].
    pub fn from_risc0(bytes: &[u8]) -> Result<Program, ProgramError> {
        Binary::parse(bytes)?.load()
    }

    /// Reads the ELF of a user program for RISC Zero 3.0, and puts [`KERNEL_ELF`](super::KERNEL_ELF) under it.
    ///
    /// # Errors
    ///
    /// Fails as [`Program::from_risc0`] does. Returns [`ProgramError::OtherKernel`] if this library was built with a
    /// kernel other than that of RISC Zero 3.0, because the program would have another image id.
    pub fn from_risc0_elf(user_elf: &[u8]) -> Result<Program, ProgramError> {
        Binary { user_elf, kernel_elf: kernel_elf()? }.load()
    }
}

impl fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Binary");
        shown.field("user_elf_bytes", &self.user_elf.len()).field("kernel_elf_bytes", &self.kernel_elf.len());
        shown.finish_non_exhaustive()
    }
}
