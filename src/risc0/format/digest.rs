//! Digests, and the SHA-256 of structures by which RISC Zero names things: image ids, claims.
//!
//! This file must not know what is hashed, nor Poseidon2, whose digests are eight words too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Eight words: a SHA-256 digest, or eight elements of BabyBear where Poseidon2 made it.
///
/// Displayed, and parsed, as 64 hexadecimal digits: the bytes of the words in order, each word little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Digest(pub [u32; 8]);

impl Digest {
    /// The digest that stands for nothing.
    pub const ZERO: Digest = Digest([0; 8]);

    /// SHA-256 of bytes.
    pub fn sha256(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    /// The digest with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        let mut digest = Digest::ZERO;
        for (word, bytes) in digest.0.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        digest
    }

    /// Its bytes.
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

/// Text that is no digest.
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

/// The digest of a structure: SHA-256 of its tag's SHA-256, the digests of its structured fields (`down`), its words
/// little-endian, and the number of digests as two bytes.
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
