//! Uses a lot of memory: fills a large vector and reads it in an order that jumps from page to page, then builds a map
//! of many small allocations.
//!
//! Input: u32 size of the vector in KiB, u32 entries of the map. Journal: a checksum of each, as u64.

use std::collections::BTreeMap;

use risc0_zkvm::guest::env;

/// Sums the words of a vector of `kib` KiB with weights, in steps of a prime number of words.
fn vector(kib: usize) -> u64 {
    const STRIDE: usize = 3 * 1021;
    let mut words = vec![0u32; kib * 256];
    let count = words.len();
    for (at, word) in words.iter_mut().enumerate() {
        *word = (at as u32).wrapping_mul(2_654_435_761);
    }
    let (mut at, mut sum) = (0, 0u64);
    for step in 0..count / 64 {
        sum = sum.wrapping_mul(31).wrapping_add(u64::from(words[at]));
        words[at] = step as u32;
        at = (at + STRIDE) % count;
    }
    sum
}

/// Inserts keys in one order, removes every third, and reads the rest in order.
fn map(entries: u32) -> u64 {
    let mut map = BTreeMap::new();
    for entry in 0..entries {
        let key = entry.wrapping_mul(2_654_435_761);
        map.insert(format!("{key:08x}"), vec![entry as u8; (entry % 61) as usize]);
    }
    for entry in (0..entries).step_by(3) {
        map.remove(&format!("{:08x}", entry.wrapping_mul(2_654_435_761)));
    }
    map.iter().fold(0, |sum: u64, (key, value)| {
        let bytes = key.bytes().chain(value.iter().copied());
        bytes.fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
    })
}

fn main() {
    let kib: u32 = env::read();
    let entries: u32 = env::read();
    env::commit_slice(&vector(kib as usize).to_le_bytes());
    env::commit_slice(&map(entries).to_le_bytes());
}
