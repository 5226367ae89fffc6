//! Finds the functions at a code address, inlined ones included, from the entries in `.debug_info`.
//!
//! Entries form trees that may nest without bound, refer to each other in circles, and share tables. They are therefore
//! read one after the other, without recursion and one unit at a time. All repeated reading is charged to an allowance
//! in proportion to the sections.
//!
//! addr2line does the same on top of gimli, but recurses as deep as the file demands and caches what it read. That
//! suits trusted files only. gimli decodes; all its errors mean that the functions are unknown.
//!
//! This file must not know how sections are found or decompressed.

use std::borrow::Cow;
use std::sync::Arc;

use gimli::{
    Abbreviation, Abbreviations, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugInfoOffset, Dwarf, EndianSlice,
    EntriesRaw, IncompleteLineProgram, LineProgramHeader, LittleEndian, SectionId, Unit, UnitHeader, UnitOffset,
    UnitType, constants as dw,
};

use super::demangle::demangled;
use super::lines::{Bytes, Names, has_usual_header};
use super::source::{Frame, SourceLine};

/// Larger abbreviation tables are skipped: they can take thirty times their bytes when decoded.
const MAX_ABBREVIATIONS_BYTES: usize = 256 << 10;

/// Maximum depth of functions inlined into each other. The innermost ones beyond it are dropped.
const MAX_DEPTH: usize = 256;

/// Maximum number of entries to follow for a function's name; each may refer to the next.
const MAX_REFERENCES: usize = 8;

/// The sections. All but the line table are optional.
pub(super) struct Inputs<'a> {
    pub(super) abbreviations: Option<Cow<'a, [u8]>>,
    pub(super) addresses: Option<Cow<'a, [u8]>>,
    pub(super) entries: Option<Cow<'a, [u8]>>,
    pub(super) lines: &'a [u8],
    pub(super) string_offsets: Option<Cow<'a, [u8]>>,
    pub(super) ranges: Option<Cow<'a, [u8]>>,
    pub(super) range_lists: Option<Cow<'a, [u8]>>,
    pub(super) names: Names<'a>,
}

/// Returns the functions at an address that the line program at `program_offset` covers, innermost first. All but the
/// first have the line of their call. Returns `None` if the functions are unknown.
pub(super) fn find(inputs: &Inputs<'_>, program_offset: usize, address: u32) -> Option<Vec<Frame>> {
    let reader = Reader::new(inputs)?;
    let mut work = Work::of(inputs);
    let unit = reader.unit_with_lines(program_offset, &mut work)?;
    let chain = reader.chain(&unit, address.into(), &mut work)?;
    let header = unit.line_program.as_ref().map(IncompleteLineProgram::header);
    let frame = |(index, entry): (usize, &Entry)| {
        // The inlined function records the line of its call.
        let call = chain.get(index + 1).map(|inner| &inner.call);
        let line = call.zip(header).and_then(|(call, header)| call.line(header, &inputs.names));
        Frame { function: reader.name(&unit, entry.offset, &mut work), line }
    };
    let mut frames: Vec<Frame> = chain.iter().enumerate().map(frame).collect();
    frames.reverse();
    Some(frames)
}

/// Work that remains. The allowance permits reading each part of a file a few times.
struct Work(usize);

impl Work {
    fn of(inputs: &Inputs<'_>) -> Work {
        let bytes = |section: &Option<Cow<'_, [u8]>>| section.as_ref().map_or(0, |bytes| bytes.len());
        let sections = [&inputs.abbreviations, &inputs.entries, &inputs.ranges, &inputs.range_lists];
        Work((1 << 16) + 4 * sections.map(bytes).iter().sum::<usize>())
    }

    fn take(&mut self, work: usize) -> Option<()> {
        self.0 = self.0.checked_sub(work)?;
        Some(())
    }
}

/// A function that covers the address.
struct Entry {
    offset: UnitOffset,
    depth: isize,
    /// Location of its call, if it was inlined.
    call: Call,
}

#[derive(Default)]
struct Call {
    file: u64,
    line: u64,
}

impl Call {
    fn line(&self, header: &LineProgramHeader<Bytes<'_>>, names: &Names<'_>) -> Option<SourceLine> {
        // Before version 5, file 0 means that no file is given.
        let is_said = self.line != 0 && (self.file != 0 || header.version() >= 5);
        let file = is_said.then(|| names.file(header, self.file)).flatten()?;
        Some(SourceLine { file, line: self.line })
    }
}

/// Location of an entry's code, from its attributes.
#[derive(Default)]
struct Extent<'a> {
    low: Option<u64>,
    high: Option<u64>,
    bytes: Option<u64>,
    ranges: Option<AttributeValue<Bytes<'a>>>,
}

struct Reader<'a> {
    dwarf: Dwarf<Bytes<'a>>,
    abbreviations: &'a [u8],
    lines: &'a [u8],
    names: Names<'a>,
}

impl<'a> Reader<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Option<Reader<'a>> {
        let load = |id| {
            let section = match id {
                SectionId::DebugAbbrev => inputs.abbreviations.as_deref(),
                SectionId::DebugAddr => inputs.addresses.as_deref(),
                SectionId::DebugInfo => inputs.entries.as_deref(),
                SectionId::DebugLine => Some(inputs.lines),
                SectionId::DebugStrOffsets => inputs.string_offsets.as_deref(),
                SectionId::DebugRanges => inputs.ranges.as_deref(),
                SectionId::DebugRngLists => inputs.range_lists.as_deref(),
                _ => None,
            };
            Ok::<_, gimli::Error>(EndianSlice::new(section.unwrap_or_default(), LittleEndian))
        };
        let dwarf = Dwarf::load(load).ok()?;
        let abbreviations = inputs.abbreviations.as_deref()?;
        Some(Reader { dwarf, abbreviations, lines: inputs.lines, names: inputs.names })
    }

    /// Finds the unit that uses the line program at this offset.
    fn unit_with_lines(&self, program_offset: usize, work: &mut Work) -> Option<Unit<Bytes<'a>>> {
        let mut headers = self.dwarf.units();
        let mut known: Option<(DebugAbbrevOffset, Arc<Abbreviations>)> = None;
        while let Some(header) = headers.next().ok()? {
            work.take(16)?;
            if matches!(header.type_(), UnitType::Type { .. } | UnitType::SplitType { .. }) {
                continue;
            }
            let offset = header.debug_abbrev_offset();
            let table = match known.take().filter(|(known, _)| *known == offset) {
                Some((_, table)) => table,
                None => self.abbreviations(offset, work)?,
            };
            if self.lines_of(&header, &table, work) == Some(program_offset) {
                return Unit::new_with_abbreviations(&self.dwarf, header, table).ok();
            }
            known = Some((offset, table));
        }
        None
    }

    /// Finds the unit that contains this offset of `.debug_info`.
    fn unit_at(&self, offset: DebugInfoOffset, work: &mut Work) -> Option<(Unit<Bytes<'a>>, UnitOffset)> {
        let mut headers = self.dwarf.units();
        while let Some(header) = headers.next().ok()? {
            work.take(16)?;
            if let Some(inside) = offset.to_unit_offset(&header) {
                let table = self.abbreviations(header.debug_abbrev_offset(), work)?;
                // Opening a unit also decodes the header of its line program.
                let lines = self.lines_of(&header, &table, work);
                let unit = self.lines.get(lines.unwrap_or(self.lines.len())..)?;
                if lines.is_some() && !has_usual_header(unit) {
                    return None;
                }
                return Some((Unit::new_with_abbreviations(&self.dwarf, header, table).ok()?, inside));
            }
        }
        None
    }

    /// Returns the offset of a unit's line program, from its first entry.
    fn lines_of(&self, header: &UnitHeader<Bytes<'a>>, table: &Abbreviations, work: &mut Work) -> Option<usize> {
        let mut entries = header.entries_raw(table, None).ok()?;
        let root = entries.read_abbreviation().ok()??;
        let mut offset = None;
        read(&mut entries, root, work, |name, value| {
            if let (dw::DW_AT_stmt_list, AttributeValue::DebugLineRef(lines)) = (name, value) {
                offset = Some(lines.0);
            }
        })?;
        offset
    }

    fn abbreviations(&self, offset: DebugAbbrevOffset, work: &mut Work) -> Option<Arc<Abbreviations>> {
        let table = self.abbreviations.get(offset.0..)?;
        let table = table.get(..MAX_ABBREVIATIONS_BYTES).unwrap_or(table);
        let table = table.get(..table_bytes(table)?)?;
        work.take(table.len())?;
        DebugAbbrev::new(table, LittleEndian).abbreviations(DebugAbbrevOffset(0)).ok().map(Arc::new)
    }

    /// Returns the functions at an address, each inlined into the one before it.
    fn chain(&self, unit: &Unit<Bytes<'a>>, address: u64, work: &mut Work) -> Option<Vec<Entry>> {
        let mut entries = unit.header.entries_raw(&unit.abbreviations, None).ok()?;
        let mut chain: Vec<Entry> = Vec::new();
        while !entries.is_empty() {
            let (offset, depth) = (entries.next_offset(), entries.next_depth());
            work.take(1)?;
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            if chain.first().is_some_and(|function| depth <= function.depth) {
                break;
            }
            let is_wanted = match chain.last() {
                None => abbreviation.tag() == dw::DW_TAG_subprogram,
                Some(outer) => {
                    abbreviation.tag() == dw::DW_TAG_inlined_subroutine
                        && depth > outer.depth
                        && chain.len() < MAX_DEPTH
                }
            };
            if !is_wanted {
                work.take(abbreviation.attributes().len())?;
                entries.skip_attributes(abbreviation.attributes()).ok()?;
                continue;
            }
            let (mut extent, mut call) = (Extent::default(), Call::default());
            read(&mut entries, abbreviation, work, |name, value| match name {
                dw::DW_AT_low_pc => extent.low = self.address(unit, &value),
                dw::DW_AT_high_pc => {
                    extent.high = self.address(unit, &value);
                    extent.bytes = value.udata_value();
                }
                dw::DW_AT_ranges => extent.ranges = Some(value),
                dw::DW_AT_call_line => call.line = value.udata_value().unwrap_or(0),
                dw::DW_AT_call_file => {
                    if let AttributeValue::FileIndex(file) = value {
                        call.file = file;
                    }
                }
                _ => {}
            })?;
            if self.contains(unit, &extent, address, work)? {
                chain.push(Entry { offset, depth, call });
            }
        }
        Some(chain)
    }

    fn address(&self, unit: &Unit<Bytes<'a>>, value: &AttributeValue<Bytes<'a>>) -> Option<u64> {
        match *value {
            AttributeValue::Addr(address) => Some(address),
            AttributeValue::DebugAddrIndex(index) => self.dwarf.address(unit, index).ok(),
            _ => None,
        }
    }

    fn contains(&self, unit: &Unit<Bytes<'a>>, extent: &Extent<'a>, address: u64, work: &mut Work) -> Option<bool> {
        if let Some(value) = extent.ranges {
            let Some(offset) = self.dwarf.attr_ranges_offset(unit, value).ok()? else { return Some(false) };
            let mut ranges = self.dwarf.ranges(unit, offset).ok()?;
            while let Some(raw) = ranges.next_raw().ok()? {
                work.take(2)?;
                let range = ranges.convert_raw(raw).ok()?;
                if range.is_some_and(|range| (range.begin..range.end).contains(&address)) {
                    return Some(true);
                }
            }
            return Some(false);
        }
        // The linker leaves functions that it dropped at address 0.
        let Some(low) = extent.low.filter(|&low| low != 0) else { return Some(false) };
        let high = extent.high.or_else(|| low.checked_add(extent.bytes?));
        Some(high.is_some_and(|high| (low..high).contains(&address)))
    }

    /// Returns a function's name, from its entry or those that it refers to. Prefers the linkage name, which includes
    /// the path, over the plain name.
    fn name(&self, unit: &Unit<Bytes<'a>>, offset: UnitOffset, work: &mut Work) -> Option<String> {
        let mut other: Option<Unit<Bytes<'a>>> = None;
        let (mut offset, mut plain) = (offset, None);
        for _ in 0..MAX_REFERENCES {
            let unit = other.as_ref().unwrap_or(unit);
            let mut entries = unit.header.entries_raw(&unit.abbreviations, Some(offset)).ok()?;
            let abbreviation = entries.read_abbreviation().ok()??;
            let (mut linkage, mut next) = (None, None);
            read(&mut entries, abbreviation, work, |name, value| match name {
                dw::DW_AT_linkage_name | dw::DW_AT_MIPS_linkage_name => linkage = Some(value),
                dw::DW_AT_name if plain.is_none() => plain = self.text(unit, value),
                dw::DW_AT_abstract_origin | dw::DW_AT_specification => next = Some(value),
                _ => {}
            })?;
            if let Some(linkage) = linkage.and_then(|value| self.text(unit, value)) {
                return Some(demangled(&linkage).into_owned());
            }
            match next {
                Some(AttributeValue::UnitRef(next)) => offset = next,
                Some(AttributeValue::DebugInfoRef(next)) => {
                    let (unit, next) = self.unit_at(next, work)?;
                    (other, offset) = (Some(unit), next);
                }
                _ => break,
            }
        }
        plain
    }

    fn text(&self, unit: &Unit<Bytes<'a>>, value: AttributeValue<Bytes<'a>>) -> Option<String> {
        match value {
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let offset = self.dwarf.string_offset(unit, index).ok()?;
                self.names.text(&AttributeValue::DebugStrRef(offset))
            }
            value => self.names.text(&value),
        }
    }
}

/// Reads the attributes of an entry one by one.
fn read<'a>(
    entries: &mut EntriesRaw<'_, Bytes<'a>>,
    abbreviation: &Abbreviation,
    work: &mut Work,
    mut with: impl FnMut(dw::DwAt, AttributeValue<Bytes<'a>>),
) -> Option<()> {
    for &specification in abbreviation.attributes() {
        let before = entries.next_offset();
        let attribute = entries.read_attribute(specification).ok()?;
        work.take(1 + (entries.next_offset().0 - before.0) / 4)?;
        with(attribute.name(), attribute.value());
    }
    Some(())
}

/// Returns the length of an abbreviation table, which ends with the code 0.
fn table_bytes(table: &[u8]) -> Option<usize> {
    let mut rest = table;
    while number(&mut rest)? != 0 {
        // The tag, and whether the entry has children.
        number(&mut rest)?;
        rest = rest.get(1..)?;
        loop {
            let (name, form) = (number(&mut rest)?, number(&mut rest)?);
            if form == u64::from(dw::DW_FORM_implicit_const.0) {
                number(&mut rest)?;
            }
            if (name, form) == (0, 0) {
                break;
            }
        }
    }
    Some(table.len() - rest.len())
}

/// Reads the next LEB128 number. Bits that do not fit are dropped.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0u32..).step_by(7) {
        let (&byte, later) = rest.split_first()?;
        *rest = later;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}
