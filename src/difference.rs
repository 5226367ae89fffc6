//! The report of a difference between the engines: where and in what they differ, and everything that helps to find out
//! why.
//!
//! It only holds the observations; the crosscheck finds the difference.

use std::fmt;

use crate::error::{DifferenceError, Error, Location};
pub use crate::overhear::Output;
use crate::status::Status;
use crate::trace::{Effect, Row};

/// The first difference between the JIT and the interpreter.
#[derive(Debug)]
pub struct Difference {
    /// The first step that differs, with the interpreter's address. If all rows agree but the final states do not, it
    /// is where the interpreter stands after the last row.
    pub location: Location,
    /// What differs: columns of the row, "row" if only one side has one, or "effects". After the last row: "end", "pc",
    /// "x10", "stdout", "stderr", "ecalls", "pages" or "memory".
    pub what: Vec<String>,
    /// The registers before that step; both engines agree on them.
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
    /// Returns the difference that ended a run, if one did.
    pub fn of(error: &Error) -> Option<&Difference> {
        match error {
            Error::Difference(error) => error.source.downcast_ref(),
            _ => None,
        }
    }

    /// Takes the difference that ended a run out of its error.
    ///
    /// # Errors
    /// Returns any other error unchanged.
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
        write!(f, "; this is a bug in Tachy and not in the program, please report it")
    }
}

/// A word of memory that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Its address.
    pub address: u32,
    /// Its value after the JIT's run.
    pub jit: u32,
    /// Its value after the interpreter's run.
    pub interpreter: u32,
}

/// What one engine did in the step that differs, and where it stands now.
#[derive(Debug)]
pub struct Side {
    /// Its row of that step, if it reached the step.
    pub row: Option<Row>,
    /// That step's effects.
    pub effects: Vec<Effect>,
    /// How it ended, if it ended before the comparison stopped it.
    pub end: Option<Result<Status, Error>>,
    /// Steps done, up to the end of the row buffer that differs.
    pub steps: u64,
    /// Address of the next instruction after these steps.
    pub pc: u32,
    /// Registers after these steps.
    pub registers: [u32; 32],
    /// What it wrote to stdout.
    pub stdout: Output,
    /// What it wrote to stderr.
    pub stderr: Output,
}
