//! Verifies a chain of four X.509 certificates: a root with P-384, which is trusted, and three below it with P-256.
//!
//! The crate `x509-cert` parses them. The signatures take the big-integer accelerator, and SHA-256 its own; SHA-384 has
//! none. Input: u32 count of rounds. Every fourth has a damaged certificate. Journal: u32 accepted, u32 refused, and
//! the leaf's public key.

use r0vm_programs::ecdsa::{Point, Signature, Signs, from_octets, verify};
use r0vm_programs::is_damaged;
use r0vm_programs::p256::P256;
use risc0_bigint2::ec::Secp384r1Curve;
use risc0_zkvm::guest::env;
use risc0_zkvm::sha::{Impl, Sha256};
use sha2::{Digest, Sha384};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

const P256_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// The instant at which the chain must hold, in seconds since 1970: in the middle of 2026.
const NOW: u64 = 1_782_864_000;

/// The root first.
const CHAIN: [&[u8]; 4] = [
    include_bytes!("../../data/root.der"),
    include_bytes!("../../data/middle.der"),
    include_bytes!("../../data/issuer.der"),
    include_bytes!("../../data/leaf.der"),
];

/// Returns the octets of a certificate's public key, without the one that says "not compressed".
fn public_key(certificate: &Certificate) -> Option<&[u8]> {
    let octets = certificate.tbs_certificate.subject_public_key_info.subject_public_key.as_bytes()?;
    octets.strip_prefix(&[4])
}

/// Returns whether the signature, two integers of DER, is that of a digest by the key.
fn is_signed<const WIDTH: usize, C: Signs<WIDTH>>(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<bool> {
    let (x, y) = key.split_at_checked(4 * WIDTH).filter(|(_, y)| y.len() == 4 * WIDTH)?;
    let mut reader = SliceReader::new(signature).ok()?;
    let (r, s): (UintRef, UintRef) = reader.sequence(|inner| Ok((inner.decode()?, inner.decode()?))).ok()?;
    let number = |number: UintRef| (number.as_bytes().len() <= 4 * WIDTH).then(|| from_octets(number.as_bytes()));
    let key = Point::<WIDTH, C>::new_unchecked(from_octets(x), from_octets(y));
    Some(verify(&key, from_octets(digest), &Signature { r: number(r)?, s: number(s)? }))
}

/// Returns whether `above` may sign certificates, and signed `below`; `None` for what it does not understand.
fn vouches(above: &Certificate, below: &Certificate) -> Option<bool> {
    let (authority, subject) = (&above.tbs_certificate, &below.tbs_certificate);
    let (_, constraints) = authority.get::<BasicConstraints>().ok()??;
    let (_, usage) = authority.get::<KeyUsage>().ok()??;
    let validity = &subject.validity;
    let times = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
    let is_in_order = constraints.ca
        && usage.key_cert_sign()
        && authority.subject == subject.issuer
        && subject.signature == below.signature_algorithm
        && (times[0]..=times[1]).contains(&NOW);
    if !is_in_order {
        return Some(false);
    }
    let body = subject.to_der().ok()?;
    let signature = below.signature.as_bytes()?;
    let key = public_key(above)?;
    let curve = authority.subject_public_key_info.algorithm.parameters.as_ref()?.decode_as().ok()?;
    match (curve, below.signature_algorithm.oid) {
        (P256_KEY, WITH_SHA256) => is_signed::<8, P256>(key, Impl::hash_bytes(&body).as_bytes(), signature),
        (P384_KEY, WITH_SHA384) => is_signed::<12, Secp384r1Curve>(key, &Sha384::digest(&body), signature),
        _ => None,
    }
}

/// Returns the leaf's key, if each certificate vouches for the next and the root for itself.
fn verify_chain(chain: &[Vec<u8>]) -> Option<Vec<u8>> {
    let parsed: Vec<Certificate> =
        chain.iter().map(|octets| Certificate::from_der(octets).ok()).collect::<Option<_>>()?;
    let root = parsed.first()?;
    let pairs = std::iter::once((root, root)).chain(parsed.iter().zip(&parsed[1..]));
    for (above, below) in pairs {
        vouches(above, below)?.then_some(())?;
    }
    public_key(parsed.last()?).map(<[u8]>::to_vec)
}

fn main() {
    let count: u32 = env::read();
    let (mut accepted, mut key) = (0u32, Vec::new());
    for number in 0..count {
        let mut chain = CHAIN.map(<[u8]>::to_vec);
        if is_damaged(number) {
            // A bit of the serial number, which only the signature protects.
            let damaged = &mut chain[1 + number as usize / 4 % 3];
            let serial = damaged.windows(3).position(|octets| octets[..2] == [2, 1] && octets[2] > 1);
            damaged[serial.expect("a short serial number") + 2] ^= 0x40;
        }
        let leaf = verify_chain(&chain);
        assert_ne!(leaf.is_some(), is_damaged(number), "round {number}");
        if let Some(leaf) = leaf {
            (accepted, key) = (accepted + 1, leaf);
        }
    }
    env::commit_slice(&[accepted, count - accepted]);
    env::commit_slice(&key);
}
