//! Handles broken invariants. A broken invariant becomes an error with its location, so that a bug in Tachy neither
//! panics in the caller's process nor turns into a wrong value. Debug builds, and so all tests, panic on the spot.

use std::panic;

use crate::error::{Error, Location};

/// An invariant that does not hold. It is a bug in Tachy, never the fault of the guest or the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an invariant does not hold: {what}, at {location}")]
pub(crate) struct BrokenInvariant {
    what: String,
    location: &'static panic::Location<'static>,
}

impl BrokenInvariant {
    /// Returns the error of a run, or of a start, that stops at `location`.
    pub(crate) fn at(&self, location: Location) -> Error {
        Error::Internal { what: self.to_string(), location }
    }
}

/// Returns the error for an invariant that does not hold; `what` describes what was found instead. Panics in debug
/// builds.
#[track_caller]
pub(crate) fn broken(what: impl Into<String>) -> BrokenInvariant {
    let error = BrokenInvariant { what: what.into(), location: panic::Location::caller() };
    debug_assert!(false, "{error}");
    error
}

/// Returns the error of [`broken`] from the enclosing function unless the condition holds. Further arguments describe
/// what was found instead, as in `format!`.
#[cfg(feature = "jit")]
macro_rules! invariant {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::invariant::broken(format!($($what)+)).into());
        }
    };
}

#[cfg(feature = "jit")]
pub(crate) use invariant;

#[cfg(test)]
#[cfg(feature = "jit")]
mod tests {
    use super::*;

    fn half(number: u32) -> Result<u32, BrokenInvariant> {
        invariant!(number.is_multiple_of(2), "{number} is odd");
        Ok(number / 2)
    }

    #[test]
    fn an_invariant_that_holds_changes_nothing() {
        assert_eq!(half(6), Ok(3));
    }

    #[test]
    #[should_panic(expected = "7 is odd, at src/invariant.rs:")]
    fn debug_builds_panic_where_it_is_broken() {
        let _ = half(7);
    }

    #[test]
    fn the_error_says_what_and_where() {
        let error = BrokenInvariant { what: "7 is odd".to_owned(), location: panic::Location::caller() };
        let text = error.to_string();
        assert!(text.contains("7 is odd, at src/invariant.rs:"), "{text}");
        let error = error.at(Location { pc: 4, step: 1 }).to_string();
        assert!(
            error.contains("pc 0x00000004, step 1") && error.contains("7 is odd") && error.contains("report"),
            "{error}"
        );
    }
}
