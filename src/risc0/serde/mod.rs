//! RISC Zero's serde format: values as words, as the reference's host and guests exchange them.
//!
//! A number of up to 32 bits takes one word, 64 bits take two and 128 bits four, least significant word first. A string
//! or byte buffer is its length in bytes and its bytes, padded to whole words with zeros. A sequence or map is its
//! length and its elements, so a `Vec<u8>` takes a word for each byte. An option is 0, or 1 and the value. A variant is
//! its index and its fields. Tuples and structures are their fields in order, without names; the reader must know the
//! type.
//!
//! This module must not know guests or hosts.

mod error;
mod read;
mod write;

pub use error::Error;
pub use read::{from_bytes, from_words};
pub use write::to_words;
