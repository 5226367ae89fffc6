//! Handles broken invariants. A broken invariant becomes an error with its location, so that a bug in Tachy neither
//! panics in the caller's process nor turns into a wrong value. Debug builds, and so all tests, panic on the spot.

use std::panic::Location;

use thiserror::Error;

/// An invariant that does not hold. It is a bug in Tachy, never the fault of the guest or the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an invariant of Tachy does not hold: {what}, at {location}; please report this")]
pub(crate) struct BrokenInvariant {
    what: String,
    location: &'static Location<'static>,
}

/// Returns the error for an invariant that does not hold; `what` describes what was found instead. Panics in debug
/// builds.
#[track_caller]
pub(crate) fn broken(what: impl Into<String>) -> BrokenInvariant {
    let error = BrokenInvariant { what: what.into(), location: Location::caller() };
    debug_assert!(false, "{error}");
    error
}

/// Returns the error of [`broken`] from the enclosing function unless the condition holds. Further arguments describe
/// what was found instead, as in `format!`.
macro_rules! invariant {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::invariant::broken(format!($($what)+)).into());
        }
    };
}

pub(crate) use invariant;

#[cfg(test)]
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
        let error = BrokenInvariant { what: "7 is odd".to_owned(), location: Location::caller() };
        let text = error.to_string();
        assert!(text.contains("7 is odd, at src/invariant.rs:") && text.contains("report"), "{text}");
    }
}
