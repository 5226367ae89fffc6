//! Finds source lines of code addresses in an ELF's line tables (DWARF 2 to 5).
//!
//! Reads only `.debug_line`, one program at a time, and the names that it refers to. A lookup takes time in proportion
//! to the file, without recursion, whatever the file contains. gimli decodes; all its errors mean that the line is
//! unknown.
//!
//! This file must not know how sections are found or decompressed.

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, EndianSlice, IncompleteLineProgram, LineInstruction, LineProgramHeader,
    LittleEndian,
};

use super::source::SourceLine;
use crate::printable::printable;

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// Size of an address in a 32-bit program.
pub(super) const ADDRESS_BYTES: u8 = 4;

/// Longer names of files and folders are truncated.
const MAX_NAME_BYTES: usize = 1024;

/// Line programs with larger headers are skipped.
const MAX_HEADER_BYTES: u64 = 256 << 10;

/// A line table's entry for an address.
pub(super) struct Found {
    /// Offset of the line program that covers the address.
    pub(super) program_offset: usize,
    /// The line, if its file has a name.
    pub(super) line: Option<SourceLine>,
}

/// Looks up an address in `.debug_line`. Inlined code has the line where it was written.
///
/// Skips line programs whose headers exceed 256 KiB, or that define files in their instructions: no compiler makes
/// them.
pub(super) fn find(table: &[u8], address: u32, names: &Names<'_>) -> Option<Found> {
    let mut offset = 0;
    loop {
        let unit = table.get(offset..)?;
        let extent = Extent::read(unit)?;
        let found = has_usual_header(unit).then(|| search(table, offset, address.into(), names)).flatten();
        if let Some(line) = found {
            // The search ends at the first program that covers the address, whether its file has a name or not.
            return Some(Found { program_offset: offset, line });
        }
        offset = offset.checked_add(extent.header_bytes)?.checked_add(extent.bytes)?;
    }
}

/// Size of a unit that begins with its length: 4 bytes, or in 64-bit DWARF ffffffff and 8 bytes.
struct Extent {
    header_bytes: usize,
    bytes: usize,
    /// Size of the unit's offsets.
    offset_bytes: usize,
}

impl Extent {
    fn read(unit: &[u8]) -> Option<Extent> {
        let short = u32::from_le_bytes(*unit.first_chunk()?);
        if short == u32::MAX {
            let long = u64::from_le_bytes(*unit.get(4..)?.first_chunk()?);
            return Some(Extent { header_bytes: 12, bytes: usize::try_from(long).ok()?, offset_bytes: 8 });
        }
        // Values from this one up are reserved.
        (short < 0xffff_fff0).then_some(Extent { header_bytes: 4, bytes: short as usize, offset_bytes: 4 })
    }
}

/// Returns whether a line program's header has the size of a compiler's. A decoded header can take a hundred times its
/// bytes, so larger ones are skipped. The header ends where its size field says.
pub(super) fn has_usual_header(unit: &[u8]) -> bool {
    let Some(Extent { header_bytes, offset_bytes, .. }) = Extent::read(unit) else { return false };
    // In version 5, the sizes of addresses and segment selectors precede the header size.
    let start = header_bytes + if unit.get(header_bytes) == Some(&5) { 4 } else { 2 };
    let Some(bytes) = unit.get(start..start + offset_bytes) else { return false };
    let size = bytes.iter().rev().fold(0, |size: u64, &byte| size << 8 | u64::from(byte));
    size <= MAX_HEADER_BYTES
}

/// A row of the line table. It covers all addresses up to the next row's.
#[derive(Clone, Copy)]
struct Row {
    address: u64,
    file: u64,
    line: u64,
}

/// Searches one line program. Returns `None` if it does not cover the address, `Some(None)` if the file has no name.
fn search(table: &[u8], offset: usize, address: u64, names: &Names<'_>) -> Option<Option<SourceLine>> {
    let programs = DebugLine::new(table, LittleEndian);
    let program = programs.program(DebugLineOffset(offset), ADDRESS_BYTES, None, None).ok()?;
    if defines_files(&program) {
        return None;
    }
    let mut rows = program.rows();
    let mut last: Option<Row> = None;
    let mut is_code = false;
    while let Some((header, row)) = rows.next_row().ok()? {
        match last {
            Some(last) if is_code && (last.address..row.address()).contains(&address) => {
                return Some(names.file(header, last.file).map(|file| SourceLine { file, line: last.line }));
            }
            // The linker leaves functions that it dropped at address 0.
            None => is_code = row.address() != 0,
            Some(_) => {}
        }
        let line = row.line().map_or(0, |line| line.get());
        let this = Row { address: row.address(), file: row.file_index(), line };
        last = (!row.end_sequence()).then_some(this);
    }
    None
}

/// Returns whether the program adds files to those of its header. No compiler does that, and each file would take
/// memory.
fn defines_files(program: &IncompleteLineProgram<Bytes<'_>>) -> bool {
    let header = program.header();
    let mut instructions = header.instructions();
    while let Ok(Some(instruction)) = instructions.next_instruction(header) {
        if matches!(instruction, LineInstruction::DefineFile(_)) {
            return true;
        }
    }
    false
}

/// The sections that hold names outside of the line table.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) strings: Option<&'a [u8]>,
    pub(super) line_strings: Option<&'a [u8]>,
}

impl Names<'_> {
    /// Returns the name of a file, with its folder unless that is where the compiler ran.
    pub(super) fn file(&self, header: &LineProgramHeader<Bytes<'_>>, index: u64) -> Option<String> {
        let file = header.file(index)?;
        let name = self.text(&file.path_name())?;
        let folder = (file.directory_index() != 0).then(|| file.directory(header)).flatten();
        let folder =
            folder.and_then(|folder| self.text(&folder)).filter(|folder| folder != "." && !name.starts_with('/'));
        Some(folder.map_or(name.clone(), |folder| format!("{folder}/{name}")))
    }

    /// Reads a name from whichever section holds it.
    pub(super) fn text(&self, value: &AttributeValue<Bytes<'_>>) -> Option<String> {
        let bytes = match value {
            AttributeValue::String(bytes) => bytes.slice(),
            AttributeValue::DebugStrRef(offset) => self.strings?.get(offset.0..)?,
            AttributeValue::DebugLineStrRef(offset) => self.line_strings?.get(offset.0..)?,
            _ => return None,
        };
        text(bytes)
    }
}

/// Reads the zero-terminated text at the start of `bytes`.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    Some(printable(bytes.split(|&byte| byte == 0).next()?, &[]))
}
