//! The seed of a guest's random bytes. It must not know who draws the bytes.

use std::fmt;
use std::str::FromStr;

use tachy::risc0::Digest;

use crate::failure::Failure;

/// A seed of 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// The seed of runs that are compared with each other.
    pub(crate) const FIXED: Seed = Seed([0; 32]);

    /// A random seed from the system.
    pub(crate) fn drawn() -> Result<Seed, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Failure::no_seed(&error))?;
        Ok(Seed(seed))
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Digest::from_bytes(self.0).fmt(f)
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Seed, String> {
        let bytes = text.parse().map(Digest::to_bytes);
        bytes.map(Seed).map_err(|_| "expected 64 hexadecimal digits".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_read_as_they_are_written() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<Seed>().map(|seed| seed.to_string()), Ok(text));
        assert_eq!("00".repeat(32).parse(), Ok(Seed::FIXED));
        for wrong in ["", "00", &"0g".repeat(32)] {
            assert!(wrong.parse::<Seed>().is_err(), "{wrong:?}");
        }
    }
}
