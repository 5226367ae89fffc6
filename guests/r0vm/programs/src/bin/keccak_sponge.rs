//! Computes Keccak-256 by instructions: keys of storage slots, as Ethereum has them, and one long message.
//!
//! Input: u32 count of slots, u32 bytes of the long message. The host's permutation checks the first slot. Journal: a
//! digest of all slots, and that of the long message.

use r0vm_programs::next;
use risc0_zkvm::guest::env;
use risc0_zkvm_platform::syscall::sys_keccak;
use tiny_keccak::{Hasher, Keccak};

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak::v256();
    parts.iter().for_each(|part| hasher.update(part));
    let mut digest = [0; 32];
    hasher.finalize(&mut digest);
    digest
}

/// Computes Keccak-256 of a message of 64 bytes, which is less than one block, with the host's permutation.
fn by_host(message: &[u8; 64]) -> [u8; 32] {
    let (mut state, mut result) = ([0; 25], [0; 25]);
    for (lane, bytes) in state.iter_mut().zip(message.chunks_exact(8)) {
        *lane = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    // The padding begins after the message and ends with the block of 17 lanes.
    (state[8], state[16]) = (1, 1 << 63);
    // SAFETY: both states are aligned and stay valid for the duration of the call.
    let status = unsafe { sys_keccak(&state, &mut result) };
    assert_eq!(status, 0);
    std::array::from_fn(|at| result[at / 8].to_le_bytes()[at % 8])
}

fn main() {
    let slots: u32 = env::read();
    let long: u32 = env::read();
    let (mut state, mut all) = (1, [0; 32]);
    for number in 0..slots {
        // A mapping's value lies at the hash of the key and the number of the mapping's own slot.
        let mut message = [0; 64];
        message[12..32].iter_mut().for_each(|byte| *byte = next(&mut state) as u8);
        message[60..].copy_from_slice(&number.to_be_bytes());
        let slot = keccak(&[&message]);
        if number == 0 {
            assert_eq!(slot, by_host(&message));
        }
        all = keccak(&[&all, &slot]);
    }
    env::commit_slice(&all);
    let message: Vec<u8> = (0..long).map(|_| next(&mut state) as u8).collect();
    let (left, right) = message.split_at(message.len() / 3);
    let digest = keccak(&[&message]);
    assert_eq!(digest, keccak(&[left, right]), "in two pieces");
    env::commit_slice(&digest);
}
