//! Finds sections of an ELF file by name, and decompresses them if necessary. Debug information lies in such sections.
//!
//! Decompressed bytes are charged to an allowance in proportion to the file. A few bytes that expand to gigabytes cause
//! an error instead of using memory. This file must not know what sections contain.

use std::borrow::Cow;
use std::cell::Cell;

use goblin::elf::section_header::{self as sh, SectionHeader};

use super::{ELF32_LE, SECTION_HEADER_BYTES, get, read_any_header};
use goblin::elf::header::header32;

/// Decompressed sections may together take this many times the size of the file, plus [`SPARE_BYTES`]. Debug
/// information typically compresses to a half or a third.
const MAX_RATIO: usize = 8;
const SPARE_BYTES: usize = 4 << 20;

/// Values of `ch_type`.
const ELFCOMPRESS_ZLIB: u32 = 1;
const ELFCOMPRESS_ZSTD: u32 = 2;

/// Value of `e_shstrndx` that means the index is stored in section header 0.
const SHN_XINDEX: u16 = 0xffff;

/// Reads the section headers of an ELF. Header 0 holds a count that does not fit its field of the ELF header.
pub(super) fn headers(bytes: &[u8], header: &header32::Header) -> Option<Vec<SectionHeader>> {
    if header.e_shentsize != SECTION_HEADER_BYTES || header.e_shoff == 0 {
        return None;
    }
    let parse = |count: u64| {
        let table = get(bytes, header.e_shoff.into(), count.checked_mul(SECTION_HEADER_BYTES.into())?)?;
        SectionHeader::parse_from(table, 0, usize::try_from(count).ok()?, ELF32_LE).ok()
    };
    match header.e_shnum {
        0 => parse(parse(1)?.first()?.sh_size),
        count => parse(count.into()),
    }
}

/// Why an existing section cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::program) enum Unreadable {
    /// Compressed by an unknown algorithm, with this number in the ELF specification.
    Algorithm(u32),
    /// Its decompressed size exceeds the allowance.
    TooLarge,
    /// Its compressed bytes are corrupt.
    Damaged,
}

/// The sections of an ELF file.
pub(in crate::program) struct Sections<'a> {
    bytes: &'a [u8],
    headers: Vec<SectionHeader>,
    names: &'a [u8],
    /// Bytes that may still be decompressed.
    allowance_bytes: Cell<usize>,
}

impl<'a> Sections<'a> {
    /// Reads the section table. Returns `None` if the file has no sections, or they have no names.
    pub(in crate::program) fn read(bytes: &'a [u8]) -> Option<Sections<'a>> {
        let header = read_any_header(bytes).ok()?;
        let headers = headers(bytes, &header)?;
        let names_index = match header.e_shstrndx {
            SHN_XINDEX => headers.first()?.sh_link,
            index => index.into(),
        };
        let names = headers.get(usize::try_from(names_index).ok()?)?;
        let names = get(bytes, names.sh_offset, names.sh_size)?;
        let allowance_bytes = Cell::new(bytes.len().saturating_mul(MAX_RATIO).saturating_add(SPARE_BYTES));
        Some(Sections { bytes, headers, names, allowance_bytes })
    }

    /// Returns the first section with this name that has bytes in the file; `None` if no such section exists, or its
    /// bytes are missing.
    ///
    /// Sections `.debug_*` are also looked up as `.zdebug_*`, the name that GNU's tools first gave to compressed ones.
    pub(in crate::program) fn section(&self, name: &str) -> Result<Option<Cow<'a, [u8]>>, Unreadable> {
        if let Some((header, data)) = self.find(name) {
            let compressed = header.sh_flags & u64::from(sh::SHF_COMPRESSED) != 0;
            return if compressed { self.with_header(data).map(Some) } else { Ok(Some(Cow::Borrowed(data))) };
        }
        let gnu_name = name.strip_prefix(".debug_").map(|rest| format!(".zdebug_{rest}"));
        match gnu_name.and_then(|name| self.find(&name)) {
            Some((_, data)) => self.with_gnu_header(data).map(Some),
            None => Ok(None),
        }
    }

    /// Returns the memory address that the first section with this name declares.
    pub(in crate::program) fn address(&self, name: &str) -> Option<u32> {
        self.find(name).and_then(|(header, _)| u32::try_from(header.sh_addr).ok())
    }

    fn find(&self, name: &str) -> Option<(&SectionHeader, &'a [u8])> {
        let is_named = |section: &&SectionHeader| {
            let rest = self.names.get(section.sh_name..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
            section.sh_type == sh::SHT_PROGBITS && rest.and_then(|rest| rest.first()) == Some(&0)
        };
        let header = self.headers.iter().find(is_named)?;
        Some((header, get(self.bytes, header.sh_offset, header.sh_size)?))
    }

    /// Decompresses data behind `ch_type`, `ch_size` and `ch_addralign`.
    fn with_header(&self, data: &[u8]) -> Result<Cow<'a, [u8]>, Unreadable> {
        let word = |index: usize| {
            let bytes = data.get(4 * index..).and_then(|bytes| bytes.first_chunk()).copied();
            bytes.map(u32::from_le_bytes).ok_or(Unreadable::Damaged)
        };
        let (algorithm, size, _) = (word(0)?, word(1)?, word(2)?);
        let data = data.get(12..).unwrap_or_default();
        match algorithm {
            ELFCOMPRESS_ZLIB => self.inflated(data, size.into()),
            ELFCOMPRESS_ZSTD => self.unzstd(data, size.into()),
            _ => Err(Unreadable::Algorithm(algorithm)),
        }
    }

    /// Decompresses data behind `ZLIB` and the size, big-endian.
    fn with_gnu_header(&self, data: &[u8]) -> Result<Cow<'a, [u8]>, Unreadable> {
        let data = data.strip_prefix(b"ZLIB").ok_or(Unreadable::Damaged)?;
        let (size, data) = data.split_first_chunk().ok_or(Unreadable::Damaged)?;
        self.inflated(data, u64::from_be_bytes(*size))
    }

    fn inflated(&self, data: &[u8], size: u64) -> Result<Cow<'a, [u8]>, Unreadable> {
        let size = self.take(size)?;
        let inflated = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data, size);
        inflated.ok().filter(|bytes| bytes.len() == size).map(Cow::Owned).ok_or(Unreadable::Damaged)
    }

    fn unzstd(&self, data: &[u8], size: u64) -> Result<Cow<'a, [u8]>, Unreadable> {
        let size = self.take(size)?;
        // The window never needs to exceed the section. Every decoder must support 8 MiB.
        let mut decoder = ruzstd::decoding::FrameDecoder::new();
        decoder.set_max_window_size(size.max(8 << 20) as u64);
        let mut bytes = Vec::with_capacity(size);
        let done = decoder.decode_all_to_vec(data, &mut bytes);
        (done.is_ok() && bytes.len() == size).then_some(Cow::Owned(bytes)).ok_or(Unreadable::Damaged)
    }

    /// Charges a section of this size to the allowance.
    fn take(&self, size: u64) -> Result<usize, Unreadable> {
        let size = usize::try_from(size).map_err(|_| Unreadable::TooLarge)?;
        let left = self.allowance_bytes.get().checked_sub(size).ok_or(Unreadable::TooLarge)?;
        self.allowance_bytes.set(left);
        Ok(size)
    }
}
