//! Files of rows: a small header, then 32 bytes per row as they lie in memory. They must not know where rows come from.
//!
//! The format, version 1, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `TACHYROW` |
//! | 8..12 | schema of the rows, 1: [`RowSchema::Words32`] |
//! | 12..16 | bytes of this header, 96; rows begin there |
//! | 16..20 | bytes of a row, 32 |
//! | 20..24 | columns of a row, 8 u32: pc, insn, rs1, rs2, rd, addr, mem_before, mem_after |
//! | 24..32 | step of the first row |
//! | 32..40 | number of rows; all ones while the file is being written |
//! | 40..48 | number of effects these steps had (which this file does not hold); all ones while being written |
//! | 48..80 | digest of the program |
//! | 80..96 | zero |

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::partial::write_on;
use super::{Effect, ROW_BYTES, Row, RowSchema, RunStart, Sink, SinkError};

/// First bytes of a rows file.
pub const ROWS_MAGIC: [u8; 8] = *b"TACHYROW";

const HEADER_BYTES: usize = 96;
const COLUMNS: u32 = 8;
const UNFINISHED: u64 = u64::MAX;

/// Header of a rows file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsHeader {
    /// Step of the first row.
    pub first_step: u64,
    /// Number of rows; `None` if the writer did not finish.
    pub rows: Option<u64>,
    /// Number of effects of these steps; `None` if the writer did not finish.
    pub effects: Option<u64>,
    /// Digest of the program, see [`crate::Program::digest`].
    pub program: [u8; 32],
}

impl RowsHeader {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&ROWS_MAGIC);
        bytes[8..12].copy_from_slice(&(RowSchema::Words32 as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&(ROW_BYTES as u32).to_le_bytes());
        bytes[20..24].copy_from_slice(&COLUMNS.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_step.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.rows.unwrap_or(UNFINISHED).to_le_bytes());
        bytes[40..48].copy_from_slice(&self.effects.unwrap_or(UNFINISHED).to_le_bytes());
        bytes[48..80].copy_from_slice(&self.program);
        bytes
    }

    #[expect(clippy::indexing_slicing, reason = "constant places in an array")]
    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> io::Result<RowsHeader> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| word(at) as u64 | (word(at + 4) as u64) << 32;
        let expected = [RowSchema::Words32 as u32, HEADER_BYTES as u32, ROW_BYTES as u32, COLUMNS];
        if bytes[0..8] != ROWS_MAGIC || [8, 12, 16, 20].map(word) != expected {
            let message = "not a file of rows of schema version 1 (see the first 24 bytes)";
            return Err(malformed(message));
        }
        let mut program = [0; 32];
        program.copy_from_slice(&bytes[48..80]);
        let known = |number: u64| (number != UNFINISHED).then_some(number);
        Ok(RowsHeader { first_step: long(24), rows: known(long(32)), effects: known(long(40)), program })
    }
}

/// Writes rows to a file or any other stream. Counts in the header require a stream that can seek. After a failed
/// write, the next run continues behind the last byte that the stream took.
pub struct FileSink<W: Write> {
    stream: W,
    header: RowsHeader,
    rows: u64,
    effects: u64,
    /// Bytes of the header, once the file has begun, and how many of them are written.
    head: Option<[u8; HEADER_BYTES]>,
    head_written: usize,
    /// Bytes written of the current rows before a write failed.
    written: usize,
}

impl<W: Write> FileSink<W> {
    /// Makes a sink that writes the header with the first rows. The header names the program of the first run.
    pub fn new(stream: W) -> FileSink<W> {
        let header = RowsHeader { first_step: 0, rows: None, effects: None, program: [0; 32] };
        FileSink { stream, header, rows: 0, effects: 0, head: None, head_written: 0, written: 0 }
    }

    fn start(&mut self, first_step: u64) -> io::Result<()> {
        let header = &mut self.header;
        let head = self.head.get_or_insert_with(|| {
            header.first_step = first_step;
            header.to_bytes()
        });
        write_on(&mut self.stream, head, &mut self.head_written)
    }

    /// Refuses to end the file within a partly written row.
    fn check_whole(&self) -> io::Result<()> {
        match self.written {
            0 => Ok(()),
            _ => Err(io::Error::other("rows were written in part, and the run did not go on")),
        }
    }

    /// Ends the rows without counts in the header, for streams that cannot seek.
    ///
    /// # Errors
    /// Fails if the stream fails.
    pub fn finish_stream(&mut self) -> io::Result<()> {
        self.start(0)?;
        self.check_whole()?;
        self.stream.flush()
    }
}

impl<W: Write + Seek> FileSink<W> {
    /// Writes the counts into the header.
    ///
    /// # Errors
    /// Fails if the stream fails.
    pub fn finish(&mut self) -> io::Result<()> {
        self.start(0)?;
        self.check_whole()?;
        self.header.rows = Some(self.rows);
        self.header.effects = Some(self.effects);
        self.stream.seek(SeekFrom::Start(0))?;
        self.stream.write_all(&self.header.to_bytes())?;
        self.stream.seek(SeekFrom::End(0))?;
        self.stream.flush()
    }
}

impl<W: Write> Sink for FileSink<W> {
    fn begin(&mut self, start: &RunStart<'_>) -> Result<(), SinkError> {
        if self.head.is_none() {
            self.header.program = start.program.digest();
        }
        Ok(())
    }

    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        self.start(first_step)?;
        write_on(&mut self.stream, bytemuck::cast_slice(rows), &mut self.written)?;
        self.written = 0;
        self.rows += rows.len() as u64;
        self.effects += effects.len() as u64;
        Ok(())
    }
}

/// Reads a rows file and passes it to `take(first_step, rows)` buffer by buffer.
///
/// # Errors
/// Fails if the stream fails or is not a rows file, if it ends within a row or before the counted rows, or if its steps
/// exceed 2^64.
pub fn read_rows(stream: &mut impl Read, mut take: impl FnMut(u64, &[Row])) -> io::Result<RowsHeader> {
    let mut bytes = [0; HEADER_BYTES];
    stream.read_exact(&mut bytes)?;
    let header = RowsHeader::from_bytes(&bytes)?;
    let mut buffer = vec![Row::default(); 4096];
    let mut count = 0;
    loop {
        let step = header.first_step + count;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut buffer);
        let mut filled = 0;
        while filled < bytes.len() {
            let room = bytes.get_mut(filled..).unwrap_or_default();
            match stream.read(room) {
                Ok(0) => break,
                Ok(more) if more <= room.len() => filled += more,
                Ok(_) => return Err(malformed("the stream claims more than there was room for")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if filled % ROW_BYTES != 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the file ends within row {step}")));
        }
        let rows = buffer.get(..filled / ROW_BYTES).unwrap_or_default();
        if rows.is_empty() {
            break;
        }
        count += rows.len() as u64;
        header.first_step.checked_add(count).ok_or_else(|| malformed("the file counts steps beyond 2^64"))?;
        take(step, rows);
    }
    match header.rows {
        Some(rows) if rows != count => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the header counts {rows} rows, the file holds {count}"),
        )),
        _ => Ok(header),
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<W: Write> fmt::Debug for FileSink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileSink { header, rows, effects, .. } = self;
        let mut shown = f.debug_struct("FileSink");
        shown.field("header", header).field("rows", rows).field("effects", effects).finish_non_exhaustive()
    }
}
