//! Reads ahead of a guest, which may ask for a word at a time: fewer calls of the system for the same bytes.
//!
//! A read of a regular file fills what it was given or meets the end, as the system's would. A read of anything else
//! gives what has arrived and asks the system only when nothing is left, so that it waits no longer than one that does not
//! read ahead. It must not know what is read.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::waiting::Waiting;

/// What is read at once.
const BUFFER_BYTES: usize = 1 << 16;

/// A file that is read ahead.
pub(crate) struct Ahead {
    reader: BufReader<Waiting<File>>,
    is_regular: bool,
}

impl Ahead {
    pub(crate) fn new(file: File) -> Ahead {
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ahead { reader: BufReader::with_capacity(BUFFER_BYTES, Waiting::new(file)), is_regular }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.reader.read(buffer)?;
        while self.is_regular && filled < buffer.len() {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It comes again, when nothing is left to give.
                Err(_) => break,
            }
        }
        Ok(filled)
    }
}
