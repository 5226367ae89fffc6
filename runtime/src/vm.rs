//! One hart with its memory and its row buffer.
//!
//! A [`Vm`] reserves the guest's whole 4 GiB and puts the context and the page states below it, so that every u32 is
//! a valid place to read or write: what a guest computes cannot leave its own memory. Permissions are not the
//! mapping's business but the page states', which the engines ask.
//!
//! Steps are counted in *slices*: the engine opens one, an engine or native code uses it up, and the step number is
//! exact at every moment in between. *Progress* counts up to a limit: without rows it is the step number itself, with
//! rows the row cursor. What a machine charges beyond a step's own cycle moves the limit, never progress.

use std::ptr::NonNull;

use bytemuck::allocation::try_zeroed_slice_box;

use crate::context::{BELOW_BASE_BYTES, CONTEXT_ROOM_BYTES, DENIED_BYTES, Slot, VmContext};
use crate::map::{MapError, Mapping};
use crate::memory::{PAGES, PageState, page_of};
use crate::row::{ROW_BYTES, Row};

/// Inaccessible bytes on both ends of the reservation; at least a word, so that a word at the last address is inside.
const GUARD_BYTES: usize = 64 << 10;
const GUEST_BYTES: usize = 1 << 32;

/// A hart: registers, pc, 4 GiB of memory, page states, and the buffer its rows go to.
pub struct Vm {
    _mapping: Mapping,
    context: NonNull<VmContext>,
    base: NonNull<u8>,
    rows: Box<[Row]>,
    /// Address of the first byte behind `rows`.
    rows_end: u64,
    /// Whether steps write rows; decides what progress means.
    tracing: bool,
    /// With rows: number of the step whose row is first in the buffer.
    first_step: u64,
}

// SAFETY: the context's raw pointers are null or stale except during `enter`, which holds the Vm exclusively;
// everything else is owned.
unsafe impl Send for Vm {}

impl Vm {
    /// A hart with zeroed registers and memory and no page accessible, which writes no rows.
    ///
    /// # Errors
    /// When the system refuses the address space (a little over 4 GiB, reserved but not used).
    pub fn new() -> Result<Vm, MapError> {
        let below_bytes = GUARD_BYTES + BELOW_BASE_BYTES;
        let mapping = Mapping::reserve(below_bytes + GUEST_BYTES + GUARD_BYTES)?;
        mapping.allow_read_write(GUARD_BYTES, PAGES as usize)?;
        mapping.allow_read(GUARD_BYTES + PAGES as usize, DENIED_BYTES)?;
        mapping.allow_read_write(below_bytes - CONTEXT_ROOM_BYTES, CONTEXT_ROOM_BYTES + GUEST_BYTES)?;
        // SAFETY: below_bytes is inside the mapping.
        let base = unsafe { mapping.start().add(below_bytes) };
        let context = VmContext::below(base.as_ptr());
        // SAFETY: the context's room is mapped, writable, zeroed and aligned (the base is page-aligned and the
        // context's size a multiple of its alignment).
        let context = unsafe {
            context.write(VmContext::new());
            NonNull::new_unchecked(context)
        };
        Ok(Vm { _mapping: mapping, context, base, rows: Box::default(), rows_end: 0, tracing: false, first_step: 0 })
    }

    #[inline(always)]
    pub(crate) fn context(&self) -> &VmContext {
        // SAFETY: written in `new`, lives as long as the mapping; native code that writes it runs only under `&mut`.
        unsafe { self.context.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn context_mut(&mut self) -> &mut VmContext {
        // SAFETY: as above, and exclusive through `&mut self`.
        unsafe { self.context.as_mut() }
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    // Registers.

    /// Address of the next instruction.
    #[inline(always)]
    pub fn pc(&self) -> u32 {
        self.context().pc
    }

    /// Sets the address of the next instruction.
    #[inline(always)]
    pub fn set_pc(&mut self, pc: u32) {
        self.context_mut().pc = pc;
    }

    /// A register's value.
    #[expect(clippy::indexing_slicing, reason = "slots are numbered below their count")]
    #[inline(always)]
    pub fn register(&self, slot: Slot) -> u32 {
        self.context().registers[slot.index()]
    }

    /// Sets a register.
    #[expect(clippy::indexing_slicing, reason = "slots are numbered below their count")]
    #[inline(always)]
    pub fn set_register(&mut self, slot: Slot, value: u32) {
        self.context_mut().registers[slot.index()] = value;
    }

    /// x0 to x31.
    pub fn registers(&self) -> [u32; 32] {
        std::array::from_fn(|number| self.register(Slot::x(number as u8)))
    }

    // Memory. Any address is valid; whether the guest may is asked beforehand.

    /// The aligned word that holds `address`.
    #[inline(always)]
    pub fn word(&self, address: u32) -> u32 {
        // SAFETY: base + any u32, rounded down to a word, is a whole word of guest memory: mapped, aligned, initialised.
        unsafe { self.base.as_ptr().add((address & !3) as usize).cast::<u32>().read() }
    }

    /// Sets the aligned word that holds `address`.
    #[inline(always)]
    pub fn set_word(&mut self, address: u32, value: u32) {
        // SAFETY: as in `word`, and exclusive.
        unsafe { self.base.as_ptr().add((address & !3) as usize).cast::<u32>().write(value) }
    }

    /// `bytes` bytes from `address`, or `None` where they would run past the end of the address space.
    pub fn bytes(&self, address: u32, bytes: u32) -> Option<&[u8]> {
        (address as u64 + bytes as u64 <= GUEST_BYTES as u64).then(|| {
            // SAFETY: the range was just checked to lie inside guest memory, which is mapped and initialised.
            unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(address as usize), bytes as usize) }
        })
    }

    /// As [`Vm::bytes`], to write.
    pub fn bytes_mut(&mut self, address: u32, bytes: u32) -> Option<&mut [u8]> {
        (address as u64 + bytes as u64 <= GUEST_BYTES as u64).then(|| {
            // SAFETY: as in `bytes`, and exclusive.
            unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(address as usize), bytes as usize) }
        })
    }

    // Page states.

    /// State of the page that holds `address`.
    #[inline(always)]
    pub fn page_state(&self, address: u32) -> PageState {
        let below = BELOW_BASE_BYTES - page_of(address) as usize;
        // SAFETY: page_of is below PAGES, so this is one of the PAGES bytes that begin BELOW_BASE_BYTES under the base.
        PageState(unsafe { *self.base.as_ptr().sub(below) })
    }

    /// Sets the state of the page that holds `address`.
    #[expect(clippy::indexing_slicing, reason = "an address has 22 bits of page, and there is a state for each")]
    #[inline]
    pub fn set_page_state(&mut self, address: u32, state: PageState) {
        let page = page_of(address) as usize;
        self.page_states_mut()[page] = state.0;
    }

    /// The states of all [`PAGES`] pages, a byte each.
    pub fn page_states(&self) -> &[u8] {
        // SAFETY: the PAGES bytes that begin BELOW_BASE_BYTES under the base are mapped for exactly this.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().sub(BELOW_BASE_BYTES), PAGES as usize) }
    }

    /// As [`Vm::page_states`], to write.
    pub fn page_states_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().sub(BELOW_BASE_BYTES), PAGES as usize) }
    }

    // Steps and rows.

    /// From now on writes rows into a new buffer of `capacity` rows, or none if that is 0. Ends the slice; rows in the
    /// old buffer are lost.
    ///
    /// # Errors
    /// When the system refuses the buffer; all is as it was then.
    pub fn set_row_capacity(&mut self, capacity: usize) -> Result<(), MapError> {
        let bytes = capacity.saturating_mul(ROW_BYTES);
        let rows = try_zeroed_slice_box(capacity).map_err(|()| MapError::allocation(bytes))?;
        self.first_step = self.steps();
        self.tracing = capacity != 0;
        self.rows = rows;
        self.rows_end = if self.tracing { self.rows.as_ptr_range().end as u64 } else { 0 };
        self.set_progress(if self.tracing { self.rows.as_ptr() as u64 } else { self.first_step });
        Ok(())
    }

    /// Sets progress and ends the slice there.
    fn set_progress(&mut self, progress: u64) {
        let context = self.context_mut();
        context.progress = progress;
        context.progress_limit = progress;
    }

    /// Whether steps write rows.
    #[inline]
    pub fn tracing(&self) -> bool {
        self.tracing
    }

    /// What one step adds to progress.
    #[inline]
    fn step_unit(&self) -> u64 {
        if self.tracing { ROW_BYTES as u64 } else { 1 }
    }

    /// Steps done since the hart was made.
    #[inline]
    pub fn steps(&self) -> u64 {
        match self.tracing {
            true => self.first_step + self.row_count() as u64,
            false => self.context().progress,
        }
    }

    /// Steps left in the current slice.
    #[inline]
    pub fn slice_left(&self) -> u64 {
        let context = self.context();
        context.progress_limit.saturating_sub(context.progress) / self.step_unit()
    }

    /// Whether no step is left in the current slice.
    #[inline(always)]
    pub fn slice_over(&self) -> bool {
        let context = self.context();
        context.progress >= context.progress_limit
    }

    /// Ends the current slice where it stands and opens one of `steps` steps, or fewer if the row buffer has less room.
    pub fn open_slice(&mut self, steps: u64) {
        let progress = self.context().progress;
        let limit = match self.tracing {
            true => progress + steps.min((self.rows.len() - self.row_count()) as u64) * ROW_BYTES as u64,
            false => progress.saturating_add(steps),
        };
        self.context_mut().progress_limit = limit;
    }

    /// Ends the slice: whoever opened it looks up before the next step.
    pub fn end_slice(&mut self) {
        self.charge(u64::MAX);
    }

    /// Takes `steps` steps from what is left of the slice, all of it if there are not as many: they are paid for
    /// something that is no step.
    pub fn charge(&mut self, steps: u64) {
        let paid = steps.saturating_mul(self.step_unit());
        let context = self.context_mut();
        context.progress_limit = context.progress_limit.saturating_sub(paid);
    }

    /// Counts a step that an interpreter did without rows.
    #[inline(always)]
    pub fn count_step(&mut self) {
        debug_assert!(!self.tracing);
        self.context_mut().progress += 1;
    }

    /// Takes back `steps` steps that generated code has counted but not done.
    pub(crate) fn take_back(&mut self, steps: u32) {
        let undone = steps as u64 * self.step_unit();
        let context = self.context_mut();
        context.progress = context.progress.saturating_sub(undone);
    }

    /// Writes a row and counts its step. Only with rows on and room in the buffer; a slice that was not over has some.
    #[inline(always)]
    pub fn push_row(&mut self, row: Row) {
        let end = self.rows_end;
        let context = self.context_mut();
        let cursor = context.progress;
        assert!(cursor < end, "a row beyond the buffer");
        // SAFETY: with rows on, the cursor is a row-aligned address inside `rows`, below their end as just checked.
        // Without rows the end is 0.
        unsafe { (cursor as *mut Row).write(row) };
        context.progress = cursor + ROW_BYTES as u64;
    }

    /// Rows in the buffer.
    pub fn row_count(&self) -> usize {
        match self.tracing {
            true => (self.context().progress - self.rows.as_ptr() as u64) as usize / ROW_BYTES,
            false => 0,
        }
    }

    /// The rows in the buffer, oldest first.
    #[expect(clippy::indexing_slicing, reason = "the cursor stays in the buffer")]
    pub fn rows(&self) -> &[Row] {
        &self.rows[..self.row_count()]
    }

    /// Empties the row buffer, ending the slice.
    pub fn clear_rows(&mut self) {
        if self.tracing {
            self.first_step = self.steps();
            self.set_progress(self.rows.as_ptr() as u64);
        }
    }

    /// Transfers between regions since their number was last taken.
    pub fn transfers(&self) -> u64 {
        self.context().transfers
    }

    /// Where the last transfer between regions went, and the one before it.
    pub fn transfer_pcs(&self) -> [u32; 2] {
        self.context().transfer_pcs
    }

    /// Takes the address of the indirect jump with which native code left, if it left so since this was last taken.
    pub fn take_jump_pc(&mut self) -> Option<u32> {
        let pc = std::mem::take(&mut self.context_mut().jump_pc);
        (pc != 0).then_some(pc)
    }

    /// Takes the number of transfers between regions since it was last taken.
    pub fn take_transfers(&mut self) -> u64 {
        std::mem::take(&mut self.context_mut().transfers)
    }
}
