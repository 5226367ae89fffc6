//! Programs that a session has parsed. A guest calls the same few programs thousands of times. This file must not know
//! what programs do.

use std::sync::Arc;

use super::BigIntError;
use super::program::Program;

/// Programs kept at once. RISC Zero's libraries have some ten for a curve.
const MAX_PROGRAMS: usize = 32;
/// A longer program is parsed at every call. Keeping it would take more memory than it saves work.
const MAX_KEPT_BYTES: usize = 64 << 10;

/// Parsed programs by content, the latest first.
#[derive(Default)]
pub(crate) struct Programs(Vec<(Box<[u8]>, Arc<Program>)>);

impl Programs {
    /// Returns the program that these bytes are.
    ///
    /// # Errors
    /// As [`Program::parse`].
    pub(crate) fn get(&mut self, bytes: &[u8]) -> Result<Arc<Program>, BigIntError> {
        let entry = match self.0.iter().position(|(content, _)| **content == *bytes) {
            Some(at) => self.0.remove(at),
            None => {
                let program = Arc::new(Program::parse(bytes)?);
                if bytes.len() > MAX_KEPT_BYTES {
                    return Ok(program);
                }
                self.0.truncate(MAX_PROGRAMS - 1);
                (bytes.into(), program)
            }
        };
        let program = Arc::clone(&entry.1);
        // Guests alternate between few programs, which stay at the front.
        self.0.insert(0, entry);
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program without operations, of this many bytes.
    fn bytes(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[..8].copy_from_slice(b"bibc\x01\0\0\0");
        bytes
    }

    #[test]
    fn programs_are_parsed_once_by_content() {
        let mut programs = Programs::default();
        let first = programs.get(&bytes(24)).expect("it is a program");
        for length in 25..25 + MAX_PROGRAMS - 1 {
            programs.get(&bytes(length)).expect("it is a program");
            assert!(Arc::ptr_eq(&first, &programs.get(&bytes(24)).expect("it is a program")), "{length}");
        }
        assert_eq!(programs.0.len(), MAX_PROGRAMS);
        // Those not called for longest give way.
        programs.get(&bytes(100)).expect("it is a program");
        assert!(programs.0.len() == MAX_PROGRAMS && programs.0.iter().all(|(content, _)| content.len() != 25));
        assert!(Arc::ptr_eq(&first, &programs.get(&bytes(24)).expect("it is a program")));
        // What is not a program, and what is too long, is not kept.
        assert_eq!(programs.get(b"bibd"), Err(BigIntError::Short { part: "header", needed: 24, bytes: 4 }));
        programs.get(&bytes(MAX_KEPT_BYTES + 1)).expect("it is a program");
        assert!(programs.0.iter().all(|(content, _)| content.len() <= 100));
    }
}
