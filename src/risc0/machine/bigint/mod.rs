//! Big integers of R0VM: what machine ecall 5 computes outside the circuit, before the circuit checks it.
//!
//! A call names a *blob* with two programs. The first, in a bytecode whose files begin with `bibc`, is evaluated by the
//! executor: it loads numbers from the guest's arenas, calculates, and stores results, which together are the call's
//! *witness*. The second program is the circuit's, which verifies the witness; the executor pays a cycle for each of its
//! words and never looks inside.
//!
//! This module parses and evaluates the first program. It is pure: it peeks memory through a function it is given and
//! returns what was loaded and what is to be stored. It must not know paging, cycles, traces or registers other than by
//! value; that is the machine's side.
//!
//! # The machine's side, in the reference's order
//! 1. `pc` moves on by 4, and the ecall's first cycle is counted (page events that wait are delivered with it).
//! 2. Registers of the machine bank, each check in its place: t0, which must be 0 or 1; then a0 (blob), t1 (program), t2
//!    (verify program) and t3 (constants), each of which must be a multiple of 4 and may otherwise point anywhere, also
//!    below [`LOWEST_ADDRESS`].
//! 3. The words at a0, a0 + 4 and a0 + 8 are loaded (and page in): sizes in words of program, verify program, constants.
//! 4. A program of more than [`MAX_PROGRAM_BYTES`] is refused, before any of it is loaded. Then it is loaded word by
//!    word, ascending. A region whose end, address + bytes, is 2^32 or more is refused: here and in step 7.
//! 5. It is decoded as a whole, so that bad bytecode is refused before anything is evaluated ([`Program::parse`]).
//! 6. It is evaluated ([`evaluate`]). Words are loaded from arenas as operations come to them, and page in in that
//!    order: [`Evaluation::loads`]. Nothing is stored meanwhile, so peeking first and paging in afterwards is the same.
//! 7. The verify program is read, `size` words from t2 - 4 (t2 = 0 wraps: refused unless the size is 0), then the
//!    constants, `size` words from t3. Both only to page in. The byte counts are taken modulo 2^32, so 2^30 words of
//!    constants are none. The verify program's size must be held against the segment in 64 bits: it is charged in full.
//! 8. The witness is stored in ascending order of its chunks' addresses, each four words ascending
//!    ([`Evaluation::witness`]); chunks that overlap are stored one over the other. A store may page in and makes dirty
//!    as any store; a word of a register bank goes to the register. A trace has a memory event for each.
//! 9. The remaining cycles are counted: the verify program's size in words, plus 1. With step 1 that is size + 2.
//!
//! Whatever is refused ends the run with an error; there is no result that tells the guest.

mod evaluate;
mod program;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub(crate) use evaluate::{Mode, evaluate};
pub(crate) use program::Program;

/// The longest program, in bytes; the reference's limit.
pub(crate) const MAX_PROGRAM_BYTES: u32 = 10 << 20;
/// No arena begins below this address.
pub(crate) const LOWEST_ADDRESS: u32 = 0x0001_0000;
/// For the user's calls, arenas begin below this address.
pub(crate) const USER_END: u32 = 0xbfff_0000;
/// Bytes of one chunk: what the circuit moves at once, the unit of offsets and lengths in arenas.
pub(crate) const CHUNK_BYTES: u32 = 16;

/// Why a call is refused. The reference ends with an error or a panic in each of these cases but the last two.
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
        "operation {operation} of the bigint program: register x{register} holds {address:#010x}, no multiple of 4"
    )]
    Unaligned { operation: u32, register: u8, address: u32 },
    #[error("operation {operation} of the bigint program reaches {bytes} bytes from {address:#x}, outside its arena")]
    Address { operation: u32, address: u64, bytes: u32 },
    #[error("operation {operation} of the bigint program stores a number of {needed} bytes in {bytes}")]
    TooSmall { operation: u32, needed: u64, bytes: u32 },
    /// Ours: the reference would go on until it is out of memory.
    #[error(
        "operation {operation} of the bigint program needs more than the {limit_bytes} bytes that numbers may take"
    )]
    Memory { operation: u32, limit_bytes: u64 },
    /// Ours: the reference would take minutes to years.
    #[error("operation {operation} of the bigint program exceeds the {limit} units of work that a call may take")]
    Work { operation: u32, limit: u64 },
}
