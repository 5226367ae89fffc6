//! Which ecall of a user program the kernel is serving. It must not know what the kernel does about it.

use super::USER_END;
use super::format::layout::MEPC;

/// `ecall`.
const ECALL: u32 = 0x0000_0073;

/// The address of the user program's ecall that the kernel at `pc` is serving; `None` where `pc` is not the kernel's, or
/// no user program has called. `word` reads memory.
///
/// The machine leaves the address where it returns to after the call, and it stays there until the next one. Before the
/// first call something else may be there.
pub(crate) fn served_ecall(pc: u32, word: impl Fn(u32) -> u32) -> Option<u32> {
    let ecall = word(MEPC);
    (pc >= USER_END && ecall < USER_END && ecall.is_multiple_of(4) && word(ecall) == ECALL).then_some(ecall)
}
