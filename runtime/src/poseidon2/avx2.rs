//! The kernel for AVX2: eight states side by side.
//!
//! The processor multiplies only every other lane, so each product takes two multiplications: one of the even lanes in
//! place, and one of the odd lanes moved down.

use std::arch::x86_64::*;

use super::constants::{CELLS, HALF_FULL_ROUNDS, PRIME, RATE};
use super::field::{Factor, NEGATIVE_INVERSE};
use super::permutation::{
    DIAGONAL_FACTORS, FULL_CONSTANTS, INTO_MONTGOMERY, OUT_OF_MONTGOMERY, PARTIAL_CONSTANTS, kernel,
};
use super::{Block, DIGEST_WORDS, Output};

pub(super) const LANES: usize = 8;

#[target_feature(enable = "avx2")]
#[inline]
fn splat(element: u32) -> __m256i {
    _mm256_set1_epi32(element.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(lanes: [u32; LANES]) -> __m256i {
    bytemuck::cast(lanes)
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(lanes: __m256i) -> [u32; LANES] {
    bytemuck::cast(lanes)
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(a: __m256i, b: __m256i) -> __m256i {
    let sum = _mm256_add_epi32(a, b);
    _mm256_min_epu32(sum, _mm256_sub_epi32(sum, splat(PRIME)))
}

/// Moves the odd lanes to the even ones.
#[target_feature(enable = "avx2")]
#[inline]
fn odd(lanes: __m256i) -> __m256i {
    _mm256_castps_si256(_mm256_movehdup_ps(_mm256_castsi256_ps(lanes)))
}

/// Adds the multiples of P that make the products' low halves vanish, drops these halves, and reduces the results below
/// P.
#[target_feature(enable = "avx2")]
#[inline]
fn finish(even_product: __m256i, even_quotient: __m256i, odd_product: __m256i, odd_quotient: __m256i) -> __m256i {
    let prime = splat(PRIME);
    let even = _mm256_add_epi64(even_product, _mm256_mul_epu32(even_quotient, prime));
    let odd_lanes = _mm256_add_epi64(odd_product, _mm256_mul_epu32(odd_quotient, prime));
    let sum = _mm256_blend_epi32::<0b1010_1010>(odd(even), odd_lanes);
    _mm256_min_epu32(sum, _mm256_sub_epi32(sum, prime))
}

#[target_feature(enable = "avx2")]
#[inline]
fn multiply(a: __m256i, b: __m256i) -> __m256i {
    let even = _mm256_mul_epu32(a, b);
    let odd = _mm256_mul_epu32(odd(a), odd(b));
    let inverse = splat(NEGATIVE_INVERSE);
    finish(even, _mm256_mul_epu32(even, inverse), odd, _mm256_mul_epu32(odd, inverse))
}

#[target_feature(enable = "avx2")]
#[inline]
fn scale(a: __m256i, factor: Factor) -> __m256i {
    let (value, times_inverse) = (splat(factor.value), splat(factor.times_inverse));
    let odd = odd(a);
    finish(
        _mm256_mul_epu32(a, value),
        _mm256_mul_epu32(a, times_inverse),
        _mm256_mul_epu32(odd, value),
        _mm256_mul_epu32(odd, times_inverse),
    )
}

kernel!(__m256i, LANES, #[target_feature(enable = "avx2")]);
