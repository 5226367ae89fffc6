//! What a machine acts on apart from the hart: the environment, effects, budgets and counters.
//!
//! It must not know any machine: the environment is the machine's own type.

use tachy_runtime::{HartState, PAGE_BYTES, PageState, Slot, page_of};

use super::{StepError, Surroundings};
use crate::error::Limit;
use crate::invariant::{BrokenInvariant, broken};
use crate::trace::{Effect, EffectKind, Space};

/// Number of effects after which they are handed over although the row buffer has room.
const EFFECTS_HELD: usize = 1 << 16;

/// Deterministic budgets other than steps: use and limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    /// Distinct guest pages mapped at load or touched.
    pub(crate) pages: u64,
    /// Maximum number of these pages.
    pub(crate) limit_pages: Option<u64>,
    /// The limit from which `limit_pages` is derived, as it was set.
    limit_memory_bytes: Option<u64>,
    /// Bytes written to stdout and stderr.
    pub(crate) output_bytes: u64,
    /// Maximum number of these bytes.
    pub(crate) limit_output_bytes: Option<u64>,
    /// Maximum number of user cycles, on a machine that counts them.
    pub(crate) limit_cycles: Option<u64>,
}

impl Budget {
    /// Counts `pages` more, if the limit allows.
    pub(crate) fn take_pages(&mut self, pages: u64) -> Result<(), StepError> {
        let total = self.pages.saturating_add(pages);
        match self.limit_pages {
            Some(limit) if total > limit => Err(StepError::MemoryLimit),
            _ => {
                self.pages = total;
                Ok(())
            }
        }
    }

    /// Sets the memory limit, rounded down to whole pages.
    pub(crate) fn set_limit_memory(&mut self, bytes: Option<u64>) {
        self.limit_memory_bytes = bytes;
        self.limit_pages = bytes.map(|bytes| bytes / PAGE_BYTES as u64);
    }

    /// Returns the memory limit as it was set, for errors.
    pub(crate) fn memory_limit(&self) -> Limit {
        Limit::Memory(self.limit_memory_bytes.unwrap_or(u64::MAX))
    }
}

/// Environment, effects and counters of one session.
pub(crate) struct ExecutionContext<S> {
    pub(crate) surroundings: S,
    pub(crate) budget: Budget,
    /// Effects not yet delivered; empty if nothing is recorded.
    pub(crate) effects: Vec<Effect>,
    /// Words in pages with code that the machine wrote since the engine last checked.
    pub(crate) code_written: Vec<u32>,
    /// System calls executed.
    pub(crate) ecalls: u64,
    /// System calls among them that the machine does not know.
    pub(crate) ecalls_unknown: u64,
    /// What the machine itself worked in system calls, in steps that would have taken as long. It may be too low, never
    /// too high.
    pub(crate) machine_work_steps: u64,
}

impl<S: Surroundings> ExecutionContext<S> {
    pub(crate) fn new(surroundings: S, budget: Budget) -> ExecutionContext<S> {
        ExecutionContext {
            surroundings,
            budget,
            effects: Vec::new(),
            code_written: Vec::new(),
            ecalls: 0,
            ecalls_unknown: 0,
            machine_work_steps: 0,
        }
    }

    /// Sets the limit on output both here and in the environment; one of them counts.
    pub(crate) fn set_limit_output(&mut self, bytes: Option<u64>) {
        self.budget.limit_output_bytes = bytes;
        self.surroundings.set_limit_output(bytes);
    }

    /// Reads a register for a system call, and records that.
    pub(crate) fn read_register(&mut self, vm: &HartState<'_>, number: u8) -> u32 {
        let value = vm.register(Slot::x(number));
        self.record(vm, EffectKind::Read, Space::Register, number as u32, value, value);
        value
    }

    /// Sets a register as the result of a system call, and records that.
    pub(crate) fn write_register(&mut self, vm: &mut HartState<'_>, number: u8, value: u32) {
        let before = vm.register(Slot::x(number));
        vm.set_register(Slot::x(number), value);
        self.record(vm, EffectKind::Write, Space::Register, number as u32, before, value);
    }

    /// Records which registers have changed since `before`.
    pub(crate) fn record_registers(&mut self, vm: &HartState<'_>, before: &[u32; 32]) {
        for (number, (before, after)) in before.iter().zip(vm.registers()).enumerate() {
            if *before != after {
                self.record(vm, EffectKind::Write, Space::Register, number as u32, *before, after);
            }
        }
    }

    /// Records that the words of `bytes` bytes from `address` were read.
    pub(crate) fn record_memory_read(&mut self, vm: &HartState<'_>, address: u32, bytes: u32) {
        for word in words(vm, address, bytes) {
            let value = vm.word(word);
            self.record(vm, EffectKind::Read, Space::Memory, word, value, value);
        }
    }

    /// Copies `data` to `address`, and records the words. The range must lie inside the address space.
    pub(crate) fn write_memory(&mut self, vm: &mut HartState<'_>, address: u32, data: &[u8]) -> Result<(), StepError> {
        let words = words(vm, address, data.len() as u32);
        let before: Vec<u32> = words.clone().map(|word| vm.word(word)).collect();
        store_bytes(vm, address, data)?;
        for (word, before) in words.zip(before) {
            self.record(vm, EffectKind::Write, Space::Memory, word, before, vm.word(word));
        }
        for page in page_of(address)..=page_of(address.wrapping_add((data.len() as u32).saturating_sub(1))) {
            if !data.is_empty() && vm.page_state(page * PAGE_BYTES).contains(PageState::CODE) {
                let start = (address & !3).max(page * PAGE_BYTES);
                let last = (address + (data.len() as u32 - 1)).min(page * PAGE_BYTES + (PAGE_BYTES - 1));
                self.code_written.extend((start..=last).step_by(4));
            }
        }
        Ok(())
    }

    /// Records the word of an instruction that was begun but not completed and so has no row. The effect is inserted
    /// before the one with this index.
    pub(crate) fn record_instruction(&mut self, vm: &HartState<'_>, index: usize) {
        if vm.tracing() {
            let (address, word) = (vm.pc() & !3, vm.word(vm.pc()));
            let effect = Effect::new(vm.steps(), EffectKind::Read, Space::Memory, address, word, word);
            self.effects.insert(index.min(self.effects.len()), effect);
        }
    }

    /// Forgets the effects from this index on, except those of pages.
    pub(crate) fn keep_page_effects(&mut self, first: usize) {
        let later = self.effects.split_off(first.min(self.effects.len()));
        let is_page = |effect: &Effect| matches!(effect.kind(), EffectKind::PageIn | EffectKind::PageOut);
        self.effects.extend(later.into_iter().filter(is_page));
    }

    /// Returns whether so many effects wait that they should be handed over before the next step.
    pub(crate) fn effects_full(&self) -> bool {
        self.effects.len() >= EFFECTS_HELD
    }

    /// Records one word of what happens in the next step, if anything is recorded.
    pub(crate) fn record(
        &mut self,
        vm: &HartState<'_>,
        kind: EffectKind,
        space: Space,
        addr: u32,
        before: u32,
        after: u32,
    ) {
        if vm.tracing() {
            self.effects.push(Effect::new(vm.steps(), kind, space, addr, before, after));
        }
    }

    /// Records that a page is brought in or out for `step`, and its price in cycles.
    pub(crate) fn record_paging(&mut self, vm: &HartState<'_>, step: u64, kind: EffectKind, page: u32, cycles: u32) {
        if vm.tracing() {
            self.effects.push(Effect::new(step, kind, Space::Memory, page * PAGE_BYTES, cycles, cycles));
        }
    }
}

/// Returns the addresses of the aligned words that `bytes` bytes from `address` touch; none without tracing.
fn words(vm: &HartState<'_>, address: u32, bytes: u32) -> impl Iterator<Item = u32> + Clone + use<> {
    let count = if vm.tracing() { (address as u64 % 4 + bytes as u64).div_ceil(4) } else { 0 };
    (0..count).map(move |word| (address & !3).wrapping_add(4 * word as u32))
}

/// Returns the bytes from `address` on. The machine has checked that they lie inside the address space.
pub(crate) fn load_bytes<'a>(vm: &'a HartState<'_>, address: u32, bytes: u32) -> Result<&'a [u8], BrokenInvariant> {
    vm.bytes(address, bytes).ok_or_else(|| outside(address, bytes.into()))
}

/// Copies `data` to `address`, and records nothing. The machine has checked that it lies inside the address space.
pub(crate) fn store_bytes(vm: &mut HartState<'_>, address: u32, data: &[u8]) -> Result<(), BrokenInvariant> {
    let target = u32::try_from(data.len()).ok().and_then(|bytes| vm.bytes_mut(address, bytes));
    target.ok_or_else(|| outside(address, data.len() as u64))?.copy_from_slice(data);
    Ok(())
}

fn outside(address: u32, bytes: u64) -> BrokenInvariant {
    broken(format!("{bytes} bytes from {address:#010x} lie outside the address space"))
}
