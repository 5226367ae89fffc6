//! Digests, and the SHA-256 of structures by which RISC Zero identifies image ids and claims.
//!
//! This file must not know what is hashed. It must not know Poseidon2 either, whose digests also have eight words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Eight words: a SHA-256 digest, or eight BabyBear elements of a Poseidon2 digest.
///
/// Displays and parses as 64 hexadecimal digits: the bytes of the words in order, each word little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Digest(pub [u32; 8]);

impl Digest {
    /// The zero digest, which means "nothing".
    pub const ZERO: Digest = Digest([0; 8]);

    /// Returns the SHA-256 digest of bytes.
    pub fn sha256(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    /// Makes a digest from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        let mut digest = Digest::ZERO;
        for (word, bytes) in digest.0.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        digest
    }

    /// Returns its bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: expected 64 hexadecimal digits")]
pub struct ParseDigestError;

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Digest, ParseDigestError> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| ParseDigestError)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(ParseDigestError);
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        }
        Ok(Digest::from_bytes(bytes))
    }
}

/// Returns the digest of a structure. It is the SHA-256 of the tag's SHA-256, the digests of structured fields
/// (`down`), the words in little-endian order, and the number of digests in two bytes.
pub fn tagged_struct(tag: &str, down: &[Digest], words: &[u32]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(Digest::sha256(tag.as_bytes()).to_bytes());
    for digest in down {
        hasher.update(digest.to_bytes());
    }
    for word in words {
        hasher.update(word.to_le_bytes());
    }
    hasher.update((down.len() as u16).to_le_bytes());
    Digest::from_bytes(hasher.finalize().into())
}
