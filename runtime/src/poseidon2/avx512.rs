//! The kernel for AVX-512: sixteen states side by side.
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

pub(super) const LANES: usize = 16;

const EVEN_LANES: __mmask16 = 0b0101_0101_0101_0101;

#[target_feature(enable = "avx512f")]
#[inline]
fn splat(element: u32) -> __m512i {
    _mm512_set1_epi32(element.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(lanes: [u32; LANES]) -> __m512i {
    bytemuck::cast(lanes)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(lanes: __m512i) -> [u32; LANES] {
    bytemuck::cast(lanes)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: __m512i, b: __m512i) -> __m512i {
    let sum = _mm512_add_epi32(a, b);
    _mm512_min_epu32(sum, _mm512_sub_epi32(sum, splat(PRIME)))
}

/// Moves the odd lanes to the even ones.
#[target_feature(enable = "avx512f")]
#[inline]
fn odd(lanes: __m512i) -> __m512i {
    _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(lanes)))
}

/// Adds the multiples of P that make the products' low halves vanish, drops these halves, and reduces the results below
/// P.
#[target_feature(enable = "avx512f")]
#[inline]
fn finish(even_product: __m512i, even_quotient: __m512i, odd_product: __m512i, odd_quotient: __m512i) -> __m512i {
    let prime = splat(PRIME);
    let even = _mm512_add_epi64(even_product, _mm512_mul_epu32(even_quotient, prime));
    let odd = _mm512_add_epi64(odd_product, _mm512_mul_epu32(odd_quotient, prime));
    let (even, odd) = (_mm512_castsi512_ps(even), _mm512_castsi512_ps(odd));
    let sum = _mm512_castps_si512(_mm512_mask_movehdup_ps(odd, EVEN_LANES, even));
    _mm512_min_epu32(sum, _mm512_sub_epi32(sum, prime))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn multiply(a: __m512i, b: __m512i) -> __m512i {
    let even = _mm512_mul_epu32(a, b);
    let odd = _mm512_mul_epu32(odd(a), odd(b));
    let inverse = splat(NEGATIVE_INVERSE);
    finish(even, _mm512_mul_epu32(even, inverse), odd, _mm512_mul_epu32(odd, inverse))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn scale(a: __m512i, factor: Factor) -> __m512i {
    let (value, times_inverse) = (splat(factor.value), splat(factor.times_inverse));
    let odd = odd(a);
    finish(
        _mm512_mul_epu32(a, value),
        _mm512_mul_epu32(a, times_inverse),
        _mm512_mul_epu32(odd, value),
        _mm512_mul_epu32(odd, times_inverse),
    )
}

kernel!(__m512i, LANES, #[target_feature(enable = "avx512f")]);
