//! Big integers of R0VM: the part of machine ecall 5 that is computed outside the circuit, before the circuit checks
//! it.
//!
//! A call names a *blob* with two programs. The first is bytecode, whose files begin with `bibc`. The executor
//! evaluates it: it loads numbers from the guest's arenas, calculates, and stores results. The stored results together
//! are the call's *witness*. The second program is the circuit's, and verifies the witness. The executor pays a cycle
//! for each of its words and never reads its meaning.
//!
//! This module parses and evaluates the first program. It is pure: it peeks at memory through a function, and returns
//! what was loaded and what to store. It must not know paging, cycles, traces, or registers other than by value; those
//! belong to the machine.
//!
//! # The machine's side, in the reference's order
//! 1. `pc` advances by 4, and the ecall's first cycle is counted. Waiting page events are delivered with it.
//! 2. Registers of the machine bank are read, each checked in turn. t0 must be 0 or 1. Then follow a0 (blob), t1
//!    (program), t2 (verify program) and t3 (constants). Each of these must be a multiple of 4 and may otherwise point
//!    anywhere, including below [`LOWEST_ADDRESS`].
//! 3. The words at a0, a0 + 4 and a0 + 8 are loaded (and page in): sizes in words of program, verify program,
//!    constants.
//! 4. A program of more than [`MAX_PROGRAM_BYTES`] is refused before any of it is loaded. Otherwise, it is loaded word
//!    by word, ascending. Here and in step 7, a region is refused if its end, address + bytes, is 2^32 or more.
//! 5. The program is decoded as a whole, so bad bytecode is refused before anything is evaluated ([`Programs::get`]).
//! 6. The program is evaluated ([`evaluate`]). Operations load words from arenas as they run, and the words page in in
//!    that order: [`evaluate::Evaluation::loads`]. Nothing is stored meanwhile, so peeking first and paging in
//!    afterwards is equivalent.
//! 7. The verify program is read, `size` words from t2 - 4 (t2 = 0 wraps: refused unless the size is 0), then the
//!    constants, `size` words from t3. Both are read only to page in. The byte counts are taken modulo 2^32, so 2^30
//!    words of constants count as zero bytes. The verify program's size must be compared with the segment in 64 bits,
//!    because it is charged in full.
//! 8. The witness is stored by ascending chunk address, four ascending words per chunk
//!    ([`evaluate::Evaluation::witness`]).
//!    Overlapping chunks overwrite each other. A store may page in and dirties its page, as any store does. A word of a
//!    register bank goes to the register. A trace has a memory event for each.
//! 9. The remaining cycles are counted: the verify program's size in words, plus 1. With step 1, the total is size + 2.
//!
//! Every refusal ends the run with an error. The guest gets no result.

mod evaluate;
mod number;
mod program;
mod programs;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub(crate) use evaluate::{Mode, Scratch, evaluate};
pub(crate) use programs::Programs;

/// Maximum size of a program, in bytes; the reference's limit.
pub(crate) const MAX_PROGRAM_BYTES: u32 = 10 << 20;
/// Lowest start address of an arena.
pub(crate) const LOWEST_ADDRESS: u32 = 0x0001_0000;
/// First address above the start of arenas in the user's calls.
pub(crate) const USER_END: u32 = 0xbfff_0000;
/// Size of a chunk: the circuit's unit of transfer, and the unit of offsets and lengths in arenas.
pub(crate) const CHUNK_BYTES: u32 = 16;

/// Why a call is refused. The reference fails or panics in each of these cases but the last two.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message says what is wrong and what its fields are")]
pub enum BigIntError {
    #[error("the bigint mode is {0}, expected 0 (user) or 1 (machine)")]
    Mode(u32),
    #[error("the bigint program has {bytes} bytes, its {part} needs {needed}")]
    Short { part: &'static str, needed: u64, bytes: u64 },
    #[error("the bigint program begins with {0:#010x}, expected \"bibc\"")]
    Magic(u32),
    #[error("the bigint program has version {0}, expected 1")]
    Version(u32),
    #[error("operation {operation} of the bigint program has the unknown code {code:#x}")]
    Code { operation: u32, code: u8 },
    #[error("operation {operation} of the bigint program names {what} {index}, of which there are {count}")]
    Index { operation: u32, what: &'static str, index: u64, count: u64 },
    #[error("operation {operation} of the bigint program divides by zero")]
    DivisionByZero { operation: u32 },
    #[error("operation {operation} of the bigint program inverts a number that has no inverse")]
    NoInverse { operation: u32 },
    #[error("operation {operation} of the bigint program has a length of {bytes} bytes, too long for any memory")]
    Length { operation: u32, bytes: u64 },
    #[error(
        "operation {operation} of the bigint program: register x{register} holds {address:#010x}, which is not a multiple of 4"
    )]
    Unaligned { operation: u32, register: u8, address: u32 },
    #[error("operation {operation} of the bigint program reaches {bytes} bytes from {address:#x}, outside its arena")]
    Address { operation: u32, address: u64, bytes: u32 },
    #[error("operation {operation} of the bigint program stores a number of {needed} bytes in {bytes}")]
    TooSmall { operation: u32, needed: u64, bytes: u32 },
    /// Tachy's own limit: the reference would continue until it runs out of memory.
    #[error(
        "operation {operation} of the bigint program needs more than the {limit_bytes} bytes that numbers may take"
    )]
    Memory { operation: u32, limit_bytes: u64 },
    /// Tachy's own limit: the reference would take minutes to years.
    #[error("operation {operation} of the bigint program exceeds the {limit} units of work that a call may take")]
    Work { operation: u32, limit: u64 },
}
