//! What an ordinary Rust program does, without the standard library: strings,
//! maps, formatting, sorting, hashing, 64-bit and 128-bit arithmetic, floating
//! point in software.
//!
//!     rust_mix [ROUNDS]      1 unless told
//!
//! Every round works on fresh pseudo-random data and checks each result by
//! other means.

#![no_std]
#![no_main]

extern crate alloc;

mod sys;

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt::Write;

use sha2::{Digest, Sha256, Sha512};

const DEFAULT_ROUNDS: u32 = 1;
const DEFAULT_RESULT: &str = "bc8f29a3747aa466";

/// Splitmix64: a counter, well stirred.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 32) * u64::from(bound) >> 32) as u32
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Merge sort; whatever the order finds equal stays as it was. (The sorts of the
/// standard library hold an `unimp` for orders that contradict themselves, and
/// nothing outside RV32IM is wanted here, not even where it is never reached.)
fn sort<T>(mut list: Vec<T>, before: &dyn Fn(&T, &T) -> bool) -> Vec<T> {
    if list.len() < 2 {
        return list;
    }
    let mut merged = Vec::with_capacity(list.len());
    let second = list.split_off(list.len() / 2);
    let mut first = sort(list, before).into_iter().peekable();
    let mut second = sort(second, before).into_iter().peekable();
    while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
        merged.extend(if before(b, a) { second.next() } else { first.next() });
    }
    merged.extend(first);
    merged.extend(second);
    merged
}

/// A word of one to three syllables out of 40.
fn word(random: &mut Random) -> String {
    const FIRST: [char; 10] = ['b', 'd', 'f', 'k', 'l', 'm', 'n', 'r', 's', 'ž'];
    const SECOND: [char; 4] = ['a', 'e', 'i', 'ö'];
    let mut word = String::new();
    for _ in 0..=random.below(3) {
        word.push(FIRST[random.below(10) as usize]);
        word.push(SECOND[random.below(4) as usize]);
    }
    word
}

/// Counts words in a map and, for comparison, by sorting them.
#[inline(never)]
fn words(random: &mut Random, log: &mut Sha256) -> bool {
    let text: Vec<String> = (0..400).map(|_| word(random)).collect();

    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for word in &text {
        *counts.entry(word).or_insert(0) += 1;
    }

    let sorted = BinaryHeap::from_iter(text.iter().map(String::as_str)).into_sorted_vec();
    let mut runs: Vec<(&str, u32)> = Vec::new();
    for word in sorted {
        match runs.last_mut() {
            Some((last, count)) if *last == word => *count += 1,
            _ => runs.push((word, 1)),
        }
    }
    let mut ok = counts.iter().map(|(word, count)| (*word, *count)).eq(runs.iter().copied());

    // Take out whatever occurs once; the most frequent first among the rest.
    counts.retain(|_, count| *count > 1);
    for (word, count) in &runs {
        ok &= counts.remove(word) == (*count > 1).then_some(*count);
    }
    ok &= counts.is_empty();
    runs.retain(|(_, count)| *count > 1);
    let runs = sort(runs, &|a, b| a.1 > b.1);
    for (word, count) in &runs {
        log.update(format!("{word:>8}|{count:<4}|{:?}\n", word.to_uppercase()));
    }
    ok && runs.windows(2).all(|pair| pair[0].1 > pair[1].1 || pair[0].1 == pair[1].1 && pair[0].0 < pair[1].0)
}

/// Numbers to text and back.
#[inline(never)]
fn numbers(random: &mut Random, log: &mut Sha256) -> bool {
    let mut ok = true;
    for _ in 0..40 {
        let n = random.next() >> random.below(64);
        let signed = (random.next() as i64) >> random.below(64);
        // A binary fraction has an exact decimal one, and comes back the same.
        let real = signed as f64 / f64::from(1u32 << random.below(31));
        let text = format!("{n} {n:#x} {signed:+} {real} {real:e} {real:.3}");
        let parts: Vec<&str> = text.split(' ').collect();
        ok &= parts[0].parse() == Ok(n)
            && u64::from_str_radix(&parts[1][2..], 16) == Ok(n)
            && parts[2].parse() == Ok(signed)
            && parts[3].parse() == Ok(real)
            && parts[4].parse() == Ok(real);
        ok &= parts[5].parse().is_ok_and(|near: f64| (near - real).abs() <= 0.000_5 + real.abs() * 1e-15);
        log.update(&text);
    }
    ok
}

/// Division of wide numbers, undone by multiplication.
#[inline(never)]
fn division(random: &mut Random, log: &mut Sha256) -> bool {
    let mut ok = true;
    for _ in 0..200 {
        let n = random.next();
        let d = (random.next() >> random.below(63)) | 1;
        let (q, r) = (n / d, n % d);
        ok &= r < d && q.checked_mul(d).and_then(|m| m.checked_add(r)) == Some(n);
        log.update(q.to_le_bytes());

        let wide = u128::from(n) << 64 | u128::from(random.next());
        let (q, r) = (wide / u128::from(d), wide % u128::from(d));
        ok &= r < u128::from(d) && q.wrapping_mul(u128::from(d)).wrapping_add(r) == wide;
        log.update(r.to_le_bytes());

        let (a, b) = (n as i64 >> 7, (d as i64) >> 40 | 3);
        ok &= a.div_euclid(b) * b + a.rem_euclid(b) == a && a.rem_euclid(b) < b.abs();
    }
    ok
}

fn power(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let times = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(modulus)) as u64;
    let mut result = 1;
    while exponent != 0 {
        if exponent & 1 != 0 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

/// Miller and Rabin's test; these four bases leave no doubt below 3.2 * 10^9.
fn is_prime(n: u64) -> bool {
    if n < 11 || n % 2 == 0 {
        return matches!(n, 2 | 3 | 5 | 7);
    }
    let twos = (n - 1).trailing_zeros();
    [2, 3, 5, 7].into_iter().all(|base| {
        let mut x = power(base, (n - 1) >> twos, n);
        x == 1
            || (0..twos).any(|_| {
                let found = x == n - 1;
                x = power(x, 2, n);
                found
            })
    })
}

/// Primes by that test and by trial division.
#[inline(never)]
fn primes(random: &mut Random, log: &mut Sha256) -> bool {
    let mut ok = true;
    for _ in 0..12 {
        let n = u64::from(random.below(2_000_000)) | 1;
        let divides = |d: &u64| n % d == 0;
        let expected = n > 1 && !(3..).step_by(2).take_while(|d| d * d <= n).any(|d| divides(&d));
        ok &= is_prime(n) == expected;
        log.update([u8::from(expected)]);
    }
    ok
}

/// Shortest ways over a square of hills: Dijkstra's with a heap, and again by
/// going over all the steps until none makes anything shorter.
#[inline(never)]
fn ways(random: &mut Random, log: &mut Sha256) -> bool {
    const SIDE: usize = 12;
    let cost: Vec<u32> = (0..SIDE * SIDE).map(|_| 1 + random.below(99)).collect();
    let neighbours = |at: usize| {
        let (x, y) = (at % SIDE, at / SIDE);
        [
            (x > 0).then(|| at - 1),
            (x + 1 < SIDE).then(|| at + 1),
            (y > 0).then(|| at - SIDE),
            (y + 1 < SIDE).then(|| at + SIDE),
        ]
        .into_iter()
        .flatten()
    };

    let mut far = vec![u32::MAX; SIDE * SIDE];
    let mut queue = BinaryHeap::from([Reverse((0, 0))]);
    while let Some(Reverse((so_far, at))) = queue.pop() {
        if so_far < far[at] {
            far[at] = so_far;
            queue.extend(neighbours(at).map(|to| Reverse((so_far + cost[to], to))));
        }
    }

    let mut again = vec![u32::MAX; SIDE * SIDE];
    again[0] = 0;
    let mut changed = true;
    while changed {
        changed = false;
        for at in 0..SIDE * SIDE {
            for to in neighbours(at) {
                let through = again[at].saturating_add(cost[to]);
                if through < again[to] {
                    again[to] = through;
                    changed = true;
                }
            }
        }
    }
    for n in &far {
        log.update(n.to_le_bytes());
    }
    far == again
}

/// Strings sorted as a whole, by length, and split and joined again.
#[inline(never)]
fn strings(random: &mut Random, log: &mut Sha256) -> bool {
    let mut names: Vec<String> = (0..250).map(|i| format!("{}-{:03}-{}", word(random), i, word(random))).collect();
    let total: usize = names.iter().map(String::len).sum();
    names = sort(names, &|a, b| a < b);
    let mut ok = names.windows(2).all(|pair| pair[0] < pair[1]);
    names = sort(names, &|a, b| (a.chars().count(), b) < (b.chars().count(), a));
    ok &= names.windows(2).all(|pair| {
        let (a, b) = (pair[0].chars().count(), pair[1].chars().count());
        a < b || a == b && pair[0] > pair[1]
    });

    let mut seen = [false; 250];
    let joined = names.join(",");
    ok &= joined.len() == total + 249;
    for name in joined.split(',') {
        let number = name.split('-').nth(1).and_then(|n| n.parse::<usize>().ok());
        match number.and_then(|n| seen.get_mut(n)) {
            Some(seen) => ok &= !core::mem::replace(seen, true),
            None => ok = false,
        }
    }
    log.update(&joined);
    ok
}

/// One message hashed at once and in pieces.
#[inline(never)]
fn hashes(random: &mut Random, log: &mut Sha256) -> bool {
    let mut message: Vec<u8> = Vec::new();
    for _ in 0..250 {
        message.extend(random.next().to_le_bytes());
    }
    let (whole, whole_wide) = (Sha256::digest(&message), Sha512::digest(&message));
    let (mut hash, mut wide) = (Sha256::new(), Sha512::new());
    let mut rest = &message[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(300) as usize));
        hash.update(piece);
        wide.update(piece);
        rest = after;
    }
    log.update(whole);
    log.update(whole_wide);
    hash.finalize() == whole && wide.finalize() == whole_wide
}

fn known_answers() -> bool {
    hex(&Sha256::digest(b"abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        && hex(&Sha512::digest(b"abc"))
            == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        && u64::MAX.to_string() == "18446744073709551615"
        && format!("{:.10}", core::f64::consts::PI) == "3.1415926536"
        && power(2, 1_000_000_006, 1_000_000_007) == 1
}

fn main(args: sys::Args) -> i32 {
    let rounds = match args.get(1).map(|text| text.parse::<u32>()) {
        None => DEFAULT_ROUNDS,
        Some(Ok(rounds)) if rounds > 0 => rounds,
        Some(_) => {
            let _ = writeln!(sys::Stderr, "argument 1 must be a number from 1 up");
            return 2;
        }
    };
    let mut random = Random(42);
    let mut log = Sha256::new();
    let mut failed: Vec<&str> = Vec::new();
    if !known_answers() {
        failed.push("known answers");
    }
    type Part = fn(&mut Random, &mut Sha256) -> bool;
    const PARTS: [(&str, Part); 7] = [
        ("words", words),
        ("numbers", numbers),
        ("division", division),
        ("primes", primes),
        ("ways", ways),
        ("strings", strings),
        ("hashes", hashes),
    ];
    for _ in 0..rounds {
        for (name, part) in PARTS {
            if !part(&mut random, &mut log) {
                failed.push(name);
            }
        }
    }
    let result = hex(&log.finalize()[..8]);
    if rounds == DEFAULT_ROUNDS && result != DEFAULT_RESULT {
        failed.push("result");
    }
    let end = if failed.is_empty() { String::from("ok") } else { format!("FAILED: {}", failed.join(", ")) };
    sys::print(&format!("rust_mix({rounds}) = {result} {end}\n"));
    i32::from(!failed.is_empty())
}
