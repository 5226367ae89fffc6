//! Computes SHA-256 with instructions and with the accelerator; both must agree.
//!
//! Input: u32 count of bytes. Journal: the digest, then the cycles of each method as u64. The journal therefore differs
//! on a machine that counts differently.

use r0vm_guests::sequence;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};
use sha2::Digest;

fn main() {
    let count: u32 = env::read();
    let bytes = sequence(1, count as usize);
    let start = env::cycle_count();
    let plain: [u8; 32] = sha2::Sha256::digest(&bytes).into();
    let between = env::cycle_count();
    let accelerated = *Impl::hash_bytes(&bytes);
    let end = env::cycle_count();
    assert_eq!(accelerated.as_bytes(), plain);
    env::commit_slice(&plain);
    env::commit_slice(&(between - start).to_le_bytes());
    env::commit_slice(&(end - between).to_le_bytes());
}
