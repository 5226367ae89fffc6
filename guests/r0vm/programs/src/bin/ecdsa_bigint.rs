//! Verifies signatures over secp256k1 with the accelerators: SHA-256 for the digest, big integers for the curve.
//!
//! Input: u32 count of verifications. Every fourth has a damaged message. Journal: u32 accepted, u32 refused.

use r0vm_programs::ecdsa::{from_octets, verify};
use r0vm_programs::{is_damaged, records};
use risc0_bigint2::ec::Secp256k1Curve;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};

fn main() {
    let count: u32 = env::read();
    let records = records(include_bytes!("../../data/secp256k1"));
    let mut accepted = 0u32;
    for number in 0..count {
        let record = &records[number as usize % records.len()];
        let mut message = record.message.to_vec();
        message[0] ^= u8::from(is_damaged(number));
        let (key, signature) = record.numbers::<Secp256k1Curve>();
        let good = verify(&key, from_octets(Impl::hash_bytes(&message).as_bytes()), &signature);
        assert_ne!(good, is_damaged(number), "signature {number}");
        accepted += u32::from(good);
    }
    env::commit_slice(&[accepted, count - accepted]);
}
