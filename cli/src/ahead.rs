//! Reads ahead of a guest, which may read a word at a time, to save system calls.
//!
//! A read of a regular file fills the buffer or reaches the end, as read(2) does. A read of anything else returns the
//! bytes that have arrived, and calls the system only when none are left. So it never waits longer than a direct read.
//! This module must not know what is read.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::waiting::Waiting;

/// Bytes per system call.
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
                // The next read reports the error, once the bytes before it are delivered.
                Err(_) => break,
            }
        }
        Ok(filled)
    }
}
