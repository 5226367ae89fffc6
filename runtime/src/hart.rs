//! A hart as its [`Vm`] lends it: registers, memory, page states, the current slice and its rows.
//!
//! A loan can neither free nor replace memory that native code relies on. Its extent depends on the moment:
//! [`HartState`] at any time, [`BetweenSlices`] where rows are handed over, [`Stepping`] while an interpreter does
//! steps. It must not know who runs the hart.
//!
//! Steps are counted in *slices*: the engine opens one, an engine or native code uses it up, and the step number is
//! exact at every moment in between. *Progress* counts up to a limit: without rows it is the step number itself, with
//! rows the row cursor. A machine's charge beyond a step's own cycle lowers the limit and never changes progress.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

use crate::context::{BELOW_BASE_BYTES, RowRecord, Slot, VmContext};
use crate::memory::{GUEST_BYTES, PAGES, PageState, page_of};
use crate::row::{ROW_BYTES, Row};
#[cfg(doc)]
use crate::vm::Vm;

/// The amount that one step adds to progress. Native code is made for one of the two units, and only a hart with that
/// unit may run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgressUnit {
    /// 1: progress is the number of the next step, and steps write no rows.
    Step,
    /// The bytes of a row: progress is the address of the next row.
    Row,
}

impl ProgressUnit {
    /// Returns the amount that one step adds.
    #[inline]
    const fn size(self) -> u64 {
        match self {
            ProgressUnit::Step => 1,
            ProgressUnit::Row => ROW_BYTES as u64,
        }
    }
}

/// A hart's state, lent by its [`Vm`]. The lifetime is that of the loan. In a helper, no other hart's state has that
/// lifetime, so that a loan of one hart cannot replace a loan of another.
///
/// It is a handle: all parts of the hart lie behind the base, in the mapping that the Vm owns.
pub struct HartState<'vm> {
    base: NonNull<u8>,
    /// Invariant, so that a lifetime can neither shrink nor grow into that of another loan.
    loan: PhantomData<fn(&'vm ()) -> &'vm ()>,
}

impl<'vm> HartState<'vm> {
    /// # Safety
    /// `base` must be the base of a Vm that outlives `'vm`, with context and row record written. While the result
    /// lives, nothing else may read or write the memory behind the base, except native code that waits for the holder
    /// of the result. If the result is only ever shared, others may read as well.
    #[inline(always)]
    pub(crate) unsafe fn new(base: NonNull<u8>) -> HartState<'vm> {
        HartState { base, loan: PhantomData }
    }

    /// Lends the same hart for a shorter time. A caller that passes this on instead of itself keeps its own base in a
    /// register.
    #[inline(always)]
    pub fn lend(&mut self) -> HartState<'_> {
        HartState { base: self.base, loan: PhantomData }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    // A reference from the next two methods never outlives the method that asks for it, so none exists while native
    // code runs.

    #[inline(always)]
    fn context(&self) -> &VmContext {
        // SAFETY: by the contract of `new`, the context lies there, and nothing writes it meanwhile.
        unsafe { &*VmContext::below(self.base.as_ptr()) }
    }

    #[inline(always)]
    fn context_mut(&mut self) -> &mut VmContext {
        // SAFETY: as above, and exclusive through `&mut self`.
        unsafe { &mut *VmContext::below(self.base.as_ptr()) }
    }

    #[inline(always)]
    fn row_record(&self) -> &RowRecord {
        // SAFETY: as in `context`.
        unsafe { &*RowRecord::below(self.base.as_ptr()) }
    }

    #[inline(always)]
    fn row_record_mut(&mut self) -> &mut RowRecord {
        // SAFETY: as in `context_mut`.
        unsafe { &mut *RowRecord::below(self.base.as_ptr()) }
    }

    // Registers.

    /// Returns the address of the next instruction.
    #[inline(always)]
    pub fn pc(&self) -> u32 {
        self.context().pc
    }

    /// Sets the address of the next instruction.
    #[inline(always)]
    pub fn set_pc(&mut self, pc: u32) {
        self.context_mut().pc = pc;
    }

    /// Returns a register's value.
    #[inline(always)]
    pub fn register(&self, slot: Slot) -> u32 {
        // SAFETY: every constructor of `Slot` keeps it below `Slot::COUNT`, the length of the array.
        unsafe { *self.context().registers.get_unchecked(slot.index()) }
    }

    /// Sets a register.
    #[inline(always)]
    pub fn set_register(&mut self, slot: Slot, value: u32) {
        // SAFETY: as in `register`.
        unsafe { *self.context_mut().registers.get_unchecked_mut(slot.index()) = value }
    }

    /// Returns x0 to x31.
    #[inline]
    pub fn registers(&self) -> [u32; 32] {
        std::array::from_fn(|number| self.register(Slot::x(number as u8)))
    }

    /// Copies x0 to x31 to the 32 words from `address` on. Returns whether these lie inside the address space.
    pub fn store_registers(&mut self, address: u32) -> bool {
        let registers = self.registers();
        let room = self.bytes_mut(address, size_of_val(&registers) as u32);
        room.map(|room| room.copy_from_slice(bytemuck::bytes_of(&registers))).is_some()
    }

    /// Copies the 32 words from `address` on to x0 to x31. Returns whether these lie inside the address space.
    #[expect(clippy::indexing_slicing, reason = "slots are numbered below their count")]
    pub fn load_registers(&mut self, address: u32) -> bool {
        let mut registers = [0; 32];
        let Some(words) = self.bytes(address, size_of_val(&registers) as u32) else { return false };
        bytemuck::bytes_of_mut(&mut registers).copy_from_slice(words);
        self.context_mut().registers[Slot::x(0).index()..Slot::SHUNT.index()].copy_from_slice(&registers);
        true
    }

    // Memory. Any address is valid; the guest's permissions are checked beforehand.

    /// Returns the aligned word that holds `address`.
    #[inline(always)]
    pub fn word(&self, address: u32) -> u32 {
        // SAFETY: base + any u32, rounded down to a word, is a whole word of guest memory: mapped, aligned and
        // initialised.
        unsafe { self.base.as_ptr().add((address & !3) as usize).cast::<u32>().read() }
    }

    /// Sets the aligned word that holds `address`.
    #[inline(always)]
    pub fn set_word(&mut self, address: u32, value: u32) {
        // SAFETY: as in `word`, and exclusive.
        unsafe { self.base.as_ptr().add((address & !3) as usize).cast::<u32>().write(value) }
    }

    /// Returns `bytes` bytes from `address`, or `None` if they would run past the end of the address space.
    pub fn bytes(&self, address: u32, bytes: u32) -> Option<&[u8]> {
        (address as u64 + bytes as u64 <= GUEST_BYTES as u64).then(|| {
            // SAFETY: the range was just checked to lie inside guest memory, which is mapped and initialised.
            unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(address as usize), bytes as usize) }
        })
    }

    /// Returns the same bytes as [`HartState::bytes`], to write.
    pub fn bytes_mut(&mut self, address: u32, bytes: u32) -> Option<&mut [u8]> {
        (address as u64 + bytes as u64 <= GUEST_BYTES as u64).then(|| {
            // SAFETY: as in `bytes`, and exclusive.
            unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(address as usize), bytes as usize) }
        })
    }

    // Page states.

    /// Returns the state of the page that holds `address`.
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

    /// Returns the states of all [`PAGES`] pages, one byte each.
    pub fn page_states(&self) -> &[u8] {
        // SAFETY: the PAGES bytes that begin BELOW_BASE_BYTES under the base are mapped for exactly this purpose.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().sub(BELOW_BASE_BYTES), PAGES as usize) }
    }

    /// Returns the same bytes as [`HartState::page_states`], to write.
    pub fn page_states_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().sub(BELOW_BASE_BYTES), PAGES as usize) }
    }

    // Steps.

    /// Returns whether steps write rows.
    #[inline]
    pub fn tracing(&self) -> bool {
        self.row_record().end != 0
    }

    /// Returns the amount that one step adds to progress.
    #[inline]
    pub fn progress_unit(&self) -> ProgressUnit {
        if self.tracing() { ProgressUnit::Row } else { ProgressUnit::Step }
    }

    /// Returns the steps done since the hart was created.
    #[inline]
    pub fn steps(&self) -> u64 {
        match self.tracing() {
            true => self.row_record().first_step + self.row_count() as u64,
            false => self.context().progress,
        }
    }

    /// Returns the number of rows in the buffer.
    pub fn row_count(&self) -> usize {
        match self.tracing() {
            true => (self.context().progress - self.row_record().start as u64) as usize / ROW_BYTES,
            false => 0,
        }
    }

    /// Returns the number of steps left in the current slice.
    #[inline]
    pub fn slice_left(&self) -> u64 {
        let context = self.context();
        context.progress_limit.saturating_sub(context.progress) / self.progress_unit().size()
    }

    /// Returns whether no step is left in the current slice.
    #[inline(always)]
    pub fn slice_over(&self) -> bool {
        let context = self.context();
        context.progress >= context.progress_limit
    }

    /// Ends the slice: control returns to the code that opened it before the next step.
    pub fn end_slice(&mut self) {
        self.charge(u64::MAX);
    }

    /// Charges `steps` steps of the slice for something that is no step. If fewer are left, takes them all.
    pub fn charge(&mut self, steps: u64) {
        let paid = steps.saturating_mul(self.progress_unit().size());
        let context = self.context_mut();
        context.progress_limit = context.progress_limit.saturating_sub(paid);
    }

    /// Returns the subject of generated code's request, and the request itself.
    pub(crate) fn assist_request(&self) -> (u32, u32) {
        (self.context().assist_subject, self.context().assist_request)
    }

    /// Takes back `steps` steps that generated code has counted but not done. Returns whether that many were counted.
    #[must_use]
    pub(crate) fn take_back(&mut self, steps: u32) -> bool {
        let unit = self.progress_unit();
        let counted = match unit {
            ProgressUnit::Step => self.context().progress,
            ProgressUnit::Row => self.row_count() as u64,
        };
        let is_counted = u64::from(steps) <= counted;
        if is_counted {
            self.context_mut().progress -= u64::from(steps) * unit.size();
        }
        is_counted
    }

    /// Writes rows from `start` to `end` from now on, or no rows if `end` is 0. Ends the slice.
    ///
    /// # Safety
    /// The rows must be allocated, initialised, exposed, and used by nothing else, as long as the Vm lives or until the
    /// next call.
    pub(crate) unsafe fn set_rows(&mut self, start: *mut Row, end: u64) {
        let first_step = self.steps();
        *self.row_record_mut() = RowRecord { start, end, first_step };
        self.set_progress(if end != 0 { start as u64 } else { first_step });
    }

    /// Sets progress and ends the slice there.
    fn set_progress(&mut self, progress: u64) {
        let context = self.context_mut();
        context.progress = progress;
        context.progress_limit = progress;
    }

    // What native code leaves behind.

    /// Returns the transfers between regions since their number was last taken.
    pub fn transfers(&self) -> u64 {
        self.context().transfers
    }

    /// Returns the targets of the last transfer between regions and of the one before it.
    pub fn transfer_pcs(&self) -> [u32; 2] {
        self.context().transfer_pcs
    }

    /// Takes the address of the indirect jump by which native code left, if it has left that way since the last call.
    pub fn take_jump_pc(&mut self) -> Option<u32> {
        let pc = std::mem::take(&mut self.context_mut().jump_pc);
        (pc != 0).then_some(pc)
    }

    /// Takes the number of transfers between regions since the last call.
    pub fn take_transfers(&mut self) -> u64 {
        std::mem::take(&mut self.context_mut().transfers)
    }
}

/// A hart between two slices: its rows can be handed over and the next slice opened.
pub struct BetweenSlices<'vm>(HartState<'vm>);

impl<'vm> BetweenSlices<'vm> {
    pub(crate) fn new(hart: HartState<'vm>) -> BetweenSlices<'vm> {
        BetweenSlices(hart)
    }

    /// Ends the current slice at once and opens one of `steps` steps, or fewer if the row buffer has less room.
    pub fn open_slice(&mut self, steps: u64) {
        let (end, progress) = (self.row_record().end, self.context().progress);
        let limit = match self.tracing() {
            true => progress + steps.min(end.saturating_sub(progress) / ROW_BYTES as u64) * ROW_BYTES as u64,
            false => progress.saturating_add(steps),
        };
        self.context_mut().progress_limit = limit;
    }

    /// Returns the rows in the buffer, oldest first.
    pub fn rows(&self) -> &[Row] {
        match self.row_count() {
            0 => &[],
            // SAFETY: with rows on, the record leads to the buffer that the Vm owns, and the cursor lies in it. Its
            // rows are initialised, and any writer of rows has to wait for the holder of `self`.
            count => unsafe { std::slice::from_raw_parts(self.row_record().start, count) },
        }
    }

    /// Empties the row buffer and ends the slice.
    pub fn clear_rows(&mut self) {
        if self.tracing() {
            self.row_record_mut().first_step = self.steps();
            let start = self.row_record().start as u64;
            self.set_progress(start);
        }
    }
}

impl BetweenSlices<'_> {
    /// Lets the interpreter do steps, with rows if the hart writes them.
    pub fn interpret<I: Interpret>(&mut self, interpreter: I) -> I::Output {
        // The loan has a lifetime of its own for any interpreter, so the interpreter has no other state of that
        // lifetime.
        match self.tracing() {
            true => interpreter.run(&mut Stepping::<true>::new(self.lend())),
            false => interpreter.run(&mut Stepping::<false>::new(self.lend())),
        }
    }
}

impl<'vm> Deref for BetweenSlices<'vm> {
    type Target = HartState<'vm>;

    fn deref(&self) -> &HartState<'vm> {
        &self.0
    }
}

impl<'vm> DerefMut for BetweenSlices<'vm> {
    fn deref_mut(&mut self) -> &mut HartState<'vm> {
        &mut self.0
    }
}

/// An interpreter that does a hart's steps, with rows or without.
pub trait Interpret {
    /// The result of a run.
    type Output;

    /// Does steps.
    fn run<const ROWS: bool>(self, hart: &mut Stepping<'_, ROWS>) -> Self::Output;
}

/// A hart whose steps an interpreter does. With `ROWS`, each step has a row.
///
/// [`BetweenSlices::interpret`] ensures that the hart counts in the matching unit. It gives the loan a lifetime of its own, so
/// that no other hart can replace it.
pub struct Stepping<'vm, const ROWS: bool>(HartState<'vm>);

impl<'vm, const ROWS: bool> Stepping<'vm, ROWS> {
    /// The hart's unit of progress must match `ROWS`, and stay so for `'vm`, which must not be another loan's lifetime.
    pub(crate) fn new(hart: HartState<'vm>) -> Stepping<'vm, ROWS> {
        debug_assert_eq!(hart.tracing(), ROWS);
        Stepping(hart)
    }

    /// Counts a step, and writes its row if rows are written. The slice must not be over.
    ///
    /// # Panics
    /// Panics with rows if the buffer is full; no slice extends beyond the buffer.
    #[inline(always)]
    pub fn count(&mut self, row: Row) {
        if !ROWS {
            self.context_mut().progress += 1;
            return;
        }
        let (end, cursor) = (self.row_record().end, self.context().progress);
        assert!(cursor < end, "a row beyond the buffer");
        // SAFETY: with rows on, the cursor is an address in the buffer that `RowBuffer` exposed. It is a whole number
        // of rows from the start, because everything that moves it moves it by rows. It is below the end, as just
        // checked.
        unsafe { ptr::with_exposed_provenance_mut::<Row>(cursor as usize).write(row) };
        self.context_mut().progress = cursor + ROW_BYTES as u64;
    }

    /// Returns the same hart if its steps write no rows. It keeps its lifetime, so that no other hart can replace it.
    #[inline(always)]
    pub fn without_rows(&mut self) -> Option<&mut Stepping<'vm, false>> {
        if ROWS {
            return None;
        }
        // SAFETY: `ROWS` is false, so this is the type that the reference has already.
        Some(unsafe { &mut *ptr::from_mut(self).cast::<Stepping<'vm, false>>() })
    }
}

impl Stepping<'_, false> {
    /// Returns the number of steps left in the slice.
    #[inline(always)]
    pub fn steps_left(&self) -> u64 {
        let context = self.context();
        context.progress_limit.saturating_sub(context.progress)
    }

    /// Counts steps. The slice must have room for them.
    #[inline(always)]
    pub fn count_steps(&mut self, steps: u64) {
        self.context_mut().progress += steps;
    }
}

impl<'vm, const ROWS: bool> Deref for Stepping<'vm, ROWS> {
    type Target = HartState<'vm>;

    #[inline(always)]
    fn deref(&self) -> &HartState<'vm> {
        &self.0
    }
}

impl<'vm, const ROWS: bool> DerefMut for Stepping<'vm, ROWS> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut HartState<'vm> {
        &mut self.0
    }
}

impl fmt::Debug for HartState<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HartState");
        shown.field("steps", &self.steps()).field("pc", &format_args!("{:#010x}", self.pc())).finish_non_exhaustive()
    }
}

impl fmt::Debug for BetweenSlices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BetweenSlices").field(&self.0).finish()
    }
}

impl<const ROWS: bool> fmt::Debug for Stepping<'_, ROWS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stepping").field(&self.0).finish()
    }
}
