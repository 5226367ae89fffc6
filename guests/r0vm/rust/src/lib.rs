//! Code that several guests share: input bytes that are easy to reproduce elsewhere.
//!
//! It must not know the environment: each guest has its own input and journal.

/// Returns `count` bytes of a linear congruential sequence that starts at `seed`. The README shows it in Python.
pub fn sequence(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
