//! Source lines of code addresses, from the line tables that a compiler left in an ELF (DWARF 2 to 5). Execution must
//! not depend on them, and nothing is read before someone asks.
//!
//! Only `.debug_line` is read, program by program, and the names that it refers to: a look-up takes time in proportion
//! to the file and no recursion, whatever the file says. Trees of entries, as `.debug_info` has them, could be nested
//! without end. gimli decodes; all its errors mean that there is no line.

use std::fmt;

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, DebugLineStr, DebugStr, EndianSlice, LineProgramHeader, LittleEndian,
};

use super::elf::section;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// An address of a 32-bit program.
const ADDRESS_BYTES: u8 = 4;

/// Longer names of files and folders are cut.
const MAX_NAME_BYTES: usize = 1024;

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
/// Code that was inlined counts as where it was written. The whole line table is read for each call.
pub fn source_line(elf: &[u8], address: u32) -> Option<SourceLine> {
    let table = section(elf, ".debug_line")?;
    let programs = DebugLine::new(table, LittleEndian);
    let mut offset = 0;
    loop {
        let &unit_bytes = table.get(offset..)?.first_chunk()?;
        if let Some(found) = search(elf, &programs, offset, address.into()) {
            return Some(found);
        }
        // The size of 64-bit DWARF reaches beyond any table, and ends the search.
        offset = offset.checked_add(4)?.checked_add(u32::from_le_bytes(unit_bytes) as usize)?;
    }
}

/// A row of the line table: it is about all addresses up to the next row's.
#[derive(Clone, Copy)]
struct Row {
    address: u64,
    file: u64,
    line: u64,
}

/// Looks through one line program.
fn search<'a>(elf: &'a [u8], programs: &DebugLine<Bytes<'a>>, offset: usize, address: u64) -> Option<SourceLine> {
    let program = programs.program(DebugLineOffset(offset), ADDRESS_BYTES, None, None).ok()?;
    let mut rows = program.rows();
    let mut last: Option<Row> = None;
    let mut is_code = false;
    while let Some((header, row)) = rows.next_row().ok()? {
        match last {
            Some(last) if is_code && (last.address..row.address()).contains(&address) => {
                let file = file_name(elf, header, last.file)?;
                return Some(SourceLine { file, line: last.line });
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

/// A file with its folder, if that is not where the compiler ran.
fn file_name(elf: &[u8], header: &LineProgramHeader<Bytes<'_>>, index: u64) -> Option<String> {
    let file = header.file(index)?;
    let name = text(elf, &file.path_name())?;
    let folder = (file.directory_index() != 0).then(|| file.directory(header)).flatten();
    let folder = folder.and_then(|folder| text(elf, &folder)).filter(|folder| folder != "." && !name.starts_with('/'));
    Some(folder.map_or(name.clone(), |folder| format!("{folder}/{name}")))
}

/// A name, wherever it is kept.
fn text(elf: &[u8], value: &AttributeValue<Bytes<'_>>) -> Option<String> {
    let bytes = match *value {
        AttributeValue::String(bytes) => bytes,
        AttributeValue::DebugStrRef(offset) => {
            DebugStr::new(section(elf, ".debug_str")?, LittleEndian).get_str(offset).ok()?
        }
        AttributeValue::DebugLineStrRef(offset) => {
            DebugLineStr::from(EndianSlice::new(section(elf, ".debug_line_str")?, LittleEndian)).get_str(offset).ok()?
        }
        _ => return None,
    };
    let bytes = bytes.slice();
    let bytes = bytes.get(..MAX_NAME_BYTES).unwrap_or(bytes);
    // A name goes to terminals, so it must not carry what a terminal obeys.
    Some(String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}"))
}
