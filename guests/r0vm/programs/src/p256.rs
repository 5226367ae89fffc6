//! The curve P-256 for the accelerator, which takes the constants of any curve of 256 bits.

use risc0_bigint2::ec::{Curve, WeierstrassCurve};
use risc0_bigint2::field;

use crate::ecdsa::{Signs, Words, from_hex};

/// P-256, also called secp256r1 and prime256v1.
#[derive(Debug, Eq, PartialEq)]
pub enum P256 {}

impl Curve<8> for P256 {
    const CURVE: &'static WeierstrassCurve<8> = &WeierstrassCurve::new(
        <P256 as Signs<8>>::PRIME,
        <P256 as Signs<8>>::COEFFICIENTS[0],
        <P256 as Signs<8>>::COEFFICIENTS[1],
    );
}

impl Signs<8> for P256 {
    const PRIME: Words<8> = from_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    const COEFFICIENTS: [Words<8>; 2] = [
        from_hex("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"),
        from_hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
    ];
    const BASE: [Words<8>; 2] = [
        from_hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        from_hex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    ];
    const ORDER: Words<8> = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    const ADD: fn(&Words<8>, &Words<8>, &Words<8>, &mut Words<8>) = field::modadd_256;
    const MULTIPLY: fn(&Words<8>, &Words<8>, &Words<8>, &mut Words<8>) = field::modmul_256;
    const INVERT: fn(&Words<8>, &Words<8>, &mut Words<8>) = field::modinv_256;
}
