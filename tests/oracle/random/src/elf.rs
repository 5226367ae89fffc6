//! An ELF of words by address. It must not know what they mean.

use std::collections::BTreeMap;

const HEADER_BYTES: usize = 52;
const SEGMENT_BYTES: usize = 32;

/// A static RISC-V executable with a segment for each run of words; fewer than 256 of them are for the caller to see to.
pub fn elf(entry: u32, words: &BTreeMap<u32, u32>) -> Vec<u8> {
    let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
    for (&addr, word) in words {
        match runs.last_mut() {
            Some((start, bytes)) if u64::from(*start) + bytes.len() as u64 == u64::from(addr) => {
                bytes.extend(word.to_le_bytes());
            }
            _ => runs.push((addr, word.to_le_bytes().to_vec())),
        }
    }
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_EXEC, EM_RISCV.
    file.extend([2, 0, 243, 0]);
    for word in [1, entry, HEADER_BYTES as u32, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for half in [HEADER_BYTES, SEGMENT_BYTES, runs.len(), 40, 0, 0] {
        file.extend((half as u16).to_le_bytes());
    }
    let mut offset = (HEADER_BYTES + SEGMENT_BYTES * runs.len()) as u32;
    for (addr, bytes) in &runs {
        let count = bytes.len() as u32;
        // PT_LOAD, with all permissions.
        for word in [1, offset, *addr, *addr, count, count, 7, 4] {
            file.extend(word.to_le_bytes());
        }
        offset += count;
    }
    runs.iter().for_each(|(_, bytes)| file.extend(bytes));
    file
}
