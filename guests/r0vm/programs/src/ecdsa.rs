//! Verifies signatures of ECDSA with RISC Zero's big-integer accelerator.
//!
//! It works on any curve whose point arithmetic the accelerator has. It must not know which hash made the digest.

use risc0_bigint2::ec::{AffinePoint, Curve, Secp256k1Curve, Secp384r1Curve};
use risc0_bigint2::field;

/// A number, least significant word first.
pub type Words<const WIDTH: usize> = [u32; WIDTH];
/// A point of a curve.
pub type Point<const WIDTH: usize, C> = AffinePoint<WIDTH, C>;
/// Three operands in, the result last.
type Operation<const WIDTH: usize> = fn(&Words<WIDTH>, &Words<WIDTH>, &Words<WIDTH>, &mut Words<WIDTH>);

/// The two numbers of a signature.
pub struct Signature<const WIDTH: usize> {
    pub r: Words<WIDTH>,
    pub s: Words<WIDTH>,
}

/// A curve with what signatures need beyond its equation.
pub trait Signs<const WIDTH: usize>: Curve<WIDTH> {
    /// The prime of the field.
    const PRIME: Words<WIDTH>;
    /// The coefficients a and b of the equation.
    const COEFFICIENTS: [Words<WIDTH>; 2];
    /// The point that generates the group.
    const BASE: [Words<WIDTH>; 2];
    /// How many points the group has: a prime.
    const ORDER: Words<WIDTH>;
    /// The sum modulo the last operand.
    const ADD: Operation<WIDTH>;
    /// The product modulo the last operand.
    const MULTIPLY: Operation<WIDTH>;
    /// The inverse modulo the second operand.
    const INVERT: fn(&Words<WIDTH>, &Words<WIDTH>, &mut Words<WIDTH>);
}

/// Reads a number from its octets, most significant first. There may be fewer octets than the number has room for.
pub const fn from_octets<const WIDTH: usize>(octets: &[u8]) -> Words<WIDTH> {
    assert!(octets.len() <= 4 * WIDTH);
    let mut words = [0; WIDTH];
    let mut at = 0;
    while at < octets.len() {
        words[at / 4] |= (octets[octets.len() - 1 - at] as u32) << (at % 4 * 8);
        at += 1;
    }
    words
}

/// Reads a number from hexadecimal digits, for constants.
pub const fn from_hex<const WIDTH: usize>(digits: &str) -> Words<WIDTH> {
    assert!(digits.len() == 8 * WIDTH);
    let mut words = [0; WIDTH];
    let mut at = 0;
    while at < digits.len() {
        let digit = match digits.as_bytes()[digits.len() - 1 - at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("a digit of a constant"),
        };
        words[at / 8] |= (digit as u32) << (at % 8 * 4);
        at += 1;
    }
    words
}

fn is_less<const WIDTH: usize>(left: &Words<WIDTH>, right: &Words<WIDTH>) -> bool {
    left.iter().rev().lt(right.iter().rev())
}

/// Reduces a number below twice the modulus.
fn reduce<const WIDTH: usize>(mut number: Words<WIDTH>, modulus: &Words<WIDTH>) -> Words<WIDTH> {
    if is_less(&number, modulus) {
        return number;
    }
    let mut borrow = false;
    for (word, taken) in number.iter_mut().zip(modulus) {
        let (first, second);
        (*word, first) = word.overflowing_sub(*taken);
        (*word, second) = word.overflowing_sub(u32::from(borrow));
        borrow = first || second;
    }
    number
}

fn multiply<const WIDTH: usize, C: Signs<WIDTH>>(
    left: &Words<WIDTH>,
    right: &Words<WIDTH>,
    modulus: &Words<WIDTH>,
) -> Words<WIDTH> {
    let mut product = [0; WIDTH];
    C::MULTIPLY(left, right, modulus, &mut product);
    product
}

/// Returns whether a point satisfies the equation of its curve.
pub fn is_on_curve<const WIDTH: usize, C: Signs<WIDTH>>(point: &Point<WIDTH, C>) -> bool {
    let Some([x, y]) = point.as_u32s() else { return false };
    if !is_less(x, &C::PRIME) || !is_less(y, &C::PRIME) {
        return false;
    }
    let multiply = |left, right| multiply::<WIDTH, C>(left, right, &C::PRIME);
    let [a, b] = &C::COEFFICIENTS;
    // y^2 = (x^2 + a) x + b
    let (mut sum, mut right) = ([0; WIDTH], [0; WIDTH]);
    C::ADD(&multiply(x, x), a, &C::PRIME, &mut sum);
    C::ADD(&multiply(&sum, x), b, &C::PRIME, &mut right);
    multiply(y, y) == right
}

/// Returns whether the signature of a digest is the key's. A digest has at most as many bits as the order.
pub fn verify<const WIDTH: usize, C: Signs<WIDTH>>(
    key: &Point<WIDTH, C>,
    digest: Words<WIDTH>,
    signature: &Signature<WIDTH>,
) -> bool {
    let in_range = |number: &Words<WIDTH>| *number != [0; WIDTH] && is_less(number, &C::ORDER);
    if !in_range(&signature.r) || !in_range(&signature.s) || !is_on_curve(key) {
        return false;
    }
    let mut inverse = [0; WIDTH];
    C::INVERT(&signature.s, &C::ORDER, &mut inverse);
    let scalar = |number: &Words<WIDTH>| multiply::<WIDTH, C>(number, &inverse, &C::ORDER);
    let [mut left, mut right, mut sum] = [Point::IDENTITY; 3];
    let [x, y] = C::BASE;
    Point::<WIDTH, C>::new_unchecked(x, y).mul(&scalar(&reduce(digest, &C::ORDER)), &mut left);
    key.mul(&scalar(&signature.r), &mut right);
    left.add(&right, &mut sum);
    sum.as_u32s().is_some_and(|[x, _]| reduce(*x, &C::ORDER) == signature.r)
}

impl Signs<8> for Secp256k1Curve {
    const PRIME: Words<8> = from_hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f");
    const COEFFICIENTS: [Words<8>; 2] = [[0; 8], [7, 0, 0, 0, 0, 0, 0, 0]];
    const BASE: [Words<8>; 2] = [
        from_hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
        from_hex("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"),
    ];
    const ORDER: Words<8> = from_hex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    const ADD: Operation<8> = field::modadd_256;
    const MULTIPLY: Operation<8> = field::modmul_256;
    const INVERT: fn(&Words<8>, &Words<8>, &mut Words<8>) = field::modinv_256;
}

impl Signs<12> for Secp384r1Curve {
    const PRIME: Words<12> =
        from_hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff");
    const COEFFICIENTS: [Words<12>; 2] = [
        from_hex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc"),
        from_hex("b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef"),
    ];
    const BASE: [Words<12>; 2] = [
        from_hex("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"),
        from_hex("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f"),
    ];
    const ORDER: Words<12> =
        from_hex("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973");
    const ADD: Operation<12> = field::modadd_384;
    const MULTIPLY: Operation<12> = field::modmul_384;
    const INVERT: fn(&Words<12>, &Words<12>, &mut Words<12>) = field::modinv_384;
}
