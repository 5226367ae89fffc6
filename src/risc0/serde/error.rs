//! Why a value does not go into words or come out of them.

use std::fmt;

/// Why a value does not go into words or come out of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What the value's own type says.
    #[error("{0}")]
    Message(String),
    /// The words end inside the value.
    #[error("the value needs {needed} bytes more, of which there are {found}")]
    End {
        /// Bytes that come next.
        needed: usize,
        /// Bytes left.
        found: usize,
    },
    /// A word that does not stand for what comes next.
    #[error("{word:#x} is no {what}")]
    Word {
        /// "bool", "char" or "option".
        what: &'static str,
        /// The word.
        word: u32,
    },
    /// A string that is none.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// A length that does not go into a word.
    #[error("{0} is too long for a length, which has 32 bits")]
    Length(usize),
    /// Too many values inside each other.
    #[error("the words have more than {0} values inside each other")]
    Depth(usize),
    /// Too many elements that take no words.
    #[error("the words claim more than {0} elements that have no content")]
    Empty(usize),
    /// The format has no way to say this.
    #[error("the format has no {0}")]
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
