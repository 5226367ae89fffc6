//! Finds the user program's ecall that the kernel is serving. This file must not know what the kernel does about it.

use super::USER_END;
use super::format::layout::MEPC;

/// `ecall`.
const ECALL: u32 = 0x0000_0073;

/// Returns the address of the user program's ecall that the kernel at `pc` is serving. Returns `None` if `pc` is not
/// the kernel's, or no user program has made a call. `word` reads memory.
///
/// The machine stores the return address, and the word keeps it until the next call. Before the first call, the word
/// may hold something else.
pub(crate) fn served_ecall(pc: u32, word: impl Fn(u32) -> u32) -> Option<u32> {
    let ecall = word(MEPC);
    (pc >= USER_END && ecall < USER_END && ecall.is_multiple_of(4) && word(ecall) == ECALL).then_some(ecall)
}
