//! Code that several programs share: ECDSA by the accelerator, and the signatures of `data/`.
//!
//! It must not know the environment: each program has its own input and journal.

pub mod ecdsa;
pub mod p256;

use ecdsa::{Point, Signature, Signs, from_octets};

/// Bytes of a message in `data/`.
pub const MESSAGE_BYTES: usize = 64;

/// A signature as `make_data.py` writes it: the octets of x, y, r and s, then the message.
pub struct Record<'a> {
    pub key: &'a [u8],
    pub signature: &'a [u8],
    pub message: &'a [u8],
}

/// Returns the records of a curve whose numbers have 32 bytes.
pub fn records(data: &[u8]) -> Vec<Record<'_>> {
    let records = data.chunks_exact(4 * 32 + MESSAGE_BYTES);
    records.map(|bytes| Record { key: &bytes[..64], signature: &bytes[64..128], message: &bytes[128..] }).collect()
}

impl Record<'_> {
    /// Returns the key as a point, not yet checked, and the two numbers of the signature.
    pub fn numbers<C: Signs<8>>(&self) -> (Point<8, C>, Signature<8>) {
        let number = |octets: &[u8], at: usize| from_octets::<8>(&octets[32 * at..32 * at + 32]);
        let key = Point::new_unchecked(number(self.key, 0), number(self.key, 1));
        (key, Signature { r: number(self.signature, 0), s: number(self.signature, 1) })
    }
}

/// Returns whether the verification of this number gets a damaged message, which it must refuse: every fourth one.
pub fn is_damaged(number: u32) -> bool {
    number % 4 == 3
}

/// Returns a random-looking word that follows from the state, and changes the state.
pub fn next(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 8
}
