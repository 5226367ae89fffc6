//! Source lines of code addresses, from the line tables that a compiler left in an ELF (DWARF 2 to 5). Execution must
//! not depend on them, and nothing is read before someone asks.
//!
//! Only `.debug_line` is read, program by program, and the names that it refers to: a look-up takes time in proportion
//! to the file and no recursion, whatever the file says. Trees of entries, as `.debug_info` has them, could be nested
//! without end. gimli decodes; all its errors mean that there is no line.

use std::fmt;

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, EndianSlice, IncompleteLineProgram, LineInstruction, LineProgramHeader,
    LittleEndian,
};

use super::elf::section;
use crate::printable::printable;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// An address of a 32-bit program.
const ADDRESS_BYTES: u8 = 4;

/// Longer names of files and folders are cut.
const MAX_NAME_BYTES: usize = 1024;

/// Line programs whose header is larger are passed over.
const MAX_HEADER_BYTES: u32 = 256 << 10;

/// A place in someone's source. Displayed like `src/main.rs:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as the compiler named it, its folder before it where the line table has one. What is no printable UTF-8
    /// is U+FFFD.
    pub file: String,
    /// The line, from 1; 0 where the compiler says that there is none.
    pub line: u64,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The source line of the instruction at `address`, if the ELF file has debug information that says so.
///
/// Code that was inlined counts as where it was written. The whole line table is read for each call, but for line programs
/// with headers of more than 256 KiB, of 64-bit DWARF, or that name files along the way, as compilers do not.
pub fn source_line(elf: &[u8], address: u32) -> Option<SourceLine> {
    let table = section(elf, ".debug_line")?;
    let names = Names { strings: section(elf, ".debug_str"), line_strings: section(elf, ".debug_line_str") };
    let mut offset = 0;
    loop {
        let unit = table.get(offset..)?;
        let &unit_bytes = unit.first_chunk()?;
        let found = has_usual_header(unit).then(|| search(table, offset, address.into(), &names)).flatten();
        if let Some(line) = found {
            // Where the address is found, the search ends, whether its file has a name or not.
            return line;
        }
        // The size of 64-bit DWARF reaches beyond any table, and ends the search.
        offset = offset.checked_add(4)?.checked_add(u32::from_le_bytes(unit_bytes) as usize)?;
    }
}

/// Whether the header of a line program, which ends where it says, is of a size that a compiler makes: decoded, it can
/// take a hundred times its bytes. The headers of 64-bit DWARF are none that 32-bit programs have.
fn has_usual_header(unit: &[u8]) -> bool {
    if unit.first_chunk().is_none_or(|&bytes| u32::from_le_bytes(bytes) >= 0xffff_fff0) {
        return false;
    }
    let at = |index: usize| unit.get(index).copied().map(usize::from);
    // Version 5 says the sizes of addresses and segment selectors before that of the header.
    let start = if at(4) == Some(5) { 8 } else { 6 };
    let bytes = unit.get(start..start + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    bytes.is_some_and(|bytes| bytes <= MAX_HEADER_BYTES)
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
struct Names<'a> {
    strings: Option<&'a [u8]>,
    line_strings: Option<&'a [u8]>,
}

impl Names<'_> {
    /// A file with its folder, if that is not where the compiler ran.
    fn file(&self, header: &LineProgramHeader<Bytes<'_>>, index: u64) -> Option<String> {
        let file = header.file(index)?;
        let name = self.text(&file.path_name())?;
        let folder = (file.directory_index() != 0).then(|| file.directory(header)).flatten();
        let folder =
            folder.and_then(|folder| self.text(&folder)).filter(|folder| folder != "." && !name.starts_with('/'));
        Some(folder.map_or(name.clone(), |folder| format!("{folder}/{name}")))
    }

    /// A name, wherever it is kept.
    fn text(&self, value: &AttributeValue<Bytes<'_>>) -> Option<String> {
        let bytes = match value {
            AttributeValue::String(bytes) => bytes.slice(),
            AttributeValue::DebugStrRef(offset) => self.strings?.get(offset.0..)?,
            AttributeValue::DebugLineStrRef(offset) => self.line_strings?.get(offset.0..)?,
            _ => return None,
        };
        let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
        Some(printable(bytes.split(|&byte| byte == 0).next()?, &[]))
    }
}
