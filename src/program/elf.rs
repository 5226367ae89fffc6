//! Reads ELF files into segments and symbols.
//!
//! goblin provides the layout of single headers and the names of constants. Its whole-file parser is not used: it reads
//! tables that execution does not need, and fails on a bad one. Every offset and count in the file is untrusted. Each
//! is checked here, in u64 so that nothing overflows, before a byte behind it is read or an entry is allocated.
//!
//! This file must not know what makes segments a valid image; one place checks that for all sources.

mod sections;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{self as eh, header32};
use goblin::elf::program_header::{self as ph, ProgramHeader};
use goblin::elf::section_header as sh;
use goblin::elf::sym::{self, Sym};

use super::{Permissions, ProgramError, Range, Symbol, SymbolKind};
use crate::printable::printable;
pub(super) use sections::{Sections, Unreadable};

const ELF32_LE: Ctx = Ctx { container: Container::Little, le: Endian::Little };
const HEADER_BYTES: u16 = header32::SIZEOF_EHDR as u16;
pub(crate) const PROGRAM_HEADER_BYTES: u16 = ph::program_header32::SIZEOF_PHDR as u16;
pub(crate) const SECTION_HEADER_BYTES: u16 = sh::section_header32::SIZEOF_SHDR as u16;
const SYMBOL_BYTES: usize = sym::sym32::SIZEOF_SYM;

/// Value of `e_phnum` that means the count is stored elsewhere.
pub(crate) const PN_XNUM: u16 = 0xffff;

/// Flags of the RISC-V ELF specification that a plain RV32IM executable leaves clear, and their meanings. goblin has no
/// names for them. Total store ordering is not among them: a single hart sees its own stores in order.
const FLAGS: [(u32, u32, &str); 6] = [
    (0x01, 0x01, "compressed instructions (RVC)"),
    (0x06, 0x02, "the single-precision float ABI"),
    (0x06, 0x04, "the double-precision float ABI"),
    (0x06, 0x06, "the quad-precision float ABI"),
    (0x08, 0x08, "the reduced register set (RVE)"),
    (0x20, 0x20, "the RV64 ILP32 ABI"),
];

/// The contents of an ELF file, not yet checked to form a valid image.
pub(super) struct File<'a> {
    pub(super) entry: u32,
    /// In file order.
    pub(super) ranges: Vec<Range<'a>>,
    pub(super) symbols: Vec<Symbol>,
}

/// Reads a static RV32IM executable.
pub(super) fn read(bytes: &[u8]) -> Result<File<'_>, ProgramError> {
    let header = read_any_header(bytes)?;
    check_flags(header.e_flags)?;
    let ranges = read_ranges(bytes, &header)?;
    let symbols = read_symbols(bytes, &header).unwrap_or_default();
    Ok(File { entry: header.e_entry, ranges, symbols })
}

/// Returns the bytes at an offset, if the file contains them.
pub(crate) fn get(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    bytes.get(start..end)
}

pub(crate) fn truncated(bytes: &[u8], what: String, end_offset: u64) -> ProgramError {
    ProgramError::Truncated { what, end_offset, file_bytes: bytes.len() as u64 }
}

/// Reads the header of an executable for any 32-bit RISC-V.
pub(crate) fn read_any_header(bytes: &[u8]) -> Result<header32::Header, ProgramError> {
    if bytes.is_empty() {
        return Err(ProgramError::Empty);
    }
    if bytes.starts_with(b"R0BF") {
        return Err(ProgramError::RiscZeroBinary);
    }
    if !bytes.iter().zip(eh::ELFMAG).all(|(found, expected)| found == expected) {
        let found: Vec<String> = bytes.iter().take(eh::SELFMAG).map(|byte| format!("{byte:02x}")).collect();
        return Err(ProgramError::NotElf { found: found.join(" ") });
    }
    let no_header = || truncated(bytes, "the ELF header".to_owned(), HEADER_BYTES.into());
    let &ident = bytes.first_chunk::<{ eh::SIZEOF_IDENT }>().ok_or_else(no_header)?;
    // Class and byte order determine how to read the rest, so they are checked first.
    let [_, _, _, _, class, byte_order, version, ..] = ident;
    if class != eh::ELFCLASS32 {
        let found = format!("{} ({class})", eh::class_to_str(class));
        return Err(unsupported("class", found, "ELF32 (1); build for riscv32, not riscv64"));
    }
    if byte_order != eh::ELFDATA2LSB {
        let name = if byte_order == eh::ELFDATA2MSB { "big-endian" } else { "unknown" };
        return Err(unsupported("byte order", format!("{name} ({byte_order})"), "little-endian (1)"));
    }
    if version != eh::EV_CURRENT {
        return Err(unsupported("version", version.to_string(), "1"));
    }

    let header = header32::Header::parse(bytes).map_err(|_| no_header())?;
    if header.e_machine != eh::EM_RISCV {
        let found = format!("{} ({})", eh::machine_to_str(header.e_machine), header.e_machine);
        return Err(unsupported("machine", found, "RISCV (243); build for a riscv32im target"));
    }
    if header.e_type != eh::ET_EXEC {
        let found = format!("{} ({})", eh::et_to_str(header.e_type), header.e_type);
        return Err(unsupported("type", found, "EXEC (2); link a static executable with -static -no-pie"));
    }
    Ok(header)
}

fn unsupported(what: &'static str, found: String, expected: &'static str) -> ProgramError {
    ProgramError::Unsupported { what, found, expected }
}

pub(crate) fn malformed(field: &'static str, found: u16, expected: &'static str) -> ProgramError {
    ProgramError::MalformedHeader { field, found: found.into(), expected }
}

/// Reports the unsupported features that the flags of an ELF declare.
pub(super) fn unsupported_flags(bytes: &[u8]) -> Option<ProgramError> {
    check_flags(read_any_header(bytes).ok()?.e_flags).err()
}

/// Total store ordering.
const FLAG_TSO: u32 = 0x10;

fn check_flags(flags: u32) -> Result<(), ProgramError> {
    let flags = flags & !FLAG_TSO;
    if flags == 0 {
        return Ok(());
    }
    let known = FLAGS.iter().filter(|(mask, value, _)| flags & mask == *value);
    let mut features: Vec<String> = known.map(|(_, _, feature)| (*feature).to_owned()).collect();
    let unknown = FLAGS.iter().fold(flags, |rest, (mask, _, _)| rest & !mask);
    if unknown != 0 {
        features.push(format!("unknown features ({unknown:#x})"));
    }
    Err(ProgramError::UnsupportedFlags { flags, features: features.join(" and ") })
}

fn read_ranges<'a>(bytes: &'a [u8], header: &header32::Header) -> Result<Vec<Range<'a>>, ProgramError> {
    let count = header.e_phnum;
    if count == 0 {
        return Err(ProgramError::NoSegments);
    }
    if count == PN_XNUM {
        return Err(malformed("e_phnum", count, "fewer than 65535 program headers (PN_XNUM is not supported)"));
    }
    if header.e_phentsize != PROGRAM_HEADER_BYTES {
        return Err(malformed("e_phentsize", header.e_phentsize, "32"));
    }
    let headers = read_program_headers(bytes, header.e_phoff, count.into())?;

    for (index, header) in headers.iter().enumerate() {
        if matches!(header.p_type, ph::PT_INTERP | ph::PT_DYNAMIC) {
            return Err(ProgramError::Dynamic { index, header: ph::pt_to_str(header.p_type) });
        }
    }
    let mut loads = Vec::new();
    for (index, header) in headers.iter().enumerate().filter(|(_, header)| header.p_type == ph::PT_LOAD) {
        loads.push((header, data(bytes, index, header)?));
    }
    check_shared(bytes, loads.iter().map(|(_, data)| data.len() as u64).sum())?;
    // Linux on RISC-V makes writable segments readable, because the architecture has no write-only pages.
    let permissions = |header: &ProgramHeader| Permissions {
        read: header.is_read() || header.is_write(),
        write: header.is_write(),
        execute: header.is_executable(),
    };
    let range = |(header, data): (&ProgramHeader, &'a [u8])| Range {
        address: header.p_vaddr as u32,
        memory_bytes: header.p_memsz as u32,
        data,
        permissions: permissions(header),
    };
    Ok(loads.into_iter().map(range).collect())
}

pub(crate) fn read_program_headers(bytes: &[u8], offset: u32, count: u32) -> Result<Vec<ProgramHeader>, ProgramError> {
    let offset = u64::from(offset);
    let table_bytes = u64::from(count) * u64::from(PROGRAM_HEADER_BYTES);
    get(bytes, offset, table_bytes)
        .and_then(|table| ProgramHeader::parse(table, 0, count as usize, ELF32_LE).ok())
        .ok_or_else(|| truncated(bytes, format!("the table of {count} program headers"), offset + table_bytes))
}

/// Checks that segments together claim no more bytes than the file has. Otherwise thousands of headers could each claim
/// the whole file. No linker makes segments share bytes, and the check bounds the cost of loading.
pub(crate) fn check_shared(bytes: &[u8], data_bytes: u64) -> Result<(), ProgramError> {
    let file_bytes = bytes.len() as u64;
    if data_bytes > file_bytes {
        return Err(ProgramError::SharedData { data_bytes, file_bytes });
    }
    Ok(())
}

/// Returns a segment's bytes. The offset of a segment without bytes (a bss) has no meaning and may lie outside the
/// file.
fn data<'a>(bytes: &'a [u8], index: usize, header: &ProgramHeader) -> Result<&'a [u8], ProgramError> {
    let ProgramHeader { p_offset, p_filesz, p_vaddr, .. } = *header;
    if p_filesz == 0 {
        return Ok(&[]);
    }
    get(bytes, p_offset, p_filesz).ok_or_else(|| no_data(bytes, index, p_vaddr, p_offset + p_filesz))
}

pub(crate) fn no_data(bytes: &[u8], index: usize, address: u64, end_offset: u64) -> ProgramError {
    truncated(bytes, format!("the data of segment {address:#010x} (program header {index})"), end_offset)
}

/// Reads the first symbol table. Returns `None` if the table or its strings are missing or broken.
pub(crate) fn read_symbols(bytes: &[u8], header: &header32::Header) -> Option<Vec<Symbol>> {
    let sections = sections::headers(bytes, header)?;
    let symbols_section = sections.iter().find(|section| section.sh_type == sh::SHT_SYMTAB)?;
    let strings_section = sections.get(usize::try_from(symbols_section.sh_link).ok()?)?;
    if strings_section.sh_type != sh::SHT_STRTAB {
        return None;
    }
    let strings = get(bytes, strings_section.sh_offset, strings_section.sh_size)?;
    // Every name ends at or before the last terminator, so finding the end of a name costs its length.
    let strings = strings.get(..=strings.iter().rposition(|&byte| byte == 0)?)?;
    let table = get(bytes, symbols_section.sh_offset, symbols_section.sh_size)?;
    let entries = Sym::parse(table, 0, table.len() / SYMBOL_BYTES, ELF32_LE).ok()?;

    // Every symbol could refer to the same long name. No linker writes names that together exceed the file, so the
    // names beyond that size are dropped.
    let mut budget_bytes = bytes.len();
    let mut symbols = Vec::new();
    for entry in &entries {
        let Some(kind) = kind_of(entry) else { continue };
        let Some(name) = strings.get(entry.st_name..).and_then(|rest| rest.split(|&byte| byte == 0).next()) else {
            continue;
        };
        let Some(rest_bytes) = budget_bytes.checked_sub(name.len()) else { break };
        budget_bytes = rest_bytes;
        if name.is_empty() || kind == SymbolKind::Other && is_marker(name) {
            continue;
        }
        symbols.push(Symbol {
            name: printable(name, &[]),
            address: entry.st_value as u32,
            size_bytes: entry.st_size as u32,
            kind,
        });
    }
    Some(symbols)
}

/// Returns the kind of a symbol, or `None` if it is not a location in memory: imports, constants, sections, files,
/// thread-local offsets.
fn kind_of(entry: &Sym) -> Option<SymbolKind> {
    let section_index = u32::try_from(entry.st_shndx).ok()?;
    if matches!(section_index, sh::SHN_UNDEF | sh::SHN_ABS | sh::SHN_COMMON) {
        return None;
    }
    match entry.st_type() {
        sym::STT_FUNC | sym::STT_GNU_IFUNC => Some(SymbolKind::Function),
        sym::STT_OBJECT => Some(SymbolKind::Object),
        sym::STT_NOTYPE => Some(SymbolKind::Other),
        _ => None,
    }
}

/// Returns whether a label was left by a tool: RISC-V mapping symbols (`$x`: code begins, `$d`: data begins) or the
/// compiler's own.
fn is_marker(name: &[u8]) -> bool {
    name.starts_with(b"$x") || name.starts_with(b"$d") || name.starts_with(b".L")
}
