//! Tests files of rows with false headers, and streams with false lengths.

use std::io::{self, Cursor, Read};

use tachy::Row;
use tachy::trace::{CsvSink, FileSink, Sink, read_rows};

/// Offsets in the header of the first row's step and of the number of rows.
const FIRST_STEP: usize = 24;
const ROWS: usize = 32;

/// Returns a good file of three rows, with eight bytes of its header replaced.
fn file(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sink = FileSink::new(Cursor::new(&mut bytes));
    sink.rows(0, &[Row::default(); 3], &[]).expect("a vector takes everything");
    sink.finish().expect("a vector takes everything");
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// Returns the number of rows, each of which a sink accepts, and how reading ended.
fn read(mut stream: impl Read) -> (usize, Result<(), io::ErrorKind>) {
    let mut rows = 0;
    let ended = read_rows(&mut stream, |step, read| {
        rows += read.len();
        let mut csv = CsvSink::new(Some(Vec::new()), None::<Vec<u8>>);
        csv.rows(step, read, &[]).expect("a vector takes everything");
    });
    (rows, ended.map(|_| ()).map_err(|error| error.kind()))
}

#[test]
fn steps_that_no_run_reaches() {
    assert_eq!(read(&file(FIRST_STEP, 5)[..]), (3, Ok(())));
    assert_eq!(read(&file(FIRST_STEP, u64::MAX - 3)[..]), (3, Ok(())));
    for first in [u64::MAX, u64::MAX - 1, u64::MAX - 2] {
        assert_eq!(read(&file(FIRST_STEP, first)[..]), (0, Err(io::ErrorKind::InvalidData)), "{first}");
    }
    for rows in [0, 2, 4, 1 << 60] {
        assert_eq!(read(&file(ROWS, rows)[..]), (3, Err(io::ErrorKind::UnexpectedEof)), "{rows}");
    }
}

#[test]
fn streams_that_lie() {
    struct Liar(Cursor<Vec<u8>>, bool);
    impl Read for Liar {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match self.1 {
                true => Err(io::ErrorKind::Interrupted.into()),
                // The header is returned correctly.
                false if buffer.len() <= 96 => self.0.read(buffer),
                false => Ok(buffer.len() + 1),
            }
        }
    }
    assert_eq!(read(Liar(Cursor::new(file(ROWS, 3)), false)), (0, Err(io::ErrorKind::InvalidData)));
}

#[test]
fn any_bytes_are_a_file_or_none() {
    let good = file(ROWS, 3);
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).1.is_err(), "{cut}");
    }
    for at in 0..24 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        assert!(read(&bytes[..]).1.is_err(), "{at}");
    }
}
