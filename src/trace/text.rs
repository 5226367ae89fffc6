//! Writes rows and effects as text: comma-separated values, one line each.
//!
//! A trace as text is large: 109 bytes for each 32-byte row. The text is therefore formatted by hand, two hexadecimal
//! digits at a time from a table, and passed to the stream in large pieces. This file must not know what rows mean.
#![expect(clippy::indexing_slicing, reason = "digits of numbers, by parts of them")]

use std::fmt;
use std::io::{self, Write};

use super::partial::write_on;
use super::{Effect, Row, Sink, SinkError};

/// First line of a rows table.
pub const ROWS_HEADER: &str = "step,pc,insn,rs1,rs2,rd,addr,mem_before,mem_after";
/// First line of an effects table.
pub const EFFECTS_HEADER: &str = "step,kind,space,addr,before,after";

/// Size of the text buffer. It fits into the CPU's cache.
const TEXT_BYTES: usize = 1 << 16;

/// Writes rows, and optionally effects, as CSV: steps in decimal, all other numbers as 0x and eight hexadecimal digits.
/// After a failed write, the next run continues behind the last byte that the stream took.
pub struct CsvSink<R: Write, E: Write> {
    rows: Option<Table<R>>,
    effects: Option<Table<E>>,
}

impl<R: Write, E: Write> CsvSink<R, E> {
    /// Makes a sink that writes the header lines with the first rows; `None` omits that table. The streams need no
    /// buffer.
    pub fn new(rows: Option<R>, effects: Option<E>) -> CsvSink<R, E> {
        CsvSink {
            rows: rows.map(|stream| Table::new(stream, ROWS_HEADER)),
            effects: effects.map(|stream| Table::new(stream, EFFECTS_HEADER)),
        }
    }

    /// Writes the rest after a failure, and flushes both streams.
    ///
    /// # Errors
    /// Fails if a stream fails.
    pub fn finish(&mut self) -> io::Result<()> {
        self.rows.as_mut().map_or(Ok(()), Table::finish)?;
        self.effects.as_mut().map_or(Ok(()), Table::finish)
    }
}

impl<R: Write, E: Write> Sink for CsvSink<R, E> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if let Some(table) = &mut self.rows {
            table.lines(rows.iter().zip(first_step..), |text, (row, step)| {
                let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = *row;
                push_decimal(text, step);
                push_words(text, [pc, insn, rs1, rs2, rd, addr, mem_before, mem_after]);
            })?;
        }
        if let Some(table) = &mut self.effects {
            table.lines(effects.iter(), |text, effect| {
                let Effect { step, addr, before, after, .. } = *effect;
                push_decimal(text, step);
                // Writing to a vector does not fail.
                let _ = write!(text, ",{},{}", effect.kind(), effect.space());
                push_words(text, [addr, before, after]);
            })?;
        }
        for done in
            [self.rows.as_mut().map(|table| &mut table.lines), self.effects.as_mut().map(|table| &mut table.lines)]
        {
            done.into_iter().for_each(|lines| *lines = 0);
        }
        Ok(())
    }
}

/// A stream of lines.
struct Table<W> {
    stream: W,
    /// Text that the stream has not taken yet.
    text: Vec<u8>,
    /// Lines formatted from the current rows or effects.
    lines: usize,
}

impl<W: Write> Table<W> {
    fn new(stream: W, header: &str) -> Table<W> {
        Table { stream, text: format!("{header}\n").into_bytes(), lines: 0 }
    }

    /// Formats and writes a line for each item that has none yet.
    fn lines<T>(&mut self, all: impl Iterator<Item = T>, line: impl Fn(&mut Vec<u8>, T)) -> io::Result<()> {
        for one in all.skip(self.lines) {
            self.lines += 1;
            line(&mut self.text, one);
            if self.text.len() >= TEXT_BYTES {
                self.write()?;
            }
        }
        self.write()
    }

    /// Passes the text to the stream.
    fn write(&mut self) -> io::Result<()> {
        let mut written = 0;
        let result = write_on(&mut self.stream, &self.text, &mut written);
        self.text.drain(..written);
        result
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.stream.flush()
    }
}

/// The two hexadecimal digits of every byte.
static HEX: [[u8; 2]; 256] = hex_table();

const fn hex_table() -> [[u8; 2]; 256] {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
}

/// Appends each word as `,0x` and eight digits, then a line break.
fn push_words<const N: usize>(text: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        let [a, b, c, d] = word.to_be_bytes().map(|byte| HEX[byte as usize]);
        text.extend_from_slice(&[b',', b'0', b'x', a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]);
    }
    text.push(b'\n');
}

/// Appends a number without leading zeros.
fn push_decimal(text: &mut Vec<u8>, number: u64) {
    const DIGITS: usize = 20;
    let mut digits = [0; DIGITS];
    let mut at = DIGITS;
    let mut left = number;
    while at > 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

impl<R: Write, E: Write> fmt::Debug for CsvSink<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CsvSink");
        shown.field("has_rows", &self.rows.is_some()).field("has_effects", &self.effects.is_some());
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{EffectKind, Space};

    /// Formats a row with a plain `format!`, as the expected result.
    fn plain(step: u64, row: &Row) -> String {
        let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = row;
        format!(
            "{step},{pc:#010x},{insn:#010x},{rs1:#010x},{rs2:#010x},{rd:#010x},{addr:#010x},{mem_before:#010x},{mem_after:#010x}\n"
        )
    }

    #[test]
    fn text_is_what_format_writes() {
        let word = |step: u64, column: u32| (step as u32).wrapping_mul(0x9e37_79b9) >> column;
        let rows: Vec<Row> = (0..3000)
            .map(|step| Row {
                pc: word(step, 0),
                insn: word(step, 4),
                rs1: word(step, 8),
                rs2: u32::MAX,
                rd: word(step, 31),
                addr: 0,
                mem_before: word(step, 12),
                mem_after: !word(step, 1),
            })
            .collect();
        let effect = Effect::new(10, EffectKind::PageIn, Space::Register, 3, 0, 0xabcd_ef01);
        for first in [0, 9, 99_990, u64::MAX - 4000] {
            let (mut text, mut effects) = (Vec::new(), Vec::new());
            let mut sink = CsvSink::new(Some(&mut text), Some(&mut effects));
            sink.rows(first, &rows[..1], &[]).unwrap();
            sink.rows(first + 1, &rows[1..], &[effect, effect]).unwrap();
            sink.finish().unwrap();
            let expected: String = (first..).zip(&rows).map(|(step, row)| plain(step, row)).collect();
            assert_eq!(String::from_utf8(text).unwrap(), format!("{ROWS_HEADER}\n{expected}"));
            let line = "10,page-in,register,0x00000003,0x00000000,0xabcdef01\n";
            assert_eq!(String::from_utf8(effects).unwrap(), format!("{EFFECTS_HEADER}\n{line}{line}"));
        }
    }
}
