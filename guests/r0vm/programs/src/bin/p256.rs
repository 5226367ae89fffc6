//! Verifies signatures over P-256: first with the accelerators, then with the crate `p256` by instructions alone.
//!
//! Input: u32 count for the accelerators, u32 count for the crate. Every fourth has a damaged message. Journal: u32
//! accepted and u32 refused by each.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use r0vm_programs::ecdsa::{from_octets, verify};
use r0vm_programs::p256::P256;
use r0vm_programs::{Record, is_damaged, records};
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};

fn by_accelerator(record: &Record, message: &[u8]) -> bool {
    let (key, signature) = record.numbers::<P256>();
    verify(&key, from_octets(Impl::hash_bytes(message).as_bytes()), &signature)
}

fn by_crate(record: &Record, message: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(&[&[4], record.key].concat()).expect("a key on the curve");
    let signature = Signature::from_slice(record.signature).expect("a signature in range");
    key.verify(message, &signature).is_ok()
}

fn main() {
    let counts: [u32; 2] = env::read();
    let records = records(include_bytes!("../../data/secp256r1"));
    for (count, verify) in counts.into_iter().zip([by_accelerator, by_crate]) {
        let mut accepted = 0u32;
        for number in 0..count {
            let record = &records[number as usize % records.len()];
            let mut message = record.message.to_vec();
            message[0] ^= u8::from(is_damaged(number));
            let good = verify(record, &message);
            assert_ne!(good, is_damaged(number), "signature {number}");
            accepted += u32::from(good);
        }
        env::commit_slice(&[accepted, count - accepted]);
    }
}
