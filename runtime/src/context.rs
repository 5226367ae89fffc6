//! The hart's context: the one state on which the interpreter and generated code act.
//!
//! Generated code holds a single pointer, the *base*: the first byte of guest memory. The context ends there and the
//! page states lie below it. So registers, memory and page states are all at base + constant or base + bounded index
//! ([`layout`]).

use std::mem::offset_of;
use std::ptr;

use crate::memory::PAGES;
use crate::row::Row;
use crate::trampoline;

/// A register as the engines name it: x0..x31, or one of three places that are not registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Slot(u8);

impl Slot {
    /// Number of slots.
    pub const COUNT: usize = 35;
    /// The destination of an instruction without rd; never read.
    pub const NOWHERE: Slot = Slot(0);
    /// The value of an operand that an instruction does not have: always 0, never written. x0 may have another value on
    /// a machine that does not wire it to 0.
    pub const ZERO: Slot = Slot(1);
    /// The x0 sink: receives results for x0. Machines that discard these never read it.
    pub const SHUNT: Slot = Slot(34);

    /// Returns the slot of register x`number`; only the low five bits count.
    #[inline]
    pub const fn x(number: u8) -> Slot {
        Slot((number & 31) + 2)
    }

    /// Returns the index of the slot, below [`Slot::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The data that generated code finds at fixed places. It is `repr(C)`, and nothing in it moves while native code runs.
///
/// Pointers are null or stale outside a call to `enter`, which sets them.
#[repr(C, align(64))]
pub(crate) struct VmContext {
    /// The host's side of the assists, during one `enter`.
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
    /// The Rust function that generated code calls for a system instruction, at the end of a block.
    pub(crate) system_helper: unsafe extern "C" fn(*mut u8),
    /// Level off: number of the next step. Level rows: address of the next row.
    pub(crate) progress: u64,
    /// The end of the slice, in units of progress: no block may begin that would pass it.
    pub(crate) progress_limit: u64,
    /// The decision of the last assist: 0 to continue, 1 to stop.
    pub(crate) verdict: u32,
    /// Address of the next instruction.
    pub(crate) pc: u32,
    /// The request of an assist: an address or the number of an access group, and a code or a number of steps.
    pub(crate) assist_subject: u32,
    pub(crate) assist_request: u32,
    /// Transfers between regions since the counter was last taken.
    pub(crate) transfers: u64,
    /// Targets of the last transfer and of the one before it.
    pub(crate) transfer_pcs: [u32; 2],
    /// Address of the indirect jump that left native code because its target has no entry.
    pub(crate) jump_pc: u32,
    /// By slot: nowhere, zero, x0..x31, the shunt. They end where the context ends, within a signed byte of the base.
    pub(crate) registers: [u32; Slot::COUNT],
}

const CONTEXT_BYTES: usize = size_of::<VmContext>();

/// The location of a hart's rows, at the front of the context's room. Only Rust reads it.
pub(crate) struct RowRecord {
    /// First row of the buffer.
    pub(crate) start: *mut Row,
    /// Address of the first byte behind the buffer; 0 if no rows are written. It decides what progress means.
    pub(crate) end: u64,
    /// Number of the step whose row is first in the buffer.
    pub(crate) first_step: u64,
}

/// Offsets for generated code, in bytes relative to the base (the first byte of guest memory).
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
    /// Pointer to the system helper: `extern "C" fn(base)`.
    pub const SYSTEM_HELPER: i32 = field(offset_of!(VmContext, system_helper));
    /// u64: number of the next step (level off) or address of the next row (level rows).
    pub const PROGRESS: i32 = field(offset_of!(VmContext, progress));
    /// u64: the maximum of progress in this slice.
    pub const PROGRESS_LIMIT: i32 = field(offset_of!(VmContext, progress_limit));
    /// u32: the decision of the last assist; 0 to continue, anything else to stop.
    pub const VERDICT: i32 = field(offset_of!(VmContext, verdict));
    /// u32: address of the next instruction.
    pub const PC: i32 = field(offset_of!(VmContext, pc));
    /// u32: the address in a request to the access helper, or the number of an access group.
    pub const ASSIST_SUBJECT: i32 = field(offset_of!(VmContext, assist_subject));
    /// u32: for the access helper, the result of [`AssistRequest::pack`](crate::AssistRequest::pack); for the refill
    /// helper, steps.
    pub const ASSIST_REQUEST: i32 = field(offset_of!(VmContext, assist_request));
    /// u64: counter of transfers between regions.
    pub const TRANSFERS: i32 = field(offset_of!(VmContext, transfers));
    /// Two u32: targets of the last transfer and of the one before it.
    pub const TRANSFER_PCS: [i32; 2] =
        [field(offset_of!(VmContext, transfer_pcs)), field(offset_of!(VmContext, transfer_pcs)) + 4];
    /// u32: address of the indirect jump that leaves native code.
    pub const JUMP_PC: i32 = field(offset_of!(VmContext, jump_pc));
    /// u8 per guest page, indexed by page number, followed by three times as many zeros. An index with two more bits,
    /// which is the address rotated by the alignment's bits, therefore checks page and alignment at once: a misaligned
    /// address is denied.
    pub const PAGE_STATES: i32 = -(super::BELOW_BASE_BYTES as i32);

    /// u32: a register.
    pub const fn register(slot: Slot) -> i32 {
        field(offset_of!(VmContext, registers)) + 4 * slot.index() as i32
    }
}

/// Bytes reserved for the context: one system page, so that the page states below it stay page-aligned.
pub(crate) const CONTEXT_ROOM_BYTES: usize = 4096;

/// Bytes behind the page states that stay zero forever, so every access there is denied. Generated code looks up
/// misaligned addresses there; see [`layout::PAGE_STATES`].
pub(crate) const DENIED_BYTES: usize = 3 * PAGES as usize;

/// Bytes below the base: page states, the zeros behind them, then the context, which ends at the base.
pub(crate) const BELOW_BASE_BYTES: usize = PAGES as usize + DENIED_BYTES + CONTEXT_ROOM_BYTES;

const _: () = assert!(size_of::<RowRecord>() + CONTEXT_BYTES <= CONTEXT_ROOM_BYTES);
// x1..x31 and the shunt are within reach of a signed byte.
const _: () = assert!(layout::register(Slot::x(1)) == -128 && layout::register(Slot::SHUNT) == -4);

impl RowRecord {
    /// No rows, from the first step on.
    pub(crate) const NONE: RowRecord = RowRecord { start: ptr::null_mut(), end: 0, first_step: 0 };

    /// Returns the record in the room that ends at `base`.
    #[inline(always)]
    pub(crate) fn below(base: *mut u8) -> *mut RowRecord {
        base.wrapping_sub(CONTEXT_ROOM_BYTES).cast()
    }
}

impl VmContext {
    /// Creates a zeroed context.
    pub(crate) fn new() -> VmContext {
        VmContext {
            host: ptr::null_mut(),
            dispatch: ptr::null(),
            code_base: ptr::null(),
            access_stub: ptr::null(),
            refill_stub: ptr::null(),
            access_helper: trampoline::access_helper,
            refill_helper: trampoline::refill_helper,
            system_helper: trampoline::system_helper,
            progress: 0,
            progress_limit: 0,
            verdict: 0,
            pc: 0,
            assist_subject: 0,
            assist_request: 0,
            transfers: 0,
            transfer_pcs: [0; 2],
            jump_pc: 0,
            registers: [0; Slot::COUNT],
        }
    }

    /// Returns the context that ends at `base`.
    #[inline(always)]
    pub(crate) fn below(base: *mut u8) -> *mut VmContext {
        base.wrapping_sub(CONTEXT_BYTES).cast()
    }
}
