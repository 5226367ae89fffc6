//! Verifies signatures over secp256k1 with the crate `k256`, by instructions alone.
//!
//! Input: u32 count of verifications. Every fourth has a damaged message. Journal: u32 accepted, u32 refused, as in
//! `ecdsa_bigint`.

use k256::ecdsa::signature::Verifier;
use k256::ecdsa::{Signature, VerifyingKey};
use r0vm_programs::{is_damaged, records};
use risc0_zkvm::guest::env;

fn main() {
    let count: u32 = env::read();
    let records = records(include_bytes!("../../data/secp256k1"));
    let mut accepted = 0u32;
    for number in 0..count {
        let record = &records[number as usize % records.len()];
        let mut message = record.message.to_vec();
        message[0] ^= u8::from(is_damaged(number));
        let key = VerifyingKey::from_sec1_bytes(&[&[4], record.key].concat()).expect("a key on the curve");
        let signature = Signature::from_slice(record.signature).expect("a signature in range");
        let good = key.verify(&message, &signature).is_ok();
        assert_ne!(good, is_damaged(number), "signature {number}");
        accepted += u32::from(good);
    }
    env::commit_slice(&[accepted, count - accepted]);
}
