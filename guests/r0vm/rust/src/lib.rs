//! What several guests share: bytes that anyone can make again.
//!
//! It must not know the environment: input and journal are each guest's own.

/// `count` bytes of a linear congruential sequence that starts at `seed`; the README gives it in Python.
pub fn sequence(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
