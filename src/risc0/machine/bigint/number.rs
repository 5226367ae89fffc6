//! Signed numbers of any size, without allocation where they fit into 512 bits: the products of a 256-bit curve do.
//!
//! Small numbers are ruint's, larger ones dashu's. Every number has one form, which follows from its size. This file must
//! not know programs or memory.

use std::cmp::Ordering;

use dashu_int::ops::{BitTest, ExtendedGcd, RemEuclid, UnsignedAbs};
use dashu_int::{IBig, Sign, UBig, Word};
use ruint::aliases::U512;

const _: () = assert!(Word::BITS == 64, "both libraries keep numbers in words of 64 bits");

/// Words of a small number.
const SMALL_WORDS: usize = 8;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Number {
    /// A number of at most 512 bits. Zero is not negative.
    Small {
        /// Whether it is below zero.
        is_negative: bool,
        /// Its magnitude.
        magnitude: U512,
    },
    /// A number of more than 512 bits.
    Large(IBig),
}

impl Number {
    pub(super) const ZERO: Number = Number::Small { is_negative: false, magnitude: U512::ZERO };

    fn small(is_negative: bool, magnitude: U512) -> Number {
        Number::Small { is_negative: is_negative && !magnitude.is_zero(), magnitude }
    }

    /// Returns the number with these words, the least significant first.
    pub(super) fn from_words(words: &[u64]) -> Number {
        let used = words.iter().rposition(|word| *word != 0).map_or(0, |top| top + 1);
        match words.get(..used) {
            Some(words) if used <= SMALL_WORDS => Number::small(false, U512::from_limbs_slice(words)),
            _ => Number::Large(UBig::from_words(words).into()),
        }
    }

    fn from_large(value: IBig) -> Number {
        match value.bit_len() <= 512 {
            true => {
                let (sign, words) = value.as_sign_words();
                Number::small(sign == Sign::Negative, U512::from_limbs_slice(words))
            }
            false => Number::Large(value),
        }
    }

    fn to_large(&self) -> IBig {
        match self {
            Number::Large(value) => value.clone(),
            Number::Small { is_negative, magnitude } => {
                let value = IBig::from(UBig::from_words(magnitude.as_limbs()));
                if *is_negative { -value } else { value }
            }
        }
    }

    /// Returns the words of the magnitude, the least significant first. The highest may be zero.
    pub(super) fn words(&self) -> &[u64] {
        match self {
            Number::Small { magnitude, .. } => magnitude.as_limbs(),
            Number::Large(value) => value.as_sign_words().1,
        }
    }

    /// Returns the length in words; 0 has none.
    pub(super) fn len_words(&self) -> u64 {
        self.words().iter().rposition(|word| *word != 0).map_or(0, |top| top as u64 + 1)
    }

    pub(super) fn add(&self, other: &Number) -> Number {
        match (self.as_small(), other.as_small()) {
            (Some(a), Some(b)) => add_small(a, b),
            _ => None,
        }
        .unwrap_or_else(|| Number::from_large(self.to_large() + other.to_large()))
    }

    pub(super) fn sub(&self, other: &Number) -> Number {
        match (self.as_small(), other.as_small()) {
            (Some(a), Some((is_negative, magnitude))) => add_small(a, (!is_negative, magnitude)),
            _ => None,
        }
        .unwrap_or_else(|| Number::from_large(self.to_large() - other.to_large()))
    }

    pub(super) fn mul(&self, other: &Number) -> Number {
        match (self.as_small(), other.as_small()) {
            (Some((a_negative, a)), Some((b_negative, b))) if a.bit_len() + b.bit_len() <= 512 => {
                Number::small(a_negative != b_negative, a.wrapping_mul(*b))
            }
            _ => Number::from_large(self.to_large() * other.to_large()),
        }
    }

    /// Returns the quotient, which is truncated. Returns `None` if `other` is zero.
    pub(super) fn quo(&self, other: &Number) -> Option<Number> {
        if *other == Number::ZERO {
            return None;
        }
        Some(match (self.as_small(), other.as_small()) {
            (Some((a_negative, a)), Some((b_negative, b))) => {
                Number::small(a_negative != b_negative, a.checked_div(*b)?)
            }
            _ => Number::from_large(self.to_large() / other.to_large()),
        })
    }

    /// Returns the remainder, which has the sign of `self`. Returns `None` if `other` is zero.
    pub(super) fn rem(&self, other: &Number) -> Option<Number> {
        if *other == Number::ZERO {
            return None;
        }
        Some(match (self.as_small(), other.as_small()) {
            (Some((is_negative, a)), Some((_, b))) => Number::small(is_negative, a.checked_rem(*b)?),
            _ => Number::from_large(self.to_large() % other.to_large()),
        })
    }

    /// Returns the inverse of the magnitude modulo that of `modulus`, which is not zero. Returns `None` if they share a
    /// divisor, and for multiples of the modulus; modulo 1, no number has an inverse here.
    pub(super) fn inverse(&self, modulus: &Number) -> Option<Number> {
        if let (Some((_, a)), Some((_, modulus))) = (self.as_small(), modulus.as_small()) {
            let a = a.checked_rem(*modulus)?;
            return if a.is_zero() { None } else { Some(Number::small(false, a.inv_mod(*modulus)?)) };
        }
        let (a, modulus) = (self.to_large().unsigned_abs(), modulus.to_large().unsigned_abs());
        let a = a % &modulus;
        if a.is_zero() {
            return None;
        }
        let (divisor, coefficient, _) = a.gcd_ext(&modulus);
        divisor.is_one().then(|| Number::from_large(coefficient.rem_euclid(IBig::from(modulus)).into()))
    }

    fn as_small(&self) -> Option<(bool, &U512)> {
        match self {
            Number::Small { is_negative, magnitude } => Some((*is_negative, magnitude)),
            Number::Large(_) => None,
        }
    }
}

/// Numbers by index, as words in one place: most have few, and a program may have a million.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    words: Vec<u64>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where its words begin.
    first: usize,
    is_negative: bool,
}

impl Numbers {
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.entries.clear();
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        size_of::<u64>() * self.words.capacity() + size_of::<Entry>() * self.entries.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, number: &Number) {
        let is_negative = match number {
            Number::Small { is_negative, .. } => *is_negative,
            Number::Large(value) => value.sign() == Sign::Negative,
        };
        self.entries.push(Entry { first: self.words.len(), is_negative });
        let words = number.words();
        let used = number.len_words() as usize;
        self.words.extend_from_slice(words.get(..used).unwrap_or(words));
    }

    /// Returns the words of a number's magnitude, the least significant first; none for zero.
    pub(super) fn words(&self, index: usize) -> Option<&[u64]> {
        let first = self.entries.get(index)?.first;
        let end = self.entries.get(index + 1).map_or(self.words.len(), |next| next.first);
        self.words.get(first..end)
    }

    pub(super) fn get(&self, index: usize) -> Option<Number> {
        let is_negative = self.entries.get(index)?.is_negative;
        Some(match Number::from_words(self.words(index)?) {
            Number::Small { magnitude, .. } => Number::small(is_negative, magnitude),
            Number::Large(value) => Number::Large(if is_negative { -value } else { value }),
        })
    }
}

/// Adds two small numbers. Returns `None` if the sum is not small.
fn add_small((a_negative, a): (bool, &U512), (b_negative, b): (bool, &U512)) -> Option<Number> {
    if a_negative == b_negative {
        return Some(Number::small(a_negative, a.checked_add(*b)?));
    }
    Some(match a.cmp(b) {
        Ordering::Less => Number::small(b_negative, b.wrapping_sub(*a)),
        _ => Number::small(a_negative, a.wrapping_sub(*b)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(is_negative: bool, words: &[u64]) -> (Number, IBig) {
        let value = IBig::from(UBig::from_words(words));
        let value = if is_negative { -value } else { value };
        (Number::from_large(value.clone()), value)
    }

    /// Numbers around the sizes where their form changes, with long runs of ones and zeros.
    fn any_number() -> impl Strategy<Value = (Number, IBig)> {
        let word = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>()];
        (any::<bool>(), prop::collection::vec(word, 0..12)).prop_map(|(sign, words)| number(sign, &words))
    }

    proptest! {
        /// Both libraries give the same, in every combination of forms.
        #[test]
        fn numbers_are_those_of_a_library_for_any_size((a, big_a) in any_number(), (b, big_b) in any_number()) {
            let form = Number::from_large;
            prop_assert_eq!(a.add(&b), form(&big_a + &big_b));
            prop_assert_eq!(a.sub(&b), form(&big_a - &big_b));
            prop_assert_eq!(a.mul(&b), form(&big_a * &big_b));
            prop_assert_eq!(a.to_large(), big_a.clone());
            prop_assert_eq!(Number::from_words(a.words()), form(big_a.clone().unsigned_abs().into()));
            prop_assert_eq!(a.len_words(), (big_a.bit_len() as u64).div_ceil(64));
            prop_assert_eq!(big_b.is_zero(), b == Number::ZERO);
            let mut numbers = Numbers::default();
            [&a, &b, &a].into_iter().for_each(|number| numbers.push(number));
            prop_assert_eq!([0, 1, 2, 3].map(|index| numbers.get(index)), [Some(a.clone()), Some(b.clone()), Some(a.clone()), None]);
            if big_b.is_zero() {
                prop_assert_eq!((a.quo(&b), a.rem(&b)), (None, None));
            } else {
                prop_assert_eq!(a.quo(&b), Some(form(&big_a / &big_b)));
                prop_assert_eq!(a.rem(&b), Some(form(&big_a % &big_b)));
                let modulus = big_b.clone().unsigned_abs();
                let reduced = big_a.unsigned_abs() % &modulus;
                match a.inverse(&b) {
                    Some(inverse) => {
                        let inverse = inverse.to_large().unsigned_abs();
                        prop_assert!(inverse < modulus);
                        prop_assert!((inverse * reduced % modulus).is_one());
                    }
                    None => prop_assert!(reduced.is_zero() || !reduced.gcd_ext(&modulus).0.is_one()),
                }
            }
        }
    }
}
