//! R0VM's memory map and cycle costs, as numbers. This file must not know who uses them.
//!
//! Source: the crate risc0-circuit-rv32im 4.0.5, whose executor and circuit agree on them.

use tachy_runtime::page_of;

/// Instructions may not fetch, load or store below this address.
pub(crate) const LOWEST: u32 = 0x0001_0000;
/// First address that user mode may not touch, and first address of the kernel.
pub(crate) const KERNEL_START: u32 = 0xc000_0000;
/// First address above the range of handlers.
pub(crate) const KERNEL_END: u32 = 0xff00_0000;

/// The machine's registers, x0 to x31.
pub(crate) const MACHINE_BANK: u32 = 0xffff_0000;
/// The user's registers.
pub(crate) const USER_BANK: u32 = 0xffff_0080;
/// Offset from a bank to its shunt, the word that takes writes to its x0.
pub(crate) const SHUNT_OFFSET: u32 = 0x100;
/// Where `read` stores the unused words of a group of four.
pub(crate) const UNUSED_WORDS: u32 = 0xffff_0100;
/// Where a trap or a user's ecall stores its pc.
pub(crate) const MEPC: u32 = 0xffff_0200;
/// Where a segment stores pc and mode for the next.
pub(crate) const SUSPEND_PC: u32 = 0xffff_0210;
pub(crate) const SUSPEND_MODE: u32 = 0xffff_0214;
/// Eight output words that a program gives when it terminates.
pub(crate) const GLOBAL_OUTPUT: u32 = 0xffff_0240;
/// Eight input words that each segment gets when it begins.
pub(crate) const GLOBAL_INPUT: u32 = 0xffff_0260;
/// Holds the address of the handler for ecalls from user mode.
pub(crate) const ECALL_DISPATCH: u32 = 0xffff_1000;
/// Holds the addresses of the trap handlers, by cause.
pub(crate) const TRAP_DISPATCH: u32 = 0xffff_2000;

/// The page that contains the banks and the words above.
pub(crate) const SYSTEM_PAGE: u32 = page_of(MACHINE_BANK);

/// Paging cycles at the start of each segment.
pub(crate) const PAGING_START_CYCLES: u32 = 10;
/// Cost of the first touch of a page in a segment, and of its first write.
pub(crate) const PAGE_CYCLES: u32 = 322;
/// Cost of each node of the page tree, for a first touch or a first write.
pub(crate) const NODE_CYCLES: u32 = 13;
/// Cycles reserved for the end of a segment.
pub(crate) const RESERVED_CYCLES: u64 = 4113;
/// Maximum cycles of one instruction: in segments of 2^15 cycles and more, and in smaller ones.
pub(crate) const MARGIN_CYCLES: u64 = 25_000;
pub(crate) const MARGIN_SMALL_CYCLES: u64 = 2_000;
