//! Compares big-integer arithmetic of the accelerator with software: products and inverses modulo a prime, points of
//! secp256k1, and RSA's public operation with 4096 bits.
//!
//! Input: u32 rounds of the 256-bit part, u32 rounds of RSA. Journal: the last product, the last point, and a hash of
//! each RSA result.

use num_bigint::BigUint;
use r0vm_guests::sequence;
use risc0_bigint2::ec::{AffinePoint, Secp256k1Curve};
use risc0_bigint2::{field, rsa};
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};

type Point = AffinePoint<8, Secp256k1Curve>;

/// The field of secp256k1, 2^256 - 2^32 - 977, least significant word first.
const PRIME: [u32; 8] = [0xffff_fc2f, 0xffff_fffe, !0, !0, !0, !0, !0, !0];
/// The base point of secp256k1, from SEC 2.
const BASE: [[u32; 8]; 2] = [
    [0x16f8_1798, 0x59f2_815b, 0x2dce_28d9, 0x029b_fcdb, 0xce87_0b07, 0x55a0_6295, 0xf9dc_bbac, 0x79be_667e],
    [0xfb10_d4b8, 0x9c47_d08f, 0xa685_5419, 0xfd17_b448, 0x0e11_08a8, 0x5da4_fbfc, 0x26a3_c465, 0x483a_da77],
];

fn words<const COUNT: usize>(seed: u32) -> [u32; COUNT] {
    let bytes = sequence(seed, 4 * COUNT);
    std::array::from_fn(|at| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte])))
}

fn big(words: &[u32]) -> BigUint {
    BigUint::from_slice(words)
}

/// Computes a product and an inverse in the field. The seed's words stay below the prime, because its top word is the
/// largest.
fn product(seed: u32) -> [u32; 8] {
    let (mut left, mut right) = (words::<8>(seed), words::<8>(seed + 1));
    (left[7], right[7]) = (left[7] >> 1 | 1, right[7] >> 1);
    let (mut product, mut inverse, mut one) = ([0; 8], [0; 8], [0; 8]);
    field::modmul_256(&left, &right, &PRIME, &mut product);
    assert_eq!(big(&product), big(&left) * big(&right) % big(&PRIME));
    field::modinv_256(&left, &PRIME, &mut inverse);
    field::modmul_256(&left, &inverse, &PRIME, &mut one);
    assert_eq!(big(&one), BigUint::from(1u32));
    product
}

/// Returns `scalar` times the base point, and asserts that the result lies on the curve y^2 = x^3 + 7.
fn point(scalar: u32) -> [[u32; 8]; 2] {
    let base = Point::new_unchecked(BASE[0], BASE[1]);
    let mut result = Point::IDENTITY;
    base.mul(&[scalar, 0, 0, 0, 0, 0, 0, 0], &mut result);
    let coordinates = *result.as_u32s().expect("a small multiple of the base point is not the point at infinity");
    let (x, y) = (big(&coordinates[0]), big(&coordinates[1]));
    assert_eq!(&y * &y % big(&PRIME), (&x * &x * &x + 7u32) % big(&PRIME));
    coordinates
}

/// Raises a base to the power 65537 modulo an odd number of 4096 bits.
fn public_operation(seed: u32) -> [u32; 128] {
    let (mut base, mut modulus) = (words::<128>(seed), words::<128>(seed + 1));
    (base[127], modulus[127]) = (base[127] >> 1, modulus[127] | 1 << 31);
    modulus[0] |= 1;
    let mut result = [0; 128];
    rsa::modpow_65537(&base, &modulus, &mut result);
    assert_eq!(big(&result), big(&base).modpow(&BigUint::from(65537u32), &big(&modulus)));
    result
}

fn main() {
    let rounds: u32 = env::read();
    let rsa_rounds: u32 = env::read();
    let mut last = ([0; 8], BASE);
    for round in 0..rounds {
        last = (product(2 * round), point(3 + 1000 * round));
    }
    env::commit_slice(&last.0);
    env::commit_slice(&last.1.concat());
    for round in 0..rsa_rounds {
        env::commit_slice(Impl::hash_words(&public_operation(100 + 2 * round)).as_bytes());
    }
}
