//! The owner of a hart: the mapping that holds its state and memory, and the buffer of its rows.
//!
//! A [`Vm`] reserves the guest's whole 4 GiB and puts the context and the page states below it. Every u32 is then a
//! valid place to read or write: no address that a guest computes leaves its own memory. Page states, which the engines
//! check, implement permissions; the mapping does not. Nothing here moves while native code runs: code that acts on the
//! hart then has the types that [`crate::hart`] lends, and not the owner. It must not know who runs the hart.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::buffer::RowBuffer;
use crate::context::{BELOW_BASE_BYTES, CONTEXT_ROOM_BYTES, DENIED_BYTES, RowRecord, VmContext};
use crate::hart::{BetweenSlices, HartState, Interpret};
use crate::map::{MapError, Mapping};
use crate::memory::{GUEST_BYTES, PAGES};

/// Inaccessible bytes on both ends of the reservation; at least a word, so that a word at the last address is inside.
const GUARD_BYTES: usize = 64 << 10;

/// A hart: registers, pc, 4 GiB of memory, page states, and the buffer of its rows.
///
/// A shared `Vm` dereferences to its [`HartState`]; to act on it, borrow one of its states.
pub struct Vm {
    /// Only ever shared: replacing it would leave its borrowers on another hart's memory.
    hart: HartState<'static>,
    /// Native code and borrowers write to it by address.
    rows: RowBuffer,
    /// Dropped last, after everything that leads to it.
    _mapping: Mapping,
}

// SAFETY: it owns the memory behind the base. The context's other pointers are null or stale except during `enter`,
// which holds the Vm exclusively.
unsafe impl Send for Vm {}

impl Vm {
    /// Creates a hart that has zeroed registers and memory and no accessible page, and that writes no rows.
    ///
    /// # Errors
    /// Fails if the system refuses the address space: a little over 4 GiB, reserved but not used.
    pub fn new() -> Result<Vm, MapError> {
        let below_bytes = GUARD_BYTES + BELOW_BASE_BYTES;
        let mapping = Mapping::reserve(below_bytes + GUEST_BYTES + GUARD_BYTES)?;
        mapping.allow_read_write(GUARD_BYTES, PAGES as usize)?;
        mapping.allow_read(GUARD_BYTES + PAGES as usize, DENIED_BYTES)?;
        mapping.allow_read_write(below_bytes - CONTEXT_ROOM_BYTES, CONTEXT_ROOM_BYTES + GUEST_BYTES)?;
        // SAFETY: below_bytes is inside the mapping.
        let base: NonNull<u8> = unsafe { mapping.start().add(below_bytes) };
        // SAFETY: the context's room is mapped, writable and zeroed. Both places in it are aligned: the base and the
        // room are aligned to a page, and the context's size is a multiple of its alignment.
        unsafe {
            VmContext::below(base.as_ptr()).write(VmContext::new());
            RowRecord::below(base.as_ptr()).write(RowRecord::NONE);
        }
        // SAFETY: the mapping is dropped after the state, which is only lent to borrowers of the Vm.
        let hart = unsafe { HartState::new(base) };
        Ok(Vm { hart, rows: RowBuffer::EMPTY, _mapping: mapping })
    }

    /// Lends the hart's state, to act on.
    pub fn state(&mut self) -> HartState<'_> {
        // SAFETY: the Vm is borrowed exclusively for as long as the state lives.
        unsafe { HartState::new(self.hart.base()) }
    }

    /// Lends the hart between two slices.
    pub fn between_slices(&mut self) -> BetweenSlices<'_> {
        BetweenSlices::new(self.state())
    }

    /// Lets the interpreter do steps, with rows if the hart writes them.
    pub fn interpret<I: Interpret>(&mut self, interpreter: I) -> I::Output {
        self.between_slices().interpret(interpreter)
    }

    /// Writes rows into a new buffer of `capacity` rows from now on, or no rows if it is 0. Ends the slice; rows in the
    /// old buffer are lost.
    ///
    /// # Errors
    /// Fails if the system refuses the buffer; nothing has changed then.
    pub fn set_row_capacity(&mut self, capacity: usize) -> Result<(), MapError> {
        let rows = RowBuffer::zeroed(capacity)?;
        let end = if capacity == 0 { 0 } else { rows.end() };
        // SAFETY: the buffer becomes this Vm's below. It replaces the old one, which the hart then no longer knows.
        unsafe { self.state().set_rows(rows.start(), end) };
        self.rows = rows;
        Ok(())
    }
}

impl Deref for Vm {
    type Target = HartState<'static>;

    #[inline(always)]
    fn deref(&self) -> &HartState<'static> {
        &self.hart
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").field("hart", &self.hart).finish_non_exhaustive()
    }
}
