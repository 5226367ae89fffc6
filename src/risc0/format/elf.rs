//! Reads ELF files by the rules of RISC Zero's loader (risc0-binfmt 3.0.5). Its rules are laxer than Tachy's own in
//! some ways and stricter in others. Every file that it accepts has an image id, so this reader accepts the same files.
//!
//! ELF flags are ignored. Executable segments are passed on as a hint. Memory is written in whole words, one segment
//! after the other: segments may overlap, and their order matters. Broken section headers are an error.
//!
//! This file must not know how program binaries combine ELFs.

use goblin::elf::program_header as ph;

use crate::program::elf::{PN_XNUM, PROGRAM_HEADER_BYTES, SECTION_HEADER_BYTES, check_shared, get, malformed, no_data};
use crate::program::elf::{read_any_header, read_program_headers, read_symbols, truncated};
use crate::program::{Permissions, ProgramError, Range, Symbol};

/// Maximum number of program headers.
const MAX_PROGRAM_HEADERS: u32 = 256;

/// Offsets of the section header fields that hold counts too large for the ELF header.
const SH_SIZE_OFFSET: usize = 20;
const SH_INFO_OFFSET: usize = 28;

/// The contents of an ELF file, by the rules of RISC Zero's loader.
pub(crate) struct Risc0Elf<'a> {
    pub(crate) entry: u32,
    /// In file order, to be written over each other in whole words. Everything in memory is permitted.
    pub(crate) ranges: Vec<Range<'a>>,
    /// Ranges flagged as executable (first address, one past the last). Execution does not depend on them.
    pub(crate) code: Vec<(u32, u64)>,
    pub(crate) symbols: Vec<Symbol>,
}

impl<'a> Risc0Elf<'a> {
    /// Reads an executable whose words all lie below `end`.
    pub(crate) fn read(bytes: &'a [u8], end: u32) -> Result<Risc0Elf<'a>, ProgramError> {
        let header = read_any_header(bytes)?;
        let entry = header.e_entry;
        if !entry.is_multiple_of(4) {
            return Err(ProgramError::MisalignedEntry { entry });
        }
        if entry >= end {
            return Err(ProgramError::BeyondMachine { what: "entry", address: entry.into(), end });
        }
        // Section header 0 holds a count that does not fit its field of the ELF header.
        let section_zero = |field_offset: usize| {
            let offset = u64::from(header.e_shoff);
            let section = get(bytes, offset, SECTION_HEADER_BYTES.into());
            let field = section.and_then(|section| section.get(field_offset..)?.first_chunk().copied());
            field.map(u32::from_le_bytes).ok_or_else(|| {
                truncated(bytes, "section header 0".to_owned(), offset + u64::from(SECTION_HEADER_BYTES))
            })
        };
        if header.e_shoff != 0 {
            let count = if header.e_shnum == 0 { section_zero(SH_SIZE_OFFSET)? } else { header.e_shnum.into() };
            if header.e_shentsize != SECTION_HEADER_BYTES {
                return Err(malformed("e_shentsize", header.e_shentsize, "40"));
            }
            let (offset, table_bytes) = (u64::from(header.e_shoff), u64::from(count) * u64::from(SECTION_HEADER_BYTES));
            get(bytes, offset, table_bytes).ok_or_else(|| {
                truncated(bytes, format!("the table of {count} section headers"), offset + table_bytes)
            })?;
        }
        if header.e_phoff == 0 {
            return Err(ProgramError::NoSegments);
        }
        if header.e_phentsize != PROGRAM_HEADER_BYTES {
            return Err(malformed("e_phentsize", header.e_phentsize, "32"));
        }
        let count = if header.e_phnum == PN_XNUM { section_zero(SH_INFO_OFFSET)? } else { header.e_phnum.into() };
        if count > MAX_PROGRAM_HEADERS {
            return Err(ProgramError::MalformedHeader { field: "e_phnum", found: count, expected: "256 at most" });
        }
        let (mut ranges, mut code) = (Vec::new(), Vec::new());
        let headers = read_program_headers(bytes, header.e_phoff, count)?;
        for (index, header) in headers.iter().enumerate().filter(|(_, header)| header.p_type == ph::PT_LOAD) {
            let range = load(bytes, index, header, end)?;
            if header.is_executable() {
                code.push((range.address, u64::from(range.address) + u64::from(range.memory_bytes)));
            }
            ranges.push(range);
        }
        check_shared(bytes, ranges.iter().map(|range| range.data.len() as u64).sum())?;
        Ok(Risc0Elf { entry, ranges, code, symbols: read_symbols(bytes, &header).unwrap_or_default() })
    }
}

/// Rounds a segment up to whole words. The file's bytes continue into the last word if the segment claims that many.
fn load<'a>(bytes: &'a [u8], index: usize, header: &ph::ProgramHeader, end: u32) -> Result<Range<'a>, ProgramError> {
    let ph::ProgramHeader { p_vaddr, p_offset, p_filesz, p_memsz, .. } = *header;
    for (what, size) in [("segment's data", p_filesz), ("segment's memory", p_memsz)] {
        if size >= u64::from(end) {
            return Err(ProgramError::BeyondMachine { what, address: size, end });
        }
    }
    if !p_vaddr.is_multiple_of(4) {
        return Err(ProgramError::MisalignedSegment { address: p_vaddr as u32 });
    }
    let memory_bytes = p_memsz.next_multiple_of(4);
    let segment_end = p_vaddr + memory_bytes;
    // The last word must begin below the end.
    if memory_bytes > 0 && segment_end - 4 >= u64::from(end) {
        return Err(ProgramError::BeyondMachine { what: "segment", address: segment_end, end });
    }
    let data_bytes = p_filesz.min(memory_bytes);
    let data = match data_bytes {
        0 => &[],
        _ => get(bytes, p_offset, data_bytes).ok_or_else(|| no_data(bytes, index, p_vaddr, p_offset + data_bytes))?,
    };
    Ok(Range { address: p_vaddr as u32, memory_bytes: memory_bytes as u32, data, permissions: Permissions::RWX })
}
