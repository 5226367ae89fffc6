//! Rows and effects as text: comma-separated values, one line each.

use std::io::{BufWriter, Write};

use super::{Effect, Row, Sink, SinkError};

/// First line of a file of rows.
pub const ROWS_HEADER: &str = "step,pc,insn,rs1,rs2,rd,addr,mem_before,mem_after";
/// First line of a file of effects.
pub const EFFECTS_HEADER: &str = "step,kind,space,addr,before,after";

/// Writes rows, and effects if someone wants them, as CSV: steps in decimal, all else as 0x and eight hexadecimal
/// digits.
pub struct CsvSink<R: Write, E: Write> {
    rows: Option<BufWriter<R>>,
    effects: Option<BufWriter<E>>,
}

impl<R: Write, E: Write> CsvSink<R, E> {
    /// Writes the header lines and then what comes; `None` leaves that table out.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn new(rows: Option<R>, effects: Option<E>) -> std::io::Result<CsvSink<R, E>> {
        let mut sink = CsvSink { rows: rows.map(BufWriter::new), effects: effects.map(BufWriter::new) };
        if let Some(rows) = &mut sink.rows {
            writeln!(rows, "{ROWS_HEADER}")?;
        }
        if let Some(effects) = &mut sink.effects {
            writeln!(effects, "{EFFECTS_HEADER}")?;
        }
        Ok(sink)
    }

    /// Flushes both tables. Without it, the last lines may be lost when the streams fail.
    ///
    /// # Errors
    /// When a stream fails.
    pub fn finish(&mut self) -> std::io::Result<()> {
        self.rows.as_mut().map_or(Ok(()), Write::flush)?;
        self.effects.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<R: Write, E: Write> Sink for CsvSink<R, E> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if let Some(out) = &mut self.rows {
            for (step, row) in (first_step..).zip(rows) {
                let Row { pc, insn, rs1, rs2, rd, addr, mem_before, mem_after } = row;
                writeln!(
                    out,
                    "{step},{pc:#010x},{insn:#010x},{rs1:#010x},{rs2:#010x},{rd:#010x},{addr:#010x},{mem_before:#010x},{mem_after:#010x}"
                )?;
            }
        }
        if let Some(out) = &mut self.effects {
            for effect in effects {
                let Effect { step, addr, before, after, .. } = effect;
                let (kind, space) = (effect.kind(), effect.space());
                writeln!(out, "{step},{kind},{space},{addr:#010x},{before:#010x},{after:#010x}")?;
            }
        }
        Ok(())
    }
}
