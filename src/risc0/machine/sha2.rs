//! SHA-256's compression for machine ecall 4, on words and with the caller's round constants.
//!
//! This file must not know memory: the machine decides which words to load and store, and when. The reference proceeds
//! as follows. The order shows in the result if ranges overlap.
//!
//! 1. `pc` advances by 4, and the ecall's first cycle is counted. Waiting page events are delivered with it.
//! 2. Registers of the machine bank are read, each checked in turn: a0 (state in), a1 (state out), a2 (data), a3
//!    (count), a4 (constants). Addresses below 0x0001_0000 are refused, and the low two bits are dropped. The count is
//!    the low half of a3; more than 10 blocks are refused, after a4 was checked. Nothing has paged in so far.
//! 3. The state is copied in four cycles, i = 0 to 3: load words 3 - i and 7 - i of state in, and store them unchanged
//!    to words 3 - i and 7 - i of state out. The calculation uses the words loaded here, byte-swapped.
//! 4. Each block takes 16 cycles, each loading a word of the constants (not swapped), then a word of data (swapped).
//!    Then follow 48 cycles, each loading a word of the constants. Finally, 4 cycles, i = 0 to 3, each store words 3 -
//!    i and 7 - i of the new state, swapped, to state out. Each block loads data and constants again, but not the
//!    state.
//! 5. One more cycle follows. The total is 6 cycles, and 68 for each block.
//!
//! An address past the end of memory is refused when it is reached.

use sha2::digest::generic_array::GenericArray;

/// The constants of FIPS 180-4, section 4.2.2.
pub(crate) const STANDARD_CONSTANTS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
    0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
    0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
    0xc67178f2,
];

/// Mixes `block` into `state`. All words are numbers: the byte-swapped words of memory.
pub(crate) fn compress(state: &mut [u32; 8], block: &[u32; 16], constants: &[u32; 64]) {
    if *constants == STANDARD_CONSTANTS {
        let mut bytes = GenericArray::default();
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(block) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        sha2::compress256(state, &[bytes]);
    } else {
        compress_with(state, block, constants);
    }
}

/// Computes the same in plain steps, which take any constants. A guest may bring its own, and the proof covers those.
fn compress_with(state: &mut [u32; 8], block: &[u32; 16], constants: &[u32; 64]) {
    // The last 16 words of the message schedule, the oldest first.
    let mut schedule = *block;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for constant in constants {
        let word = schedule[0];
        let sigma1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = (e & f) | (!e & g);
        let mixed = [sigma1, choice, *constant, word].into_iter().fold(h, u32::wrapping_add);
        let sigma0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let majority = (a & b) | (c & (a | b));
        (h, g, f, e) = (g, f, e, d.wrapping_add(mixed));
        (d, c, b, a) = (c, b, a, mixed.wrapping_add(sigma0).wrapping_add(majority));

        let (early, late) = (schedule[1], schedule[14]);
        let spread0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
        let spread1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
        let next = [spread0, schedule[9], spread1].into_iter().fold(word, u32::wrapping_add);
        schedule.rotate_left(1);
        schedule[15] = next;
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: [u32; 8] =
        [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

    /// Checks the first example of FIPS 180-4: "abc", padded to a block.
    #[test]
    fn the_standards_example_comes_out() {
        let mut block = [0; 16];
        (block[0], block[15]) = (0x6162_6380, 24);
        let expected = [0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223, 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad];
        for compress in [compress, compress_with] {
            let mut state = INITIAL;
            compress(&mut state, &block, &STANDARD_CONSTANTS);
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn both_ways_agree_on_any_state_and_block() {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(0x9e37_79b1).wrapping_add(0x85eb_ca6b);
            seed ^ (seed >> 15)
        };
        for round in 0..200 {
            let (state, block): ([u32; 8], [u32; 16]) =
                (std::array::from_fn(|_| next()), std::array::from_fn(|_| next()));
            let (mut quick, mut plain) = (state, state);
            compress(&mut quick, &block, &STANDARD_CONSTANTS);
            compress_with(&mut plain, &block, &STANDARD_CONSTANTS);
            assert_eq!(quick, plain, "round {round}: state {state:08x?}, block {block:08x?}");
        }
    }

    #[test]
    fn other_constants_give_other_results() {
        let mut constants = STANDARD_CONSTANTS;
        constants[63] ^= 1;
        let (mut standard, mut other) = (INITIAL, INITIAL);
        compress(&mut standard, &[7; 16], &STANDARD_CONSTANTS);
        compress(&mut other, &[7; 16], &constants);
        assert_ne!(standard, other);
    }
}
