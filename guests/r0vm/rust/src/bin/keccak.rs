//! Computes Keccak-256 in software and with the host's permutation.
//!
//! Input: u32 count of bytes, u32 mode. Mode 0 takes the permutation's result from the host as it is. In mode 1 the
//! guest library collects the permutations, has them proven, and adds the assumption. Journal: the digest.

use r0vm_guests::sequence;
use risc0_zkvm::guest::env;
use risc0_zkvm_platform::syscall::sys_keccak;
use tiny_keccak::{Hasher, Keccak};

const RATE_BYTES: usize = 136;

type State = [u64; 25];

fn permute_by_host(state: &mut State) {
    let mut result = [0; 25];
    // SAFETY: both states are aligned and stay valid for the duration of the call.
    let status = unsafe { sys_keccak(state, &mut result) };
    assert_eq!(status, 0);
    *state = result;
}

/// Computes Keccak-256 (not SHA-3): the sponge with 512 bits of capacity and the old padding.
fn keccak(bytes: &[u8], permute: fn(&mut State)) -> [u8; 32] {
    let mut padded = bytes.to_vec();
    padded.push(1);
    padded.resize(padded.len().next_multiple_of(RATE_BYTES), 0);
    *padded.last_mut().expect("never empty") |= 0x80;
    let mut state = State::default();
    for block in padded.chunks_exact(RATE_BYTES) {
        for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
            *lane ^= u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        }
        permute(&mut state);
    }
    std::array::from_fn(|at| state[at / 8].to_le_bytes()[at % 8])
}

fn main() {
    let count: u32 = env::read();
    let mode: u32 = env::read();
    let bytes = sequence(2, count as usize);
    let mut plain = [0; 32];
    let mut hasher = Keccak::v256();
    hasher.update(&bytes);
    hasher.finalize(&mut plain);
    let permute = if mode == 0 { permute_by_host } else { env::risc0_keccak_update };
    assert_eq!(keccak(&bytes, permute), plain);
    env::commit_slice(&plain);
}
