//! ELF files for both loaders: well-formed ones at random, and what is left of them after random damage.

use crate::rng::Rng;

const HEADER_BYTES: usize = 52;
const PROGRAM_HEADER_BYTES: usize = 32;
const PT_LOAD: u32 = 1;

/// Offsets in the ELF header, and the sizes of the fields there.
const FIELDS: [(usize, usize); 14] = [
    (4, 1),
    (5, 1),
    (6, 1),
    (16, 2),
    (18, 2),
    (20, 4),
    (24, 4),
    (28, 4),
    (32, 4),
    (36, 4),
    (40, 2),
    (42, 2),
    (44, 2),
    (46, 2),
];

/// An executable with a few segments from `base` up, which may overlap, with a bss or more data than memory.
pub fn random(rng: &mut Rng, base: u32) -> Vec<u8> {
    let segments = rng.between(0, 6) as usize;
    let mut headers = Vec::new();
    let mut data = Vec::new();
    let data_offset = HEADER_BYTES + segments * PROGRAM_HEADER_BYTES;
    for _ in 0..segments {
        let file_bytes = rng.below(3000) as u32;
        let memory_bytes = match rng.below(4) {
            0 => file_bytes,
            1 => rng.below(3000) as u32,
            2 => 0,
            _ => file_bytes + rng.below(3000) as u32,
        };
        let address = base + 4 * rng.below(2000) as u32;
        let offset = (data_offset + data.len()) as u32;
        // Now and then a note, which is not loaded.
        let kind = if rng.one_in(8) { 4 } else { PT_LOAD };
        headers.extend([kind, offset, address, address, file_bytes, memory_bytes, rng.below(8) as u32, 4]);
        data.extend((0..file_bytes).map(|_| rng.bits() as u8));
    }
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 243, 0];
    let words = [1, base, HEADER_BYTES as u32, 0, rng.below(8) as u32];
    file.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
    let halves = [HEADER_BYTES as u16, PROGRAM_HEADER_BYTES as u16, segments as u16, 40, 0, 0];
    file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    file.extend(headers.iter().flat_map(|word| word.to_le_bytes()));
    file.extend(data);
    file
}

/// Damages a file: fields of the headers, any byte, or its end.
pub fn damage(rng: &mut Rng, file: &mut Vec<u8>) {
    for _ in 0..rng.between(1, 4) {
        let headers = (file.len().saturating_sub(HEADER_BYTES) / PROGRAM_HEADER_BYTES).clamp(1, 6);
        let (offset, bytes) = match rng.below(4) {
            0 => rng.pick(&FIELDS),
            1 => (HEADER_BYTES + 4 * rng.below(8 * headers as u64) as usize, 4),
            2 => (rng.below(file.len().max(1) as u64) as usize, 1),
            _ if rng.one_in(4) => {
                file.truncate(rng.below(file.len() as u64 + 1) as usize);
                continue;
            }
            _ => continue,
        };
        let near = file.len() as u32;
        let value = match rng.below(4) {
            0 => rng.word(),
            1 => near.wrapping_add(rng.below(8) as u32).wrapping_sub(4),
            2 => rng.pick(&[0xc000_0000, 0xbfff_fffc, 0xffff_fffc, 0xffff_ff00, 0x0001_0000]),
            _ => rng.below(300) as u32,
        };
        for (byte, value) in file.iter_mut().skip(offset).zip(value.to_le_bytes()).take(bytes) {
            *byte = value;
        }
    }
}

/// Whether the reference, which keeps a map of single words, would take very long over this one.
pub fn is_heavy(file: &[u8]) -> bool {
    let word = |offset: usize| {
        file.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (table, count) = (word(28) as usize, word(44) as usize & 0xffff);
    let memory = |index: usize| match table.saturating_add(index * PROGRAM_HEADER_BYTES) {
        header if word(header) == PT_LOAD => u64::from(word(header + 20)),
        _ => 0,
    };
    (0..count.min(256)).map(memory).sum::<u64>() > 1 << 22
}
