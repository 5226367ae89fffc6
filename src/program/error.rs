//! Errors of loading a program: what was found, where, and what to do about it. This file must not know how files are
//! read.

use super::Permissions;

/// Why bytes are not a program that this crate runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The file is empty.
    #[error("the file is empty; expected a RISC-V ELF executable")]
    Empty,

    /// The bytes do not begin with the ELF magic number.
    #[error("not an ELF file: it begins with {found}, expected 7f 45 4c 46; give the linked executable")]
    NotElf {
        /// The first bytes, in hexadecimal.
        found: String,
    },

    /// The file is a RISC Zero program binary (user program and kernel in one file), but an ELF is expected.
    #[error(
        "this is a RISC Zero program binary (R0BF), not an ELF; run it on machine r0vm, or give the user program's ELF"
    )]
    RiscZeroBinary,

    /// The file is not a valid RISC Zero program binary, although one is expected or its first bytes announce one.
    #[error("not a RISC Zero program binary: {what}; build it again with RISC Zero 1.2 to 3.0")]
    MalformedBinary {
        /// The fault.
        what: &'static str,
    },

    /// The user program and kernel of a RISC Zero program binary use an unknown interface.
    #[error("the program binary has the ABI {found}, expected V1Compat ^1.0.0; build it with RISC Zero 1.2 to 3.0")]
    UnsupportedAbi {
        /// Kind and version.
        found: String,
    },

    /// The kernel that this library was built with is not that of RISC Zero 3.0.
    #[error(
        "the kernel that Tachy was built with is not that of RISC Zero 3.0 (SHA-256 {sha256}), so the program would get \
         another image id; run its program binary, which has its own kernel, or build with `cargo update \
         risc0-zkos-v1compat --precise 2.2.3`"
    )]
    OtherKernel {
        /// SHA-256 of the kernel that was built in.
        sha256: String,
    },

    /// One of the two ELFs of a RISC Zero program is not a valid program.
    #[error("the {elf} ELF of the RISC Zero program: {error}")]
    InElf {
        /// Which one: user or kernel.
        elf: &'static str,
        /// The fault.
        #[source]
        error: Box<ProgramError>,
    },

    /// Part of an ELF for R0VM reaches beyond the memory that it may use.
    #[error("the {what} reaches {address:#x}, beyond the limit {end:#010x}; link it lower")]
    BeyondMachine {
        /// Which part.
        what: &'static str,
        /// Its address, its end, or its size.
        address: u64,
        /// First address that it may not use.
        end: u32,
    },

    /// The start of a segment is not word-aligned.
    #[error("the segment at {address:#010x} does not start at a multiple of 4; mend the linker script")]
    MisalignedSegment {
        /// Start of the segment.
        address: u32,
    },

    /// Part of the ELF reaches beyond the end of the file.
    #[error(
        "the ELF is truncated: {what} reaches to byte {end_offset}, the file has {file_bytes}; copy or build it again"
    )]
    Truncated {
        /// Which part.
        what: String,
        /// Offset of the first byte after it.
        end_offset: u64,
        /// Size of the file.
        file_bytes: u64,
    },

    /// The ELF is for another kind of computer, or is not an executable.
    #[error("unsupported ELF {what}: found {found}, expected {expected}")]
    Unsupported {
        /// The property: class, byte order, version, type or machine.
        what: &'static str,
        /// Its value in this file.
        found: String,
        /// The value that is supported, and how to get it.
        expected: &'static str,
    },

    /// Built for extensions or an ABI that the machines do not have.
    #[error("e_flags {flags:#x}: compiled with {features}; build with -march=rv32im -mabi=ilp32, or for riscv32im")]
    UnsupportedFlags {
        /// The ELF's `e_flags`.
        flags: u32,
        /// Their meanings, in words.
        features: String,
    },

    /// A field of the ELF header has a value that no linker writes.
    #[error("malformed ELF header: {field} is {found}, expected {expected}; build the file again")]
    MalformedHeader {
        /// The field's name in the ELF specification.
        field: &'static str,
        /// Its value in this file.
        found: u32,
        /// The permitted values.
        expected: &'static str,
    },

    /// The executable needs a dynamic linker.
    #[error("program header {index} is {header}: the executable is dynamically linked; link with -static -no-pie")]
    Dynamic {
        /// Position of the program header.
        index: usize,
        /// Type of the program header.
        header: &'static str,
    },

    /// The segments together claim more bytes than the file has, so they share some.
    #[error(
        "the segments claim {data_bytes} bytes of file data, but the file has {file_bytes}; segments must not share bytes"
    )]
    SharedData {
        /// Sum of the sizes of all segments' data.
        data_bytes: u64,
        /// Size of the file.
        file_bytes: u64,
    },

    /// The data of a segment exceed its size in memory.
    #[error("the segment at {address:#010x} has {data_bytes} bytes of data for {memory_bytes} bytes of memory")]
    DataExceedsMemory {
        /// Start of the segment.
        address: u32,
        /// Size of its data.
        data_bytes: u64,
        /// Size in memory.
        memory_bytes: u32,
    },

    /// A segment reaches beyond the 32-bit address space.
    #[error("the segment at {address:#010x} has {memory_bytes} bytes and ends beyond 2^32; link it lower")]
    SegmentOutOfRange {
        /// Start of the segment.
        address: u32,
        /// Size in memory.
        memory_bytes: u32,
    },

    /// RISC Zero's kernel cannot start this user program.
    #[error(
        "not built for RISC Zero: it starts at {entry:#010x} and has code around 0x00010000, where the kernel keeps a \
         program's entry; run it on machine bare, or build it for riscv32im-risc0-zkvm-elf, with its text at 0x00200800"
    )]
    NotForKernel {
        /// Entry of the user program.
        entry: u32,
    },

    /// Two segments that were given directly overlap.
    #[error(
        "segments {lower_address:#010x}..{lower_end:#010x} and {upper_address:#010x}..{upper_end:#010x} overlap; give \
         each address one segment"
    )]
    OverlappingSegments {
        /// Start of the lower segment.
        lower_address: u32,
        /// First address after it.
        lower_end: u64,
        /// Start of the upper segment.
        upper_address: u32,
        /// First address after it.
        upper_end: u64,
    },

    /// The program has nothing to load.
    #[error("the program has no nonempty segment (PT_LOAD) to load; link it as an executable")]
    NoSegments,

    /// The entry is not a multiple of 4.
    #[error("the entry {entry:#010x} is not a multiple of 4; set the linker's --entry to the first instruction")]
    MisalignedEntry {
        /// The entry address.
        entry: u32,
    },

    /// No segment holds the entry.
    #[error("the entry {entry:#010x} lies in no segment; set the linker's --entry to the first instruction")]
    EntryOutsideSegments {
        /// The entry address.
        entry: u32,
    },

    /// The entry lies in a segment that is not executable.
    #[error(
        "the entry {entry:#010x} lies in a segment that is not executable ({permissions}); set the linker's --entry"
    )]
    EntryNotExecutable {
        /// The entry address.
        entry: u32,
        /// Permissions of that segment.
        permissions: Permissions,
    },
}
