//! The hart's context: the one state that the interpreter and generated code act on.
//!
//! Generated code holds a single pointer, the *base*: the first byte of guest memory. The context ends there and the
//! page states lie below it, so registers, memory and page states are all reached as base + constant or base +
//! bounded index ([`layout`]).

use std::mem::offset_of;
use std::ptr;

use crate::memory::PAGES;
use crate::row::Row;
use crate::trampoline;

/// A register as the engines name it: x0..x31, or one of three places for what is no register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Slot(u8);

impl Slot {
    /// Number of slots.
    pub const COUNT: usize = 35;
    /// Where an instruction without rd writes; never read.
    pub const NOWHERE: Slot = Slot(0);
    /// What an instruction reads for an operand that it does not have: always 0, never written. x0 may be another value
    /// on a machine that does not wire it to 0.
    pub const ZERO: Slot = Slot(1);
    /// Where what is computed for x0 goes. Machines that discard it never look there.
    pub const SHUNT: Slot = Slot(34);

    /// Register x`number`, the low five bits of it.
    #[inline]
    pub const fn x(number: u8) -> Slot {
        Slot((number & 31) + 2)
    }

    /// Index of the slot, below [`Slot::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What generated code finds at fixed places; `repr(C)`, and nothing in it moves while native code runs.
///
/// Pointers are null or stale outside of a call to `enter`, which sets them.
#[repr(C, align(64))]
pub(crate) struct VmContext {
    /// The host's side of the assists, for the time of one `enter`.
    pub(crate) host: *mut trampoline::Host<'static>,
    /// Entry points by pc; see `DispatchTable`.
    pub(crate) dispatch: *const u8,
    /// First byte of the code memory that the dispatch table's offsets count from.
    pub(crate) code_base: *const u8,
    /// Stubs that save every register, then call the two functions below.
    pub(crate) access_stub: *const u8,
    pub(crate) refill_stub: *const u8,
    /// Rust functions behind the stubs.
    pub(crate) access_helper: unsafe extern "C" fn(*mut u8),
    pub(crate) refill_helper: unsafe extern "C" fn(*mut u8),
    /// Level off: number of the next step. Level rows: address of the next row.
    pub(crate) progress: u64,
    /// Where the slice ends, in units of progress: no block may begin that would pass it.
    pub(crate) progress_limit: u64,
    /// What the last assist decided: 0 go on, 1 stop.
    pub(crate) verdict: u32,
    /// Address of the next instruction.
    pub(crate) pc: u32,
    /// The request of an assist: an address or the number of an access group, and a code or a number of steps.
    pub(crate) assist_subject: u32,
    pub(crate) assist_request: u32,
    /// Transfers from one region to another since the counter was last taken.
    pub(crate) transfers: u64,
    /// Addresses that the last of them went to, and the one before it.
    pub(crate) transfer_pcs: [u32; 2],
    /// Address of the indirect jump that left native code, for want of an entry where it goes.
    pub(crate) jump_pc: u32,
    /// Fills the context up, so that the registers end where it ends: within a signed byte of the base.
    _gap: [u32; 2],
    /// By slot: nowhere, zero, x0..x31, the shunt.
    pub(crate) registers: [u32; Slot::COUNT],
}

const CONTEXT_BYTES: usize = size_of::<VmContext>();

/// Where a hart's rows go: at the front of the context's room, for Rust alone.
pub(crate) struct RowRecord {
    /// First row of the buffer.
    pub(crate) start: *mut Row,
    /// Address of the first byte behind the buffer; 0 where no rows are written. Decides what progress means.
    pub(crate) end: u64,
    /// Number of the step whose row is first in the buffer.
    pub(crate) first_step: u64,
}

/// Where generated code finds things, in bytes relative to the base (the first byte of guest memory).
pub mod layout {
    use super::*;

    const fn field(offset: usize) -> i32 {
        offset as i32 - CONTEXT_BYTES as i32
    }

    /// Pointer to the dispatch table.
    pub const DISPATCH: i32 = field(offset_of!(VmContext, dispatch));
    /// Pointer to the first byte of code memory.
    pub const CODE_BASE: i32 = field(offset_of!(VmContext, code_base));
    /// Pointer to the stub that preserves all registers and calls the access helper.
    pub const ACCESS_STUB: i32 = field(offset_of!(VmContext, access_stub));
    /// Pointer to the stub that preserves all registers and calls the refill helper.
    pub const REFILL_STUB: i32 = field(offset_of!(VmContext, refill_stub));
    /// Pointer to the access helper: `extern "C" fn(base)`.
    pub const ACCESS_HELPER: i32 = field(offset_of!(VmContext, access_helper));
    /// Pointer to the refill helper: `extern "C" fn(base)`.
    pub const REFILL_HELPER: i32 = field(offset_of!(VmContext, refill_helper));
    /// u64: number of the next step (level off) or address of the next row (level rows).
    pub const PROGRESS: i32 = field(offset_of!(VmContext, progress));
    /// u64: what progress may not pass in this slice.
    pub const PROGRESS_LIMIT: i32 = field(offset_of!(VmContext, progress_limit));
    /// u32: what the last assist decided; 0 go on, anything else stop.
    pub const VERDICT: i32 = field(offset_of!(VmContext, verdict));
    /// u32: address of the next instruction.
    pub const PC: i32 = field(offset_of!(VmContext, pc));
    /// u32: the address that a request of the access helper is about, or the number of an access group.
    pub const ASSIST_SUBJECT: i32 = field(offset_of!(VmContext, assist_subject));
    /// u32: for the access helper, what [`AssistRequest::pack`](crate::AssistRequest::pack) makes; for the refill helper, steps.
    pub const ASSIST_REQUEST: i32 = field(offset_of!(VmContext, assist_request));
    /// u64: counter of transfers between regions.
    pub const TRANSFERS: i32 = field(offset_of!(VmContext, transfers));
    /// Two u32: addresses that the last transfer went to, and the one before it.
    pub const TRANSFER_PCS: [i32; 2] =
        [field(offset_of!(VmContext, transfer_pcs)), field(offset_of!(VmContext, transfer_pcs)) + 4];
    /// u32: address of the indirect jump that leaves native code.
    pub const JUMP_PC: i32 = field(offset_of!(VmContext, jump_pc));
    /// u8 per guest page, indexed by page number, and three times as many zeros behind them. So an index of two bits more,
    /// the address rotated by the alignment's bits, asks for page and alignment at once: what is misaligned is denied.
    pub const PAGE_STATES: i32 = -(super::BELOW_BASE_BYTES as i32);

    /// u32: a register.
    pub const fn register(slot: Slot) -> i32 {
        field(offset_of!(VmContext, registers)) + 4 * slot.index() as i32
    }
}

/// Bytes reserved for the context: one system page, so that the page states below it stay page-aligned.
pub(crate) const CONTEXT_ROOM_BYTES: usize = 4096;

/// Bytes behind the page states that are zero for ever: what is said there is no. Generated code looks a misaligned
/// address up there; see [`layout::PAGE_STATES`].
pub(crate) const DENIED_BYTES: usize = 3 * PAGES as usize;

/// What lies below the base: page states, the zeros behind them, then the context, which ends at the base.
pub(crate) const BELOW_BASE_BYTES: usize = PAGES as usize + DENIED_BYTES + CONTEXT_ROOM_BYTES;

const _: () = assert!(size_of::<RowRecord>() + CONTEXT_BYTES <= CONTEXT_ROOM_BYTES);
// x1..x31 and the shunt within reach of a signed byte.
const _: () = assert!(layout::register(Slot::x(1)) == -128 && layout::register(Slot::SHUNT) == -4);

impl RowRecord {
    /// No rows, from the first step on.
    pub(crate) const NONE: RowRecord = RowRecord { start: ptr::null_mut(), end: 0, first_step: 0 };

    /// The record in the room that ends at `base`.
    #[inline(always)]
    pub(crate) fn below(base: *mut u8) -> *mut RowRecord {
        base.wrapping_sub(CONTEXT_ROOM_BYTES).cast()
    }
}

impl VmContext {
    /// Everything zero.
    pub(crate) fn new() -> VmContext {
        VmContext {
            host: ptr::null_mut(),
            dispatch: ptr::null(),
            code_base: ptr::null(),
            access_stub: ptr::null(),
            refill_stub: ptr::null(),
            access_helper: trampoline::access_helper,
            refill_helper: trampoline::refill_helper,
            progress: 0,
            progress_limit: 0,
            verdict: 0,
            pc: 0,
            assist_subject: 0,
            assist_request: 0,
            transfers: 0,
            transfer_pcs: [0; 2],
            jump_pc: 0,
            _gap: [0; 2],
            registers: [0; Slot::COUNT],
        }
    }

    /// The context that ends at `base`.
    #[inline(always)]
    pub(crate) fn below(base: *mut u8) -> *mut VmContext {
        base.wrapping_sub(CONTEXT_BYTES).cast()
    }
}
