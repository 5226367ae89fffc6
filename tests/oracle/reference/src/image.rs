//! Images of memory that are no program binary yet, and program binaries made of ELFs. It must not know who runs them.

use std::collections::BTreeMap;

use anyhow::Result;
use risc0_binfmt::{MemoryImage, Program, ProgramBinary};

/// A program in machine mode: words of memory and where to begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// First pc; the mode is machine.
    pub entry: u32,
    /// Words by byte address, a multiple of 4. What is not here is 0.
    pub words: BTreeMap<u32, u32>,
}

impl Image {
    /// What a kernel's ELF loads.
    pub fn from_elf(elf: &[u8]) -> Result<Self> {
        // The program keeps its words to itself, but tells the word at an address.
        let program = Program::load_elf(elf, u32::MAX)?;
        let mut image = MemoryImage::new_kernel(program);
        let mut words = BTreeMap::new();
        for page in image.get_page_indexes() {
            let data = image.get_page(page)?;
            for (at, word) in data.data().chunks_exact(4).enumerate() {
                let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                if word != 0 {
                    words.insert((page << 10) + 4 * at as u32, word);
                }
            }
        }
        let entry = words.remove(&0xffff_0210).unwrap_or(0);
        words.remove(&0xffff_0214);
        Ok(Self { entry, words })
    }

    pub(crate) fn to_memory(&self) -> MemoryImage {
        MemoryImage::new_kernel(Program::new_from_entry_and_image(self.entry, self.words.clone()))
    }
}

/// A program binary (R0BF) of two ELFs.
pub fn wrap(user: &[u8], kernel: &[u8]) -> Vec<u8> {
    ProgramBinary::new(user, kernel).encode()
}
