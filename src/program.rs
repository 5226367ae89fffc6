//! Guest programs: the contents of memory before the first step, and the address of that step.
//!
//! A [`Program`] is a checked value. Its segments are sorted, disjoint and inside the 32-bit address space, and its
//! entry lies in code. The entry of a program for R0VM may lie anywhere, because that machine checks it itself.
//!
//! The input is untrusted: malformed bytes cause an error, never a panic. The memory of a program is proportional to
//! the file. A segment stores its memory size as a number, apart from its bytes, so a 4 GiB bss costs nothing.
//!
//! This module must not know what an instruction is, how the host lays out memory (pages, sharing and a stack belong to
//! the machine), or that anything runs. Only `elf.rs` and its folder know goblin.

mod demangle;
pub(crate) mod elf;
mod error;
mod frames;
mod lines;
mod overlay;
mod source;
mod symbols;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use once_cell::race::OnceBox;

pub use error::ProgramError;
pub(crate) use overlay::{Overlay, Range};
pub use source::{Frame, NoFrames, SourceLine, own_line, source_frames, source_line};
use symbols::SymbolTable;
pub use symbols::{Symbol, SymbolKind};

/// One past the last address.
const ADDRESS_SPACE_BYTES: u64 = 1 << 32;

/// A loaded guest program: the contents of memory before the first step.
///
/// Cheap to clone: clones share one image.
#[derive(Clone)]
pub struct Program {
    image: Arc<Image>,
}

struct Image {
    entry: u32,
    /// Entry of the user program, if this is a program for R0VM with a kernel under it.
    user_entry: Option<u32>,
    segments: Vec<Segment>,
    /// Code ranges as the file declares them: first address, and one past the last. Execution does not depend on them.
    code: Vec<(u32, u64)>,
    symbols: SymbolTable,
    /// What a machine has derived from the segments; see [`Program::derived`].
    derived: OnceBox<Box<dyn Any + Send + Sync>>,
}

impl Program {
    /// Reads a static little-endian ELF32 executable for RV32IM.
    ///
    /// Segments are laid out as on Linux. If two hold the same address, the later one in the file's table wins;
    /// writable memory is also readable. Section headers and symbols are optional: broken ones cost the names, not the
    /// program.
    ///
    /// # Errors
    ///
    /// Refuses every other file. The error states what was found and what was expected; see [`ProgramError`].
    pub fn from_elf(bytes: &[u8]) -> Result<Program, ProgramError> {
        let file = elf::read(bytes)?;
        let mut overlay = Overlay::default();
        for range in file.ranges {
            check_extent(range.address, range.memory_bytes, range.data)?;
            overlay.put(range);
        }
        Program::new(file.entry, overlay.segments(), file.symbols)
    }

    /// Makes a program from segments, for tests and generators. It has no symbols.
    ///
    /// # Errors
    ///
    /// Refuses an image that breaks the rules for images from an ELF, and segments that overlap.
    pub fn from_segments(entry: u32, segments: Vec<Segment>) -> Result<Program, ProgramError> {
        Program::new(entry, segments, Vec::new())
    }

    /// Makes a program and checks that its entry lies in code.
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

    /// Makes a program for R0VM: kernel and user program in one memory, started at the kernel's entry. `code` lists the
    /// code ranges that the ELFs declare, in any order; they may overlap.
    pub(crate) fn new_risc0(
        kernel_entry: u32,
        user_entry: u32,
        segments: Vec<Segment>,
        code: Vec<(u32, u64)>,
        symbols: Vec<Symbol>,
    ) -> Result<Program, ProgramError> {
        Program::new_unstarted(kernel_entry, Some(user_entry), segments, code, symbols)
    }

    /// Makes a program. It is the only constructor, so it checks every invariant except the location of the entry.
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
        Ok(Program { image: Arc::new(Image { entry, user_entry, segments, code, symbols, derived: OnceBox::new() }) })
    }

    /// Returns the address of the first instruction: a multiple of 4 in an executable segment.
    ///
    /// For a program for R0VM with a kernel, it is the kernel's entry and may lie anywhere.
    pub fn entry(&self) -> u32 {
        self.image.entry
    }

    /// Returns the entry of the user program if this is a program for R0VM with a kernel; `None` for any other program.
    pub fn user_entry(&self) -> Option<u32> {
        self.image.user_entry
    }

    /// Returns the segments: sorted by address, disjoint, and not empty.
    pub fn segments(&self) -> &[Segment] {
        &self.image.segments
    }

    /// Returns the code ranges that the file declares (first address, one past the last), in any order. On machine
    /// r0vm, code may also lie elsewhere and may be overwritten.
    pub(crate) fn code(&self) -> &[(u32, u64)] {
        &self.image.code
    }

    /// Returns the segment that holds an address, if any.
    pub fn segment_at(&self, address: u32) -> Option<&Segment> {
        segment_at(&self.image.segments, address)
    }

    /// Returns the first address after the last segment; `1 << 32` if that segment reaches the end of memory.
    pub fn end(&self) -> u64 {
        self.image.segments.last().map_or(0, Segment::end)
    }

    /// Returns a value that follows from the segments alone. The first call derives it; it then stays with the program
    /// and all clones. If two threads make the first call at once, both derive it. Returns `None` if a value of another
    /// type was derived before.
    pub(crate) fn derived<T: Any + Send + Sync>(&self, derive: impl FnOnce() -> T) -> Option<&T> {
        self.image.derived.get_or_init(|| Box::new(Box::new(derive()))).downcast_ref()
    }

    /// Returns the symbols of the program, sorted by address. The list is empty if the file was stripped.
    pub fn symbols(&self) -> &[Symbol] {
        self.image.symbols.all()
    }

    /// Returns the function that contains a code address, and the address's offset in it.
    ///
    /// This is the nearest function that starts at or below the address and reaches it. A function without a size, as
    /// in hand-written assembly, extends to the next symbol. A plain label counts only outside of functions.
    pub fn symbol_at(&self, address: u32) -> Option<(&Symbol, u32)> {
        self.image.symbols.code_at(address)
    }

    /// Returns a BLAKE3 digest of everything that defines execution: programs with equal digests run alike. The call
    /// hashes the whole image, so callers should keep the result.
    ///
    /// The hashed bytes, with little-endian integers, are: the 16 bytes `tachy-program-v1`; entry (u32); the number of
    /// segments (u32); and for each segment, by address: address (u32), memory size (u32), data size (u32), permissions
    /// (u8: read 4, write 2, execute 1), data. Symbols and the file's layout do not count.
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

/// Returns [`ProgramError::UnsupportedFlags`] if an ELF declares extensions that no machine here has.
///
/// R0VM's loader still runs such a program, up to the first instruction of such an extension.
pub fn unsupported_flags(elf: &[u8]) -> Option<ProgramError> {
    elf::unsupported_flags(elf)
}

/// Checks that a segment's data fit into its memory, and its memory into the address space.
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

/// Written by hand, because a derived implementation would print the whole image.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("entry", &format_args!("{:#010x}", self.entry()))
            .field("segments", &self.segments())
            .field("symbols", &self.symbols().len())
            .finish()
    }
}

/// A range of guest memory at program start.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// First address.
    pub address: u32,
    /// Size in memory. Bytes beyond `data` are zero.
    pub memory_bytes: u32,
    /// The first bytes, at most `memory_bytes` of them.
    pub data: Vec<u8>,
    /// What the program may do with it.
    pub permissions: Permissions,
}

impl Segment {
    /// Makes a segment that holds exactly these bytes.
    pub fn new(address: u32, data: Vec<u8>, permissions: Permissions) -> Segment {
        // An excessive length saturates. `check_extent` then refuses it, like any data that exceeds its memory.
        let memory_bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Segment { address, memory_bytes, data, permissions }
    }

    /// Makes a segment that holds exactly these words, such as assembled code.
    pub fn from_words(address: u32, words: &[u32], permissions: Permissions) -> Segment {
        Segment::new(address, words.iter().flat_map(|word| word.to_le_bytes()).collect(), permissions)
    }

    /// Returns the first address after it.
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

/// Finds the segment that holds an address. The segments must be sorted and disjoint.
fn segment_at(segments: &[Segment], address: u32) -> Option<&Segment> {
    let after = segments.partition_point(|segment| segment.address <= address);
    segments.get(after.checked_sub(1)?).filter(|segment| u64::from(address) < segment.end())
}

/// What a program may do with a segment. Displays like `r-x`.
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
