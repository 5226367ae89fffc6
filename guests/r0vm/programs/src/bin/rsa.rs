//! Verifies signatures of RSA with 4096 bits, PKCS #1 v1.5 and SHA-256, by the accelerators.
//!
//! Input: u32 count of verifications. Every fourth has a damaged message. Journal: u32 accepted, u32 refused.

use r0vm_programs::ecdsa::from_octets;
use r0vm_programs::{MESSAGE_BYTES, is_damaged};
use risc0_bigint2::rsa::modpow_65537;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};

const OCTETS: usize = 512;
/// The bytes before a digest of SHA-256 in DER: the algorithm's name and the length.
const PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Returns the padded digest that a good signature opens to.
fn padded(digest: &[u8]) -> [u8; OCTETS] {
    let mut octets = [0xff; OCTETS];
    let content = OCTETS - PREFIX.len() - digest.len();
    (octets[0], octets[1], octets[content - 1]) = (0, 1, 0);
    octets[content..][..PREFIX.len()].copy_from_slice(&PREFIX);
    octets[content + PREFIX.len()..].copy_from_slice(digest);
    octets
}

fn verify(modulus: &[u8], signature: &[u8], message: &[u8]) -> bool {
    if signature >= modulus {
        return false;
    }
    let mut opened = [0; OCTETS / 4];
    modpow_65537(&from_octets(signature), &from_octets(modulus), &mut opened);
    opened == from_octets(&padded(Impl::hash_bytes(message).as_bytes()))
}

fn main() {
    let count: u32 = env::read();
    let data: &[u8] = include_bytes!("../../data/rsa4096");
    let records: Vec<&[u8]> = data.chunks_exact(2 * OCTETS + MESSAGE_BYTES).collect();
    let mut accepted = 0u32;
    for number in 0..count {
        let (modulus, rest) = records[number as usize % records.len()].split_at(OCTETS);
        let (signature, message) = rest.split_at(OCTETS);
        let mut message = message.to_vec();
        message[0] ^= u8::from(is_damaged(number));
        let good = verify(modulus, signature, &message);
        assert_ne!(good, is_damaged(number), "signature {number}");
        accepted += u32::from(good);
    }
    env::commit_slice(&[accepted, count - accepted]);
}
