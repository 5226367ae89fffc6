//! Rows and effects as text: comma-separated values, one line each.
//!
//! Text is what a person reads of a trace, and there is a lot of it: 109 bytes for 32. So it is put together by hand,
//! two hexadecimal digits at a time from a table, and given to the stream in large pieces.
#![expect(clippy::indexing_slicing, reason = "digits of numbers, by parts of them")]

use std::fmt;
use std::io::{self, Write};

use super::{Effect, Row, Sink, SinkError};

/// First line of a file of rows.
pub const ROWS_HEADER: &str = "step,pc,insn,rs1,rs2,rd,addr,mem_before,mem_after";
/// First line of a file of effects.
pub const EFFECTS_HEADER: &str = "step,kind,space,addr,before,after";

/// Text held before it goes to the stream. It stays in the cache.
const TEXT_BYTES: usize = 1 << 16;

/// Writes rows, and effects if someone wants them, as CSV: steps in decimal, all else as 0x and eight hexadecimal
/// digits.
pub struct CsvSink<R: Write, E: Write> {
    rows: Option<R>,
    effects: Option<E>,
    text: Vec<u8>,
}

impl<R: Write, E: Write> CsvSink<R, E> {
    /// Writes the header lines and then what comes; `None` leaves that table out. The streams need no buffer.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn new(mut rows: Option<R>, mut effects: Option<E>) -> io::Result<CsvSink<R, E>> {
        if let Some(rows) = &mut rows {
            writeln!(rows, "{ROWS_HEADER}")?;
        }
        if let Some(effects) = &mut effects {
            writeln!(effects, "{EFFECTS_HEADER}")?;
        }
        Ok(CsvSink { rows, effects, text: Vec::new() })
    }

    /// Flushes both streams.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn finish(&mut self) -> io::Result<()> {
        self.rows.as_mut().map_or(Ok(()), Write::flush)?;
        self.effects.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<R: Write, E: Write> Sink for CsvSink<R, E> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if let Some(out) = &mut self.rows {
            for (row, step) in rows.iter().zip(first_step..) {
                let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = *row;
                push_decimal(&mut self.text, step);
                push_words(&mut self.text, [pc, insn, rs1, rs2, rd, addr, mem_before, mem_after]);
                write_if(TEXT_BYTES, &mut self.text, out)?;
            }
            write_if(1, &mut self.text, out)?;
        }
        if let Some(out) = &mut self.effects {
            for effect in effects {
                let Effect { step, addr, before, after, .. } = *effect;
                push_decimal(&mut self.text, step);
                write!(self.text, ",{},{}", effect.kind(), effect.space())?;
                push_words(&mut self.text, [addr, before, after]);
                write_if(TEXT_BYTES, &mut self.text, out)?;
            }
            write_if(1, &mut self.text, out)?;
        }
        Ok(())
    }
}

/// Hands the text over once it has `bytes` bytes.
fn write_if(bytes: usize, text: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
    if text.len() >= bytes {
        let written = out.write_all(text);
        text.clear();
        return written;
    }
    Ok(())
}

/// The two digits of every byte.
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

/// Each word as `,0x` and eight digits, and the end of the line.
fn push_words<const N: usize>(text: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        let [a, b, c, d] = word.to_be_bytes().map(|byte| HEX[byte as usize]);
        text.extend_from_slice(&[b',', b'0', b'x', a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1]]);
    }
    text.push(b'\n');
}

/// A number without leading zeros.
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

    /// What a plain `format!` would write.
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
            let mut sink = CsvSink::new(Some(&mut text), Some(&mut effects)).unwrap();
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
