//! Why a value cannot be converted to or from words. This file must not know how values are converted.

use std::fmt;

/// Why a value cannot be converted to or from words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the value's own type.
    #[error("{0}")]
    Message(String),
    /// The words end inside the value.
    #[error("the value needs {needed} more bytes, and {found} are left")]
    End {
        /// Bytes that the next value needs.
        needed: usize,
        /// Bytes left.
        found: usize,
    },
    /// A word is invalid for the expected type.
    #[error("{word:#x} is not a valid {what}")]
    Word {
        /// "bool", "char" or "option".
        what: &'static str,
        /// The word.
        word: u32,
    },
    /// A string is not valid UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// A length does not fit into a word.
    #[error("{0} is too long for a length, which has 32 bits")]
    Length(usize),
    /// Values are nested too deeply.
    #[error("values are nested more than {0} deep")]
    Depth(usize),
    /// Too many elements take no words.
    #[error("there are more than {0} elements without content")]
    Empty(usize),
    /// The format cannot represent this.
    #[error("the format does not support {0}")]
    Unsupported(&'static str),
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error::Message(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Error {
        Error::Message(message.to_string())
    }
}
