//! BabyBear in Montgomery form, one element at a time: what the constants and the portable kernel are made of.
//!
//! An element x is held as x * 2^32 mod P, always below P.

use super::constants::PRIME;

/// The inverse of -P modulo 2^32: a product times this is how often P must be added for the low half to vanish.
///
/// Adding multiples, where one could as well subtract them with the inverse of P, because LLVM turns the subtraction
/// into a multiplication by -P, which no vector unit has.
pub(super) const NEGATIVE_INVERSE: u32 = {
    // Newton: each step doubles the bits that are right, and an odd number is its own inverse modulo 8.
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

/// A factor that is known beforehand, in Montgomery form, with its product by [`NEGATIVE_INVERSE`]: this takes one
/// multiplication out of the chain that a product by it waits for.
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

/// The Montgomery form of a number.
pub(super) const fn montgomery(number: u32) -> u32 {
    (((number as u64) << 32) % PRIME as u64) as u32
}

/// The sum of two elements.
#[inline(always)]
pub(super) const fn add(a: u32, b: u32) -> u32 {
    let sum = a.wrapping_add(b);
    // Below P the difference wraps to something larger.
    let reduced = sum.wrapping_sub(PRIME);
    if reduced < sum { reduced } else { sum }
}

/// a * b / 2^32 mod P, for a * b below P * 2^32.
#[inline(always)]
pub(super) const fn multiply(a: u32, b: u32) -> u32 {
    let product = a as u64 * b as u64;
    finish(product, (product as u32).wrapping_mul(NEGATIVE_INVERSE))
}

/// [`multiply`] by a factor known beforehand.
#[inline(always)]
pub(super) const fn scale(a: u32, factor: Factor) -> u32 {
    finish(a as u64 * factor.value as u64, a.wrapping_mul(factor.times_inverse))
}

/// The product and as many times P as makes the low half vanish, without that half: below 2 P, and then below P.
#[inline(always)]
const fn finish(product: u64, quotient: u32) -> u32 {
    let sum = ((product + quotient as u64 * PRIME as u64) >> 32) as u32;
    let reduced = sum.wrapping_sub(PRIME);
    if reduced < sum { reduced } else { sum }
}
