//! BabyBear in Montgomery form, one element at a time: the basis of the constants and the portable kernel.
//!
//! An element x is stored as x * 2^32 mod P, always below P.

use super::constants::PRIME;

/// The inverse of -P modulo 2^32: a product times this is how often P must be added for the low half to vanish.
///
/// The reduction adds multiples of P. It could also subtract them with the inverse of P, but LLVM turns the subtraction
/// into a multiplication by -P, which no vector unit has.
pub(super) const NEGATIVE_INVERSE: u32 = {
    // Newton's method: each step doubles the number of correct bits, and an odd number is its own inverse modulo 8.
    let mut inverse = PRIME;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(PRIME.wrapping_mul(inverse)));
        step += 1;
    }
    inverse.wrapping_neg()
};

/// 2^64 mod P: multiplying a canonical element by it gives its Montgomery form.
pub(super) const TO_MONTGOMERY: u32 = ((1u128 << 64) % PRIME as u128) as u32;

/// A factor known in advance, in Montgomery form, with its product by [`NEGATIVE_INVERSE`]. This takes one
/// multiplication out of the dependency chain of a product.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    pub(super) value: u32,
    pub(super) times_inverse: u32,
}

impl Factor {
    pub(super) const fn of_montgomery(value: u32) -> Factor {
        Factor { value, times_inverse: value.wrapping_mul(NEGATIVE_INVERSE) }
    }
}

/// Returns the Montgomery form of a number.
pub(super) const fn montgomery(number: u32) -> u32 {
    (((number as u64) << 32) % PRIME as u64) as u32
}

/// Adds two elements.
#[inline(always)]
pub(super) const fn add(a: u32, b: u32) -> u32 {
    let sum = a.wrapping_add(b);
    // If the sum is below P, the difference wraps to something larger.
    let reduced = sum.wrapping_sub(PRIME);
    if reduced < sum { reduced } else { sum }
}

/// Returns a * b / 2^32 mod P, for a * b below P * 2^32.
#[inline(always)]
pub(super) const fn multiply(a: u32, b: u32) -> u32 {
    let product = a as u64 * b as u64;
    finish(product, (product as u32).wrapping_mul(NEGATIVE_INVERSE))
}

/// Multiplies like [`multiply`], by a factor known in advance.
#[inline(always)]
pub(super) const fn scale(a: u32, factor: Factor) -> u32 {
    finish(a as u64 * factor.value as u64, a.wrapping_mul(factor.times_inverse))
}

/// Adds the multiple of P that makes the product's low half vanish, and drops that half. The result is below 2 P, and
/// then reduced below P.
#[inline(always)]
const fn finish(product: u64, quotient: u32) -> u32 {
    let sum = ((product + quotient as u64 * PRIME as u64) >> 32) as u32;
    let reduced = sum.wrapping_sub(PRIME);
    if reduced < sum { reduced } else { sum }
}
