//! The machine's own accesses to memory, and the cost of each first touch. This file must not know when segments end.
//!
//! Each segment begins with stores into the page of the registers, so accesses to registers never pay.

use std::collections::BTreeMap;

use tachy_runtime::{HartState, PAGE_BYTES, PAGES, PageContent, PageState, page_of};

use super::{COUNTED, R0vm, USER_FETCH, USER_READ, USER_WRITE};
use crate::error::{Error, LimitError, Location};
use crate::machine::{Budget, Context, StepError, store_bytes};
use crate::program::Program;
use crate::risc0::layout::*;
use crate::trace::{EffectKind, Space};

/// Fills memory with the program's image. Every page of the image counts.
pub(super) fn fill(program: &Program, vm: &mut HartState<'_>, budget: &mut Budget) -> Result<(), Error> {
    for segment in program.segments() {
        let end = segment.address as u64 + segment.memory_bytes as u64;
        for page in page_of(segment.address)..end.div_ceil(PAGE_BYTES as u64).min(PAGES as u64) as u32 {
            let state = vm.page_state(page * PAGE_BYTES);
            if !state.contains(COUNTED) {
                let location = Location { pc: program.entry(), step: 0 };
                let limit = budget.memory_limit();
                budget.take_pages(1).map_err(|_| LimitError { limit, location })?;
                vm.set_page_state(page * PAGE_BYTES, state.with(COUNTED));
            }
        }
        let location = Location { pc: program.entry(), step: 0 };
        store_bytes(vm, segment.address, &segment.data).map_err(|broken| broken.at(location))?;
    }
    // A kernel without a user program starts in machine mode at its entry.
    if program.user_entry().is_none() {
        vm.set_word(SUSPEND_PC, program.entry());
        vm.set_word(SUSPEND_MODE, 1);
    }
    Ok(())
}

impl R0vm {
    /// Pages in a page for `step`, unless this segment already has it.
    pub(super) fn page_in(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        step: u64,
        page: u32,
    ) -> Result<(), StepError> {
        if !self.paging.is_loaded(page) {
            let address = page * PAGE_BYTES;
            let state = vm.page_state(address);
            if !state.contains(COUNTED) {
                context.budget.take_pages(1)?;
                vm.set_page_state(address, state.with(COUNTED));
            }
            let cycles = self.paging.load(page);
            self.charge_paging(vm, context, step, EffectKind::PageIn, page, cycles);
            self.open(vm, page);
        }
        Ok(())
    }

    /// Marks a page for `step` to be written out at the end of the segment, unless it is marked.
    pub(super) fn page_out(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        step: u64,
        page: u32,
    ) -> Result<(), StepError> {
        self.page_in(vm, context, step, page)?;
        if !self.paging.is_dirty(page) {
            self.segment.keep(page, || copy_page(vm, page));
            let cycles = self.paging.make_dirty(page);
            self.charge_paging(vm, context, step, EffectKind::PageOut, page, cycles);
            self.open(vm, page);
        }
        Ok(())
    }

    fn charge_paging(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        step: u64,
        kind: EffectKind,
        page: u32,
        cycles: u32,
    ) {
        self.segment.paging_cycles += cycles as u64;
        vm.charge(cycles as u64);
        context.record_paging(vm, step, kind, page, cycles);
    }

    /// Opens a page to the engines for everything that is already paid for.
    fn open(&self, vm: &mut HartState<'_>, page: u32) {
        let address = page * PAGE_BYTES;
        // Instructions may not access anything below the lowest address. The machine handles every access to the system
        // page.
        if address < LOWEST || page == SYSTEM_PAGE {
            return;
        }
        let user = address < KERNEL_START;
        let mut state = vm.page_state(address).with(PageState::READ).with(PageState::FETCH);
        if user {
            state = state.with(USER_READ).with(USER_FETCH);
        }
        if self.paging.is_dirty(page) && !state.contains(PageState::CODE) {
            state = state.with(PageState::WRITE);
            if user {
                state = state.with(USER_WRITE);
            }
        }
        vm.set_page_state(address, state);
    }

    /// Closes every page of the segment, so that the next one pays again.
    pub(super) fn close_pages(&mut self, vm: &mut HartState<'_>) {
        for &page in self.paging.touched() {
            let state = vm.page_state(page * PAGE_BYTES);
            let kept = state.0 & (PageState::CODE.0 | COUNTED.0);
            vm.set_page_state(page * PAGE_BYTES, PageState(kept));
        }
        self.paging.clear();
    }

    /// Returns the word at `address & !3` for the host, at no cost.
    pub(super) fn peek(&self, vm: &mut HartState<'_>, address: u32) -> u32 {
        if self.banks.is_active(address) {
            self.banks.write_out(vm);
        }
        vm.word(address)
    }

    /// Loads the word at `address & !3` for a system instruction.
    pub(super) fn load_word(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        address: u32,
    ) -> Result<u32, StepError> {
        self.page_in(vm, context, vm.steps(), page_of(address))?;
        let word = self.peek(vm, address);
        context.record(vm, EffectKind::Read, Space::Memory, address & !3, word, word);
        Ok(word)
    }

    /// Stores a word at `address & !3` for a system instruction.
    pub(super) fn store_word(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        address: u32,
        word: u32,
    ) -> Result<(), StepError> {
        self.page_out(vm, context, vm.steps(), page_of(address))?;
        let before = self.peek(vm, address);
        self.undo.push(address & !3, before);
        vm.set_word(address, word);
        context.record(vm, EffectKind::Write, Space::Memory, address & !3, before, word);
        if self.banks.is_active(address) {
            let before = vm.registers();
            self.banks.read_back(vm);
            context.record_registers(vm, &before);
        }
        if vm.page_state(address).contains(PageState::CODE) {
            context.code_written.push(address & !3);
        }
        Ok(())
    }

    /// Stores four words from `address` for a system instruction, as [`R0vm::store_word`] stores each of them. Where nobody
    /// wants to see each word, they pay together.
    pub(super) fn store_words(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        address: u32,
        words: [u32; 4],
    ) -> Result<(), StepError> {
        let places = [0, 4, 8, 12].map(|offset| (address & !3).wrapping_add(offset));
        let page = page_of(address);
        let together = !vm.tracing() && page != SYSTEM_PAGE && places.iter().all(|&place| page_of(place) == page);
        if !together {
            for (place, word) in places.into_iter().zip(words) {
                self.store_word(vm, context, place, word)?;
            }
            return Ok(());
        }
        self.page_out(vm, context, vm.steps(), page)?;
        for (place, word) in places.into_iter().zip(words) {
            self.undo.push(place, vm.word(place));
            vm.set_word(place, word);
        }
        if vm.page_state(address).contains(PageState::CODE) {
            context.code_written.extend(places);
        }
        Ok(())
    }

    /// Undoes the stores of the current machine ecall.
    pub(super) fn take_back(&mut self, vm: &mut HartState<'_>) {
        for &(address, before) in self.undo.words.iter().rev() {
            vm.set_word(address, before);
            if self.banks.is_active(address) {
                self.banks.read_back(vm);
            }
        }
    }
}

/// Room that an undo log keeps between ecalls. A guest that once stored much does not keep it.
const MAX_KEPT_WORDS: usize = 1 << 12;

/// Stores of a machine ecall, each with its address and the word before. It is empty and takes none between ecalls.
#[derive(Default)]
pub(super) struct UndoLog {
    is_open: bool,
    words: Vec<(u32, u32)>,
}

impl UndoLog {
    pub(super) fn begin(&mut self) {
        self.is_open = true;
    }

    /// Forgets the stores, and keeps their room for the next ecall.
    pub(super) fn end(&mut self) {
        self.is_open = false;
        self.words.clear();
        self.words.shrink_to(MAX_KEPT_WORDS);
    }

    fn push(&mut self, address: u32, before: u32) {
        if self.is_open {
            self.words.push((address, before));
        }
    }
}

/// Copies a page in its current state.
pub(super) fn copy_page(vm: &HartState<'_>, page: u32) -> Box<PageContent> {
    let mut copy: Box<PageContent> = bytemuck::zeroed_box();
    if let Some(bytes) = vm.bytes(page * PAGE_BYTES, PAGE_BYTES) {
        copy.copy_from_slice(bytes);
    }
    copy
}

/// Contents of pages before their first write in a segment, by page number.
pub(super) type KeptPages = BTreeMap<u32, Box<PageContent>>;
