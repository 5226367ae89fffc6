//! The kernel for any processor: one state at a time.

use super::constants::{CELLS, HALF_FULL_ROUNDS, RATE};
use super::field::{add, multiply, scale};
use super::permutation::{
    DIAGONAL_FACTORS, FULL_CONSTANTS, INTO_MONTGOMERY, OUT_OF_MONTGOMERY, PARTIAL_CONSTANTS, kernel,
};
use super::{Block, DIGEST_WORDS, Output};

pub(super) const LANES: usize = 1;

#[inline(always)]
fn splat(element: u32) -> u32 {
    element
}

#[inline(always)]
fn load([element]: [u32; LANES]) -> u32 {
    element
}

#[inline(always)]
fn store(element: u32) -> [u32; LANES] {
    [element]
}

kernel!(u32, LANES,);

/// Permutes canonical elements, without hashing.
pub(super) fn permute_canonical(state: &mut [u32; CELLS]) {
    for cell in state.iter_mut() {
        *cell = scale(*cell, INTO_MONTGOMERY);
    }
    permute(state);
    for cell in state.iter_mut() {
        *cell = scale(*cell, OUT_OF_MONTGOMERY);
    }
}
