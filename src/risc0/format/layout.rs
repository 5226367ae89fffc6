//! R0VM's memory map and its cycle costs, as numbers.
//!
//! Source: the crate risc0-circuit-rv32im 4.0.5, whose executor and circuit agree on them.

use tachy_runtime::page_of;

/// Nothing below this may be fetched, loaded or stored by instructions.
pub(crate) const LOWEST: u32 = 0x0001_0000;
/// What user mode may not touch begins here, and so does the kernel's place.
pub(crate) const KERNEL_START: u32 = 0xc000_0000;
/// First address above where handlers may lie.
pub(crate) const KERNEL_END: u32 = 0xff00_0000;

/// The machine's registers, x0 to x31.
pub(crate) const MACHINE_BANK: u32 = 0xffff_0000;
/// The user's registers.
pub(crate) const USER_BANK: u32 = 0xffff_0080;
/// From a bank to the word that takes what is computed for its x0.
pub(crate) const SHUNT_OFFSET: u32 = 0x100;
/// Where `read` stores the unused words of a group of four.
pub(crate) const UNUSED_WORDS: u32 = 0xffff_0100;
/// Where a trap or a user's ecall leaves its pc.
pub(crate) const MEPC: u32 = 0xffff_0200;
/// Where a segment leaves pc and mode for the next.
pub(crate) const SUSPEND_PC: u32 = 0xffff_0210;
pub(crate) const SUSPEND_MODE: u32 = 0xffff_0214;
/// Eight words that a program gives when it terminates.
pub(crate) const GLOBAL_OUTPUT: u32 = 0xffff_0240;
/// Eight words that each segment is given when it begins.
pub(crate) const GLOBAL_INPUT: u32 = 0xffff_0260;
/// Address of the handler of a user's ecall.
pub(crate) const ECALL_DISPATCH: u32 = 0xffff_1000;
/// Addresses of the handlers of traps, by cause.
pub(crate) const TRAP_DISPATCH: u32 = 0xffff_2000;

/// The page that holds the banks and the words above.
pub(crate) const SYSTEM_PAGE: u32 = page_of(MACHINE_BANK);

/// Paging cycles that each segment begins with.
pub(crate) const PAGING_START_CYCLES: u32 = 10;
/// The first touch of a page in a segment, and its first write.
pub(crate) const PAGE_CYCLES: u32 = 322;
/// A node of the page tree, for each of the two.
pub(crate) const NODE_CYCLES: u32 = 13;
/// What the end of a segment takes.
pub(crate) const RESERVED_CYCLES: u64 = 4113;
/// The most that one instruction may take, in segments of 2^15 cycles and more, and in smaller ones.
pub(crate) const MARGIN_CYCLES: u64 = 25_000;
pub(crate) const MARGIN_SMALL_CYCLES: u64 = 2_000;
