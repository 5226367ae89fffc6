//! Guest programs: what memory holds before the first step, and where that step is.
//!
//! A [`Program`] is a checked value: its segments are sorted, disjoint and inside the 32-bit address space, and its
//! entry lies in code; only a program for R0VM may have it anywhere, as that machine finds out for itself. It comes from bytes that nobody vouches for, so every malformed one is an error here and never
//! a panic, and what a program holds is proportional to the file: a segment keeps its memory size as a number, apart
//! from its bytes, and a 4 GiB bss costs nothing.
//!
//! This module must not know what an instruction is, how memory is laid out on the host (pages, sharing, a stack are
//! the machine's matter), or that anything runs. `elf.rs` and its folder are the only place that knows goblin.

mod demangle;
pub(crate) mod elf;
mod error;
mod frames;
mod lines;
mod overlay;
mod source;
mod symbols;

use std::fmt;
use std::sync::Arc;

pub use error::ProgramError;
pub(crate) use overlay::{Overlay, Range};
pub use source::{Frame, NoFrames, SourceLine, own_line, source_frames, source_line};
use symbols::SymbolTable;
pub use symbols::{Symbol, SymbolKind};

/// One past the last address.
const ADDRESS_SPACE_BYTES: u64 = 1 << 32;

/// A loaded guest program: what memory holds before the first step.
///
/// Cheap to clone: clones share one image.
#[derive(Clone)]
pub struct Program {
    image: Arc<Image>,
}

struct Image {
    entry: u32,
    /// Where the user program starts, if this is one for R0VM with a kernel under it.
    user_entry: Option<u32>,
    segments: Vec<Segment>,
    /// Where its file says that code is, each a first address and one past the last: nothing that execution depends on.
    code: Vec<(u32, u64)>,
    symbols: SymbolTable,
}

impl Program {
    /// Reads a static little-endian ELF32 executable for RV32IM.
    ///
    /// Segments are laid out as Linux does: where two hold the same address, it is the one that comes later in the file's
    /// table; and what may be written may be read. Section headers and symbols are optional: broken ones cost the names,
    /// not the program.
    ///
    /// # Errors
    ///
    /// Everything else is refused with what was found and what was expected; see [`ProgramError`].
    pub fn from_elf(bytes: &[u8]) -> Result<Program, ProgramError> {
        let file = elf::read(bytes)?;
        let mut overlay = Overlay::default();
        for range in file.ranges {
            check_extent(range.address, range.memory_bytes, range.data)?;
            overlay.put(range);
        }
        Program::new(file.entry, overlay.segments(), file.symbols)
    }

    /// Makes a program of segments given directly, as tests and generators do; it has no symbols.
    ///
    /// # Errors
    ///
    /// The image is held to the same rules as one from an ELF, and no two segments may hold the same address.
    pub fn from_segments(entry: u32, segments: Vec<Segment>) -> Result<Program, ProgramError> {
        Program::new(entry, segments, Vec::new())
    }

    /// A program whose entry lies in code.
    fn new(entry: u32, segments: Vec<Segment>, symbols: Vec<Symbol>) -> Result<Program, ProgramError> {
        let executable = segments.iter().filter(|segment| segment.permissions.execute);
        let code = executable.map(|segment| (segment.address, segment.end())).collect();
        let program = Program::new_unstarted(entry, None, segments, code, symbols)?;
        match program.segment_at(entry).map(|segment| segment.permissions) {
            None => Err(ProgramError::EntryOutsideSegments { entry }),
            Some(permissions) if !permissions.execute => Err(ProgramError::EntryNotExecutable { entry, permissions }),
            Some(_) => Ok(program),
        }
    }

    /// A program for R0VM: kernel and user program in one memory, which starts at the kernel's entry. `code` is where
    /// the ELFs say that code is, in any order; it may overlap.
    pub(crate) fn new_risc0(
        kernel_entry: u32,
        user_entry: u32,
        segments: Vec<Segment>,
        code: Vec<(u32, u64)>,
        symbols: Vec<Symbol>,
    ) -> Result<Program, ProgramError> {
        Program::new_unstarted(kernel_entry, Some(user_entry), segments, code, symbols)
    }

    /// The one place where a program comes into being, and so where its invariants are checked, all but where it starts.
    fn new_unstarted(
        entry: u32,
        user_entry: Option<u32>,
        mut segments: Vec<Segment>,
        code: Vec<(u32, u64)>,
        symbols: Vec<Symbol>,
    ) -> Result<Program, ProgramError> {
        for segment in &segments {
            check_extent(segment.address, segment.memory_bytes, &segment.data)?;
        }
        segments.retain(|segment| segment.memory_bytes > 0);
        segments.sort_by_key(|segment| segment.address);
        for (lower, upper) in segments.iter().zip(segments.iter().skip(1)) {
            if lower.end() > u64::from(upper.address) {
                return Err(ProgramError::OverlappingSegments {
                    lower_address: lower.address,
                    lower_end: lower.end(),
                    upper_address: upper.address,
                    upper_end: upper.end(),
                });
            }
        }

        if segments.is_empty() {
            return Err(ProgramError::NoSegments);
        }
        if !entry.is_multiple_of(4) {
            return Err(ProgramError::MisalignedEntry { entry });
        }
        let symbols = SymbolTable::new(symbols, &segments);
        Ok(Program { image: Arc::new(Image { entry, user_entry, segments, code, symbols }) })
    }

    /// The address of the first instruction: a multiple of 4 in an executable segment.
    ///
    /// Of a program for R0VM with a kernel, it is the kernel's and may lie anywhere.
    pub fn entry(&self) -> u32 {
        self.image.entry
    }

    /// Where the user program starts, of a program for R0VM with a kernel under it; `None` of any other.
    pub fn user_entry(&self) -> Option<u32> {
        self.image.user_entry
    }

    /// The segments, sorted by address, disjoint, none of them empty.
    pub fn segments(&self) -> &[Segment] {
        &self.image.segments
    }

    /// Where its file says that code is, each a first address and one past the last, in any order. On machine r0vm code
    /// may lie elsewhere just as well, and may be written over.
    pub(crate) fn code(&self) -> &[(u32, u64)] {
        &self.image.code
    }

    /// The segment that holds an address, if any.
    pub fn segment_at(&self, address: u32) -> Option<&Segment> {
        segment_at(&self.image.segments, address)
    }

    /// The first address after the last segment; `1 << 32` when that one reaches the end of memory.
    pub fn end(&self) -> u64 {
        self.image.segments.last().map_or(0, Segment::end)
    }

    /// Names of places in the program, sorted by address. Empty when the file was stripped.
    pub fn symbols(&self) -> &[Symbol] {
        self.image.symbols.all()
    }

    /// The function that a code address belongs to, and the address's offset in it.
    ///
    /// That is the nearest function that starts at or below the address and still reaches it. One without a size, as
    /// in hand-written assembly, reaches to the next symbol; a plain label counts where no function does.
    pub fn symbol_at(&self, address: u32) -> Option<(&Symbol, u32)> {
        self.image.symbols.code_at(address)
    }

    /// BLAKE3 of what defines execution: programs with equal digests run alike. Hashes the whole image: keep the result.
    ///
    /// The hashed bytes are, integers little-endian: the 16 bytes `tachy-program-v1`; entry (u32); the number of
    /// segments (u32); and for each segment, by address: address (u32), memory size (u32), data size (u32),
    /// permissions (u8: read 4, write 2, execute 1), data. Neither symbols nor the file's layout count.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"tachy-program-v1");
        hasher.update(&self.entry().to_le_bytes());
        hasher.update(&(self.segments().len() as u32).to_le_bytes());
        for segment in self.segments() {
            hasher.update(&segment.address.to_le_bytes());
            hasher.update(&segment.memory_bytes.to_le_bytes());
            hasher.update(&(segment.data.len() as u32).to_le_bytes());
            hasher.update(&[segment.permissions.bits()]);
            hasher.update(&segment.data);
        }
        *hasher.finalize().as_bytes()
    }
}

/// [`ProgramError::UnsupportedFlags`] if an ELF says that it was compiled for extensions that no machine here has.
///
/// R0VM's loader runs such a program all the same, up to the first instruction of them.
pub fn unsupported_flags(elf: &[u8]) -> Option<ProgramError> {
    elf::unsupported_flags(elf)
}

/// Whether a segment's data fit into its memory, and that into the address space.
fn check_extent(address: u32, memory_bytes: u32, data: &[u8]) -> Result<(), ProgramError> {
    let data_bytes = data.len() as u64;
    if data_bytes > u64::from(memory_bytes) {
        return Err(ProgramError::DataExceedsMemory { address, data_bytes, memory_bytes });
    }
    if u64::from(address) + u64::from(memory_bytes) > ADDRESS_SPACE_BYTES {
        return Err(ProgramError::SegmentOutOfRange { address, memory_bytes });
    }
    Ok(())
}

/// By hand, because a derived one would print the whole image.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("entry", &format_args!("{:#010x}", self.entry()))
            .field("segments", &self.segments())
            .field("symbols", &self.symbols().len())
            .finish()
    }
}

/// A range of guest memory as the program begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub address: u32,
    /// How far it reaches; what `data` does not fill is zero.
    pub memory_bytes: u32,
    /// Its first bytes, at most `memory_bytes` of them.
    pub data: Vec<u8>,
    /// What the program may do with it.
    pub permissions: Permissions,
}

impl Segment {
    /// A segment that holds exactly these bytes.
    pub fn new(address: u32, data: Vec<u8>, permissions: Permissions) -> Segment {
        // More than fits saturates, and is then refused like any data that exceeds its memory.
        let memory_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Segment { address, memory_bytes, data, permissions }
    }

    /// A segment that holds exactly these words, as assembled code does.
    pub fn from_words(address: u32, words: &[u32], permissions: Permissions) -> Segment {
        Segment::new(address, words.iter().flat_map(|word| word.to_le_bytes()).collect(), permissions)
    }

    /// The first address after it.
    pub fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.memory_bytes)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Segment { address, permissions, ref data, .. } = *self;
        write!(f, "{address:#010x}..{:#010x} {permissions} ({} data bytes)", self.end(), data.len())
    }
}

/// The segment that holds an address, among sorted and disjoint ones.
fn segment_at(segments: &[Segment], address: u32) -> Option<&Segment> {
    let after = segments.partition_point(|segment| segment.address <= address);
    segments.get(after.checked_sub(1)?).filter(|segment| u64::from(address) < segment.end())
}

/// What a program may do with a segment. Displayed like `r-x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

impl Permissions {
    /// Constants.
    pub const R: Permissions = Permissions { read: true, write: false, execute: false };
    /// Data.
    pub const RW: Permissions = Permissions { read: true, write: true, execute: false };
    /// Code.
    pub const RX: Permissions = Permissions { read: true, write: false, execute: true };
    /// Code that may change itself.
    pub const RWX: Permissions = Permissions { read: true, write: true, execute: true };

    fn bits(self) -> u8 {
        u8::from(self.read) << 2 | u8::from(self.write) << 1 | u8::from(self.execute)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |set, letter| if set { letter } else { '-' };
        write!(f, "{}{}{}", letter(self.read, 'r'), letter(self.write, 'w'), letter(self.execute, 'x'))
    }
}
