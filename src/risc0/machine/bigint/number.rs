//! Signed numbers of any size in one arena, and arithmetic on them that allocates nothing but the arena.
//!
//! A number is a run of words, the least significant first and the highest not zero, and a sign. Products and quotients
//! are those of ruint's algorithms on words. Only inverses of more than 512 bits, which no known program needs, are left
//! to dashu. This file must not know programs or memory.
#![expect(clippy::indexing_slicing, reason = "runs of words, by the places that the arena itself keeps")]

use std::cmp::Ordering;

use dashu_int::ops::{ExtendedGcd, RemEuclid, UnsignedAbs};
use dashu_int::{IBig, UBig, Word};
use ruint::Uint;
use ruint::algorithms::{addmul, borrowing_sub, carrying_add, div};

const _: () = assert!(Word::BITS == 64, "both libraries keep numbers in words of 64 bits");

/// Numbers by index, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The words of all numbers, and room for more, whose content does not matter.
    words: Vec<u64>,
    /// Words that numbers take.
    used: usize,
    entries: Vec<Entry>,
    /// Operands of the last division, by index, while its results are kept: programs ask for quotient and remainder one
    /// after the other.
    divided: Option<[usize; 2]>,
    quotient: Vec<u64>,
    remainder: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    first: usize,
    len: usize,
    /// Whether it is below zero.
    is_negative: bool,
}

impl Entry {
    fn of(self, words: &[u64]) -> &[u64] {
        &words[self.first..self.first + self.len]
    }
}

impl Numbers {
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.entries.clear();
        self.divided = None;
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        let words = self.words.capacity() + self.quotient.capacity() + self.remainder.capacity();
        size_of::<u64>() * words + size_of::<Entry>() * self.entries.capacity()
    }

    /// Returns the count of numbers.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the words of a number's magnitude, the least significant first; none for zero.
    pub(super) fn words(&self, index: usize) -> Option<&[u64]> {
        self.entries.get(index).map(|entry| entry.of(&self.words))
    }

    /// Returns the length of the last number in words; 0 has none.
    pub(super) fn last_words(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.len as u64)
    }

    /// Adds the number with these words, the least significant first. The highest may be zero.
    pub(super) fn push(&mut self, words: impl IntoIterator<Item = u64, IntoIter: ExactSizeIterator>) {
        let words = words.into_iter();
        self.compute([], words.len(), false, |[], room| {
            room.iter_mut().zip(words).for_each(|(room, word)| *room = word)
        });
    }

    /// Adds a number of at most `len` words, which `write` computes from the words of `operands`. It has to write every
    /// word.
    #[inline]
    fn compute<const N: usize>(
        &mut self,
        operands: [Entry; N],
        len: usize,
        is_negative: bool,
        write: impl FnOnce([&[u64]; N], &mut [u64]),
    ) {
        let first = self.used;
        let Some((before, room)) = self.words.split_at_mut_checked(first).filter(|(_, room)| room.len() >= len) else {
            self.words.resize(2 * (first + len), 0);
            return self.compute(operands, len, is_negative, write);
        };
        let room = &mut room[..len];
        write(operands.map(|operand| operand.of(before)), room);
        let len = length(room);
        self.used = first + len;
        self.entries.push(Entry { first, len, is_negative: is_negative && len > 0 });
    }

    // The indices of operands are those of numbers added earlier.

    pub(super) fn add(&mut self, a: usize, b: usize) {
        self.sum(self.entries[a], self.entries[b]);
    }

    pub(super) fn sub(&mut self, a: usize, b: usize) {
        let b = self.entries[b];
        self.sum(self.entries[a], Entry { is_negative: !b.is_negative, ..b });
    }

    fn sum(&mut self, a: Entry, b: Entry) {
        if a.is_negative == b.is_negative {
            let [long, short] = if a.len < b.len { [b, a] } else { [a, b] };
            self.compute([long, short], long.len + 1, a.is_negative, |[long, short], sum| {
                if let Some((top, sum)) = sum.split_last_mut() {
                    *top = u64::from(combine(sum, long, short, carrying_add));
                }
            });
            return;
        }
        let [large, small] = match compare(a.of(&self.words), b.of(&self.words)) {
            Ordering::Less => [b, a],
            Ordering::Equal | Ordering::Greater => [a, b],
        };
        self.compute([large, small], large.len, large.is_negative, |[large, small], difference| {
            combine(difference, large, small, borrowing_sub);
        });
    }

    pub(super) fn mul(&mut self, a: usize, b: usize) {
        let [a, b] = [a, b].map(|index| self.entries[index]);
        self.compute([a, b], a.len + b.len, a.is_negative != b.is_negative, |[a, b], product| {
            match (a.try_into(), b.try_into(), product.try_into()) {
                // Curves of 256 bits have this size; it is unrolled.
                (Ok(a), Ok(b), Ok(product)) => multiply(a, b, product),
                _ => {
                    product.fill(0);
                    // The whole product fits.
                    addmul(product, a, b);
                }
            }
        });
    }

    /// Adds the quotient, which is truncated. Returns false, and adds nothing, if the divisor is zero.
    pub(super) fn quo(&mut self, a: usize, b: usize) -> bool {
        let is_done = self.divide(a, b);
        if is_done {
            let is_negative = self.entries[a].is_negative != self.entries[b].is_negative;
            let quotient = std::mem::take(&mut self.quotient);
            self.compute([], quotient.len(), is_negative, |[], room| room.copy_from_slice(&quotient));
            self.quotient = quotient;
        }
        is_done
    }

    /// Adds the remainder, which has the dividend's sign. Returns false, and adds nothing, if the divisor is zero.
    pub(super) fn rem(&mut self, a: usize, b: usize) -> bool {
        let is_done = self.divide(a, b);
        if is_done {
            let remainder = std::mem::take(&mut self.remainder);
            self.compute([], remainder.len(), self.entries[a].is_negative, |[], room| room.copy_from_slice(&remainder));
            self.remainder = remainder;
        }
        is_done
    }

    fn divide(&mut self, a: usize, b: usize) -> bool {
        if self.entries[b].len == 0 {
            return false;
        }
        if self.divided != Some([a, b]) {
            let Numbers { words, entries, quotient, remainder, .. } = self;
            for (room, operand) in [(&mut *quotient, a), (&mut *remainder, b)] {
                room.clear();
                room.extend_from_slice(entries[operand].of(words));
            }
            div(quotient, remainder);
            self.divided = Some([a, b]);
        }
        true
    }

    /// Adds the inverse of the magnitude modulo that of `modulus`. Returns false, and adds nothing, if they share a divisor
    /// or the modulus is zero, and for multiples of the modulus; modulo 1, no number has an inverse here.
    pub(super) fn inverse(&mut self, a: usize, modulus: usize) -> bool {
        let [Some(a), Some(modulus)] = [a, modulus].map(|index| self.words(index)) else { return false };
        match a.len().max(modulus.len()) {
            0..=4 => inverse_of::<256, 4>(a, modulus).map(|inverse| self.push(*inverse.as_limbs())),
            5..=8 => inverse_of::<512, 8>(a, modulus).map(|inverse| self.push(*inverse.as_limbs())),
            _ => large_inverse(a, modulus).map(|inverse| self.push(inverse.as_words().iter().copied())),
        }
        .is_some()
    }
}

/// Returns the number of words up to the highest that is not zero.
fn length(words: &[u64]) -> usize {
    words.iter().rposition(|word| *word != 0).map_or(0, |top| top + 1)
}

/// Writes the sum or difference of `long` and `short` word by word; `step` takes and returns the carry. `result` is as long
/// as `long`, and `short` is not longer. Returns the last carry.
#[inline(always)]
fn combine(result: &mut [u64], long: &[u64], short: &[u64], step: impl Fn(u64, u64, bool) -> (u64, bool)) -> bool {
    let mut carry = false;
    let (low, high) = result.split_at_mut(short.len());
    let (long_low, long_high) = long.split_at(short.len());
    for ((word, a), b) in low.iter_mut().zip(long_low).zip(short) {
        (*word, carry) = step(*a, *b, carry);
    }
    for (word, a) in high.iter_mut().zip(long_high) {
        (*word, carry) = step(*a, 0, carry);
    }
    carry
}

/// Multiplies numbers of four words.
fn multiply(a: &[u64; 4], b: &[u64; 4], product: &mut [u64; 8]) {
    let mut words = [0; 8];
    for (at, b) in b.iter().enumerate() {
        let mut carry = 0;
        for (word, a) in words[at..].iter_mut().zip(a) {
            let sum = u128::from(*a) * u128::from(*b) + u128::from(*word) + carry;
            (*word, carry) = (sum as u64, sum >> 64);
        }
        words[at + 4] = carry as u64;
    }
    *product = words;
}

/// Compares magnitudes without leading zeros.
fn compare(a: &[u64], b: &[u64]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn inverse_of<const BITS: usize, const LIMBS: usize>(a: &[u64], modulus: &[u64]) -> Option<Uint<BITS, LIMBS>> {
    let [a, modulus] = [a, modulus].map(Uint::<BITS, LIMBS>::from_limbs_slice);
    let a = a.checked_rem(modulus)?;
    if a.is_zero() { None } else { a.inv_mod(modulus) }
}

fn large_inverse(a: &[u64], modulus: &[u64]) -> Option<UBig> {
    let [a, modulus] = [a, modulus].map(UBig::from_words);
    if modulus.is_zero() {
        return None;
    }
    let a = a % &modulus;
    if a.is_zero() {
        return None;
    }
    let (divisor, coefficient, _) = a.gcd_ext(&modulus);
    let inverse: IBig = coefficient.rem_euclid(IBig::from(modulus)).into();
    divisor.is_one().then(|| inverse.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use dashu_int::Sign;
    use proptest::prelude::*;

    use super::*;

    /// Numbers of all lengths around those of curves, with long runs of ones and zeros.
    fn any_number() -> impl Strategy<Value = IBig> {
        let word = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>()];
        (any::<bool>(), prop::collection::vec(word, 0..20)).prop_map(|(is_negative, words)| {
            let value = IBig::from(UBig::from_words(&words));
            if is_negative { -value } else { value }
        })
    }

    /// Adds a number, by way of a difference if it is negative.
    fn push(numbers: &mut Numbers, value: &IBig) -> usize {
        let (sign, words) = value.as_sign_words();
        numbers.push([]);
        numbers.push([words, &[0, 0]].concat());
        if sign == Sign::Negative {
            numbers.sub(numbers.len() - 2, numbers.len() - 1);
        }
        numbers.len() - 1
    }

    fn last(numbers: &Numbers) -> IBig {
        let entry = numbers.entries.last().expect("there is one");
        let words = entry.of(&numbers.words);
        assert!(words.last() != Some(&0) && numbers.last_words() == words.len() as u64, "{entry:?}");
        let value = IBig::from(UBig::from_words(words));
        assert!(!entry.is_negative || !value.is_zero());
        if entry.is_negative { -value } else { value }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// All operations give what another library gives, in every combination of lengths and signs.
        #[test]
        fn numbers_are_those_of_another_library(big_a in any_number(), big_b in any_number()) {
            let mut numbers = Numbers::default();
            let [a, b] = [&big_a, &big_b].map(|value| push(&mut numbers, value));
            numbers.add(a, b);
            prop_assert_eq!(last(&numbers), &big_a + &big_b);
            numbers.sub(a, b);
            prop_assert_eq!(last(&numbers), &big_a - &big_b);
            numbers.mul(a, b);
            prop_assert_eq!(last(&numbers), &big_a * &big_b);
            numbers.mul(a, a);
            prop_assert_eq!(last(&numbers), &big_a * &big_a);
            let (count, product) = (numbers.len(), numbers.len() - 1);
            if big_b.is_zero() {
                prop_assert!(!numbers.quo(a, b) && !numbers.rem(a, b) && !numbers.inverse(a, b));
                prop_assert_eq!(numbers.len(), count);
                return Ok(());
            }
            for (dividend, value) in [(a, big_a.clone()), (product, &big_a * &big_a), (a, big_a.clone())] {
                prop_assert!(numbers.quo(dividend, b));
                prop_assert_eq!(last(&numbers), &value / &big_b);
                prop_assert!(numbers.rem(dividend, b));
                prop_assert_eq!(last(&numbers), value % &big_b);
            }
            let modulus = big_b.unsigned_abs();
            let reduced = big_a.unsigned_abs() % &modulus;
            if numbers.inverse(a, b) {
                let inverse = last(&numbers).unsigned_abs();
                prop_assert!(inverse < modulus && (inverse * reduced % modulus).is_one());
            } else {
                prop_assert!(reduced.is_zero() || !reduced.gcd_ext(&modulus).0.is_one());
            }
            numbers.clear();
            prop_assert!(numbers.len() == 0 && numbers.words(0).is_none());
        }
    }
}
