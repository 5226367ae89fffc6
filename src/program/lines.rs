//! Source lines of code addresses, from the line tables that a compiler left in an ELF (DWARF 2 to 5).
//!
//! Only `.debug_line` is read, program by program, and the names that it refers to: a look-up takes time in proportion
//! to the file and no recursion, whatever the file says. gimli decodes; all its errors mean that there is no line.

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, EndianSlice, IncompleteLineProgram, LineInstruction, LineProgramHeader,
    LittleEndian,
};

use super::source::SourceLine;
use crate::printable::printable;

pub(super) type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// An address of a 32-bit program.
pub(super) const ADDRESS_BYTES: u8 = 4;

/// Longer names of files and folders are cut.
const MAX_NAME_BYTES: usize = 1024;

/// Line programs whose header is larger are passed over.
const MAX_HEADER_BYTES: u64 = 256 << 10;

/// What a line table says about an address.
pub(super) struct Found {
    /// Where the line program that has it begins.
    pub(super) program_offset: usize,
    /// The line, if its file has a name.
    pub(super) line: Option<SourceLine>,
}

/// Looks an address up in `.debug_line`. Code that was inlined counts as where it was written.
///
/// Line programs with headers of more than 256 KiB, or that name files along the way, are passed over: no compiler makes
/// them.
pub(super) fn find(table: &[u8], address: u32, names: &Names<'_>) -> Option<Found> {
    let mut offset = 0;
    loop {
        let unit = table.get(offset..)?;
        let extent = Extent::read(unit)?;
        let found = has_usual_header(unit).then(|| search(table, offset, address.into(), names)).flatten();
        if let Some(line) = found {
            // Where the address is found, the search ends, whether its file has a name or not.
            return Some(Found { program_offset: offset, line });
        }
        offset = offset.checked_add(extent.header_bytes)?.checked_add(extent.bytes)?;
    }
}

/// How far something reaches that begins with its length: 4 bytes, or in 64-bit DWARF ffffffff and 8 bytes.
struct Extent {
    header_bytes: usize,
    bytes: usize,
    /// The size of offsets in it.
    offset_bytes: usize,
}

impl Extent {
    fn read(unit: &[u8]) -> Option<Extent> {
        let short = u32::from_le_bytes(*unit.first_chunk()?);
        if short == u32::MAX {
            let long = u64::from_le_bytes(*unit.get(4..)?.first_chunk()?);
            return Some(Extent { header_bytes: 12, bytes: usize::try_from(long).ok()?, offset_bytes: 8 });
        }
        // The numbers below are reserved.
        (short < 0xffff_fff0).then_some(Extent { header_bytes: 4, bytes: short as usize, offset_bytes: 4 })
    }
}

/// Whether the header of a line program, which ends where it says, is of a size that a compiler makes: decoded, it can
/// take a hundred times its bytes.
pub(super) fn has_usual_header(unit: &[u8]) -> bool {
    let Some(Extent { header_bytes, offset_bytes, .. }) = Extent::read(unit) else { return false };
    // Version 5 says the sizes of addresses and segment selectors before that of the header.
    let start = header_bytes + if unit.get(header_bytes) == Some(&5) { 4 } else { 2 };
    let Some(bytes) = unit.get(start..start + offset_bytes) else { return false };
    let size = bytes.iter().rev().fold(0, |size: u64, &byte| size << 8 | u64::from(byte));
    size <= MAX_HEADER_BYTES
}

/// A row of the line table: it is about all addresses up to the next row's.
#[derive(Clone, Copy)]
struct Row {
    address: u64,
    file: u64,
    line: u64,
}

/// Looks through one line program: none if the address is not there, else its line if that has a name.
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
            // Functions that the linker dropped are left behind at address 0.
            None => is_code = row.address() != 0,
            Some(_) => {}
        }
        let line = row.line().map_or(0, |line| line.get());
        let this = Row { address: row.address(), file: row.file_index(), line };
        last = (!row.end_sequence()).then_some(this);
    }
    None
}

/// Whether the program adds files to those of its header, as no compiler has it do: each would take memory.
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

/// Where names lie that are not in the line table itself.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) strings: Option<&'a [u8]>,
    pub(super) line_strings: Option<&'a [u8]>,
}

impl Names<'_> {
    /// A file with its folder, if that is not where the compiler ran.
    pub(super) fn file(&self, header: &LineProgramHeader<Bytes<'_>>, index: u64) -> Option<String> {
        let file = header.file(index)?;
        let name = self.text(&file.path_name())?;
        let folder = (file.directory_index() != 0).then(|| file.directory(header)).flatten();
        let folder =
            folder.and_then(|folder| self.text(&folder)).filter(|folder| folder != "." && !name.starts_with('/'));
        Some(folder.map_or(name.clone(), |folder| format!("{folder}/{name}")))
    }

    /// A name, wherever it is kept.
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

/// The text that begins there and ends with a zero.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    Some(printable(bytes.split(|&byte| byte == 0).next()?, &[]))
}
