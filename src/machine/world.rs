//! What a machine reaches of the world while it carries out a system instruction: streams, effects, budgets, counters.

use std::io::{Read, Write};

use tachy_runtime::{HartState, PAGE_BYTES, PageState, Slot, page_of};

use super::Refusal;
use crate::callers;
use crate::error::Limit;
use crate::risc0::{Records, SegmentRecord};
use crate::surroundings::{HostSide, Surroundings};
use crate::trace::{Effect, EffectKind, Space};

/// Effects kept before they are handed over although the row buffer has room.
const EFFECTS_HELD: usize = 1 << 16;

/// Deterministic budgets other than steps: what was used and what may be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    /// Distinct guest pages mapped at load or touched.
    pub(crate) pages: u64,
    /// The most there may be.
    pub(crate) limit_pages: Option<u64>,
    /// The limit that this comes from, as it was set.
    limit_memory_bytes: Option<u64>,
    /// Bytes written to stdout and stderr.
    pub(crate) output_bytes: u64,
    /// The most there may be.
    pub(crate) limit_output_bytes: Option<u64>,
    /// The most user cycles that there may be, on a machine that counts them.
    pub(crate) limit_cycles: Option<u64>,
}

impl Budget {
    /// Counts `pages` more, if the limit allows.
    pub(crate) fn take_pages(&mut self, pages: u64) -> Result<(), Refusal> {
        let total = self.pages.saturating_add(pages);
        match self.limit_pages {
            Some(limit) if total > limit => Err(Refusal::MemoryLimit),
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

    /// The memory limit as it was set, for errors.
    pub(crate) fn memory_limit(&self) -> Limit {
        Limit::Memory(self.limit_memory_bytes.unwrap_or(u64::MAX))
    }
}

/// Streams, effects and counters of one session.
pub(crate) struct World<'env> {
    pub(crate) env: Surroundings<'env>,
    /// Who takes segments in this run, if anyone does.
    pub(crate) records: Option<Records>,
    pub(crate) budget: Budget,
    /// Effects not yet delivered; stays empty when nothing is written down.
    pub(crate) effects: Vec<Effect>,
    /// Words in pages with code that the machine wrote since the engine last looked.
    pub(crate) code_written: Vec<u32>,
    /// System calls carried out.
    pub(crate) ecalls: u64,
    /// Those among them that the machine does not know.
    pub(crate) ecalls_unknown: u64,
}

impl<'env> World<'env> {
    pub(crate) fn new(env: Surroundings<'env>, budget: Budget) -> World<'env> {
        World {
            env,
            records: None,
            budget,
            effects: Vec::new(),
            code_written: Vec::new(),
            ecalls: 0,
            ecalls_unknown: 0,
        }
    }

    /// Sets the limit on output, which machine `r0vm` leaves to its host.
    pub(crate) fn set_limit_output(&mut self, bytes: Option<u64>) {
        self.budget.limit_output_bytes = bytes;
        if let Some(host) = self.env.host.as_mut().and_then(HostSide::own_mut) {
            host.set_run_limit_output(bytes);
        }
    }

    /// Reads a register for a system call, and writes that down.
    pub(crate) fn read_register(&mut self, vm: &HartState<'_>, number: u8) -> u32 {
        let value = vm.register(Slot::x(number));
        self.record(vm, EffectKind::Read, Space::Register, number as u32, value, value);
        value
    }

    /// Sets a register as the result of a system call, and writes that down.
    pub(crate) fn write_register(&mut self, vm: &mut HartState<'_>, number: u8, value: u32) {
        let before = vm.register(Slot::x(number));
        vm.set_register(Slot::x(number), value);
        self.record(vm, EffectKind::Write, Space::Register, number as u32, before, value);
    }

    /// Writes down which registers are no longer what they were before.
    pub(crate) fn record_registers(&mut self, vm: &HartState<'_>, before: &[u32; 32]) {
        for (number, (before, after)) in before.iter().zip(vm.registers()).enumerate() {
            if *before != after {
                self.record(vm, EffectKind::Write, Space::Register, number as u32, *before, after);
            }
        }
    }

    /// Hands a segment over that has ended, if anyone wants it.
    pub(crate) fn segment(&mut self, record: SegmentRecord) -> Result<(), Refusal> {
        match self.records.as_ref().is_none_or(|records| records.send(record)) {
            true => Ok(()),
            false => Err(Refusal::Segments),
        }
    }

    /// Writes down that the words of `bytes` bytes from `address` were read.
    pub(crate) fn record_memory_read(&mut self, vm: &HartState<'_>, address: u32, bytes: u32) {
        for word in words(vm, address, bytes) {
            let value = vm.word(word);
            self.record(vm, EffectKind::Read, Space::Memory, word, value, value);
        }
    }

    /// Copies `data` to `address`, and writes the words down. The range lies inside the address space.
    pub(crate) fn write_memory(&mut self, vm: &mut HartState<'_>, address: u32, data: &[u8]) {
        let words = words(vm, address, data.len() as u32);
        let before: Vec<u32> = words.clone().map(|word| vm.word(word)).collect();
        if let Some(target) = vm.bytes_mut(address, data.len() as u32) {
            target.copy_from_slice(data);
        }
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
    }

    /// Writes down, in front of the effect with this index, the word of an instruction that has no row: it was begun and
    /// not done.
    pub(crate) fn record_instruction(&mut self, vm: &HartState<'_>, index: usize) {
        if vm.tracing() {
            let (address, word) = (vm.pc() & !3, vm.word(vm.pc()));
            let effect = Effect::new(vm.steps(), EffectKind::Read, Space::Memory, address, word, word);
            self.effects.insert(index.min(self.effects.len()), effect);
        }
    }

    /// Forgets the effects from the one with this index on, but for those of pages.
    pub(crate) fn keep_page_effects(&mut self, first: usize) {
        let later = self.effects.split_off(first.min(self.effects.len()));
        let is_page = |effect: &Effect| matches!(effect.kind(), EffectKind::PageIn | EffectKind::PageOut);
        self.effects.extend(later.into_iter().filter(is_page));
    }

    /// Whether so many effects wait that they should be handed over before the next step.
    pub(crate) fn effects_full(&self) -> bool {
        self.effects.len() >= EFFECTS_HELD
    }

    /// Writes down one word of what happens in the next step, if anything is written down.
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

    /// Writes down that a page is brought in or out for `step`, which takes so many cycles.
    pub(crate) fn record_paging(&mut self, vm: &HartState<'_>, step: u64, kind: EffectKind, page: u32, cycles: u32) {
        if vm.tracing() {
            self.effects.push(Effect::new(step, kind, Space::Memory, page * PAGE_BYTES, cycles, cycles));
        }
    }

    /// Reads from the guest's stdin into `buffer` what one read of the stream gives; 0 at its end.
    pub(crate) fn read_stdin(&mut self, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let stdin = &mut self.env.stdin;
        let read = callers::call(|| read_some(stdin, buffer));
        stdin.end_step(matches!(read, Ok(Ok(_))));
        read?.map_err(|error| Refusal::Stream("stdin", error))
    }

    /// Writes all of `data` to the guest's stdout, or to its stderr.
    pub(crate) fn write_output(&mut self, is_stdout: bool, data: &[u8]) -> Result<(), Refusal> {
        let Surroundings { stdout, stderr, .. } = &mut self.env;
        let (name, stream) = if is_stdout { ("stdout", stdout) } else { ("stderr", stderr) };
        let written = callers::call(|| stream.write_all(data));
        stream.end_step(matches!(written, Ok(Ok(()))));
        written?.map_err(|error| Refusal::Stream(name, error))
    }

    /// Flushes the streams. One that fails keeps no other from it.
    pub(crate) fn flush(&mut self) -> Result<(), Refusal> {
        let Surroundings { stdout, stderr, host, .. } = &mut self.env;
        let host = host.as_mut().map_or(Ok(()), |host| flushed(|| host.flush(), Refusal::host));
        let stdout = flushed(|| stdout.flush(), |error| Refusal::Stream("stdout", error));
        let stderr = flushed(|| stderr.flush(), |error| Refusal::Stream("stderr", error));
        Refusal::first([host, stdout, stderr])
    }
}

/// Reads once, as read(2) does: what is there, and at least a byte unless the stream has ended.
fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    // Nothing is asked for, so nothing is waited for.
    if buffer.is_empty() {
        return Ok(0);
    }
    loop {
        match stream.read(buffer) {
            // A stream that claims more than it was given room for is wrong, and believed no further.
            Ok(bytes) => return Ok(buffer.len().min(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Flushes what is the caller's.
fn flushed<E>(flush: impl FnOnce() -> Result<(), E>, refusal: impl FnOnce(E) -> Refusal) -> Result<(), Refusal> {
    callers::call(flush)?.map_err(refusal)
}

/// Addresses of the aligned words that `bytes` bytes from `address` touch, when someone wants to know.
fn words(vm: &HartState<'_>, address: u32, bytes: u32) -> impl Iterator<Item = u32> + Clone + use<> {
    let count = if vm.tracing() { (address as u64 % 4 + bytes as u64).div_ceil(4) } else { 0 };
    (0..count).map(move |word| (address & !3).wrapping_add(4 * word as u32))
}
