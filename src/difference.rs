//! What is told when the engines differ: where, in what, and all that helps to find out why.
//!
//! It holds what was seen; finding it is the crosscheck's business.

use std::fmt;

use crate::error::{DifferenceError, Error, Location};
pub use crate::overhear::Output;
use crate::status::Status;
use crate::trace::{Effect, Row};

/// The first difference between the JIT and the interpreter.
#[derive(Debug)]
pub struct Difference {
    /// The first step that differs, at the address that the interpreter has for it. If all rows agree and what they leave
    /// behind does not: where the interpreter stands after them.
    pub location: Location,
    /// What differs: columns of the row, "row" if only one side has one, "effects"; or, after the last row, "end", "pc",
    /// "x10", "stdout", "stderr", "ecalls", "pages", "memory".
    pub what: Vec<String>,
    /// The registers before that step, which the rows before it agree on.
    pub before: [u32; 32],
    /// The last rows before that step.
    pub context: Vec<Row>,
    /// The first word of memory that differs at the end.
    pub word: Option<Word>,
    /// The JIT.
    pub jit: Side,
    /// The interpreter.
    pub interpreter: Side,
}

impl std::error::Error for Difference {}

impl Difference {
    /// The difference that ended a run, if that is why it ended.
    pub fn of(error: &Error) -> Option<&Difference> {
        match error {
            Error::Difference(error) => error.source.downcast_ref(),
            _ => None,
        }
    }

    /// The difference that ended a run.
    ///
    /// # Errors
    /// Any other error, unchanged.
    pub fn take(error: Error) -> Result<Box<Difference>, Error> {
        match error {
            Error::Difference(DifferenceError { location, source }) => {
                source.downcast().map_err(|source| Error::Difference(DifferenceError { location, source }))
            }
            error => Err(error),
        }
    }
}

impl From<Difference> for Error {
    fn from(difference: Difference) -> Error {
        Error::Difference(DifferenceError { location: difference.location, source: Box::new(difference) })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the engines differ at {} in {}", self.location, self.what.join(", "))?;
        write!(f, "; the fault is Tachy's and not the program's, please report it")
    }
}

/// A word of memory that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Where it is.
    pub address: u32,
    /// What it is after the JIT.
    pub jit: u32,
    /// What it is after the interpreter.
    pub interpreter: u32,
}

/// What one engine made of the step that differs, and where it stands now.
#[derive(Debug)]
pub struct Side {
    /// Its row of that step, if it got so far.
    pub row: Option<Row>,
    /// That step's effects.
    pub effects: Vec<Effect>,
    /// How it ended, if it did before the comparison stopped it.
    pub end: Option<Result<Status, Error>>,
    /// Steps done: up to the end of the buffer of rows that differs.
    pub steps: u64,
    /// Address of the next instruction after these.
    pub pc: u32,
    /// Registers after these.
    pub registers: [u32; 32],
    /// What it wrote to stdout.
    pub stdout: Output,
    /// What it wrote to stderr.
    pub stderr: Output,
}
