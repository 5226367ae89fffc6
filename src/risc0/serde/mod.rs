//! Values as words: the format in which the reference's host and guests pass values to each other.
//!
//! Whatever has up to 32 bits takes a word, 64 bits two and 128 bits four, the least significant first. A string or byte
//! buffer is its length in bytes and its bytes, filled up to whole words with zeros. A sequence or map is its length and
//! its elements (so a `Vec<u8>` takes a word for each byte), an option 0, or 1 and the value, a variant its index and
//! its fields. Tuples and structures are their fields one after the other, without names; the reader has to know.
//!
//! This module must not know guests or hosts.

mod error;
mod read;
mod write;

pub use error::Error;
pub use read::{from_bytes, from_words};
pub use write::to_words;
