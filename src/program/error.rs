//! Why bytes are not a program: what was found, where, and what to do about it.

use super::Permissions;

/// Why bytes are not a program that this crate runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// There are no bytes.
    #[error("the file is empty; expected a RISC-V ELF executable")]
    Empty,

    /// The bytes do not begin as an ELF does.
    #[error("not an ELF file: it begins with {found}, expected 7f 45 4c 46; give the linked executable")]
    NotElf {
        /// The first bytes, in hexadecimal.
        found: String,
    },

    /// A RISC Zero program binary where an ELF is expected: a user program and a kernel in one file.
    #[error("a RISC Zero program binary (it begins with R0BF), not an ELF; machine r0vm runs it, others the bare ELF")]
    RiscZeroBinary,

    /// What begins as a RISC Zero program binary, or should, and is none.
    #[error("not a RISC Zero program binary: {what}; build it again with RISC Zero 1.2 to 3.0")]
    MalformedBinary {
        /// What is wrong with it.
        what: &'static str,
    },

    /// A RISC Zero program binary whose user program and kernel talk in a way that is not known here.
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
        /// SHA-256 of the kernel that there is.
        sha256: String,
    },

    /// One of the two ELFs of a RISC Zero program is no program.
    #[error("the {elf} ELF of the RISC Zero program: {error}")]
    InElf {
        /// Which one: user or kernel.
        elf: &'static str,
        /// What is wrong with it.
        #[source]
        error: Box<ProgramError>,
    },

    /// Something of an ELF for R0VM reaches beyond what it may use of memory.
    #[error("the {what} reaches to {address:#x}, where {end:#010x} is the limit; link it lower")]
    BeyondMachine {
        /// What it is.
        what: &'static str,
        /// Where it lies, ends, or how large it is.
        address: u64,
        /// The first address that it may not use.
        end: u32,
    },

    /// A segment does not start at a word.
    #[error("the segment at {address:#010x} does not start at a multiple of 4; mend the linker script")]
    MisalignedSegment {
        /// Where it starts.
        address: u32,
    },

    /// Something reaches beyond the end of the file.
    #[error(
        "the ELF is truncated: {what} reaches to byte {end_offset}, the file has {file_bytes}; copy or build it again"
    )]
    Truncated {
        /// What does not fit.
        what: String,
        /// The offset of the first byte after it.
        end_offset: u64,
        /// The size of the file.
        file_bytes: u64,
    },

    /// An ELF, but for another kind of computer or of another kind.
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
        /// What they stand for, in words.
        features: String,
    },

    /// A field of the ELF header has a value that no linker writes.
    #[error("malformed ELF header: {field} is {found}, expected {expected}; build the file again")]
    MalformedHeader {
        /// The field's name in the ELF specification.
        field: &'static str,
        /// Its value in this file.
        found: u32,
        /// What it may be.
        expected: &'static str,
    },

    /// The executable needs a dynamic linker.
    #[error("program header {index} is {header}: the executable is dynamically linked; link with -static -no-pie")]
    Dynamic {
        /// The position of the program header.
        index: usize,
        /// Its type.
        header: &'static str,
    },

    /// Together the segments claim more bytes than the file has, so that some are claimed twice.
    #[error("the segments claim {data_bytes} bytes of file data, the file has {file_bytes}; they must not share bytes")]
    SharedData {
        /// The sum of all segments' data.
        data_bytes: u64,
        /// The size of the file.
        file_bytes: u64,
    },

    /// A segment has more bytes to put in memory than memory to put them in.
    #[error("the segment at {address:#010x} has {data_bytes} bytes of data for {memory_bytes} bytes of memory")]
    DataExceedsMemory {
        /// Where the segment starts.
        address: u32,
        /// The size of its data.
        data_bytes: u64,
        /// Its size in memory.
        memory_bytes: u32,
    },

    /// A segment reaches beyond the 32-bit address space.
    #[error("the segment at {address:#010x} has {memory_bytes} bytes and ends beyond 2^32; link it lower")]
    SegmentOutOfRange {
        /// Where the segment starts.
        address: u32,
        /// Its size in memory.
        memory_bytes: u32,
    },

    /// A user program that RISC Zero's kernel cannot start.
    #[error(
        "not built for RISC Zero: it starts at {entry:#010x} and has code around 0x00010000, where the kernel keeps a \
         program's entry; run it on machine bare, or build it for riscv32im-risc0-zkvm-elf, with its text at 0x00200800"
    )]
    NotForKernel {
        /// Where it starts.
        entry: u32,
    },

    /// Two segments that were given directly hold the same address.
    #[error(
        "segments {lower_address:#010x}..{lower_end:#010x} and {upper_address:#010x}..{upper_end:#010x} overlap; give \
         each address one segment"
    )]
    OverlappingSegments {
        /// Where the lower segment starts.
        lower_address: u32,
        /// The first address after it.
        lower_end: u64,
        /// Where the upper segment starts.
        upper_address: u32,
        /// The first address after it.
        upper_end: u64,
    },

    /// Nothing is to be loaded.
    #[error("the program has no nonempty segment (PT_LOAD) to load; link it as an executable")]
    NoSegments,

    /// The entry is not an instruction's address.
    #[error("the entry {entry:#010x} is not a multiple of 4; set the linker's --entry to the first instruction")]
    MisalignedEntry {
        /// The entry address.
        entry: u32,
    },

    /// The entry lies in no segment.
    #[error("the entry {entry:#010x} lies in no segment; set the linker's --entry to the first instruction")]
    EntryOutsideSegments {
        /// The entry address.
        entry: u32,
    },

    /// The entry lies in a segment that holds no code.
    #[error(
        "the entry {entry:#010x} lies in a segment that is not executable ({permissions}); set the linker's --entry"
    )]
    EntryNotExecutable {
        /// The entry address.
        entry: u32,
        /// What that segment allows.
        permissions: Permissions,
    },
}
