//! Machine ecalls that the circuit computes in rows of its own: Poseidon2, SHA-256 and big integers.
//!
//! This file must not know how they compute. It loads and stores their words in the reference's order, because that
//! order decides when pages are paged in.
#![expect(clippy::indexing_slicing, reason = "constant indices into arrays")]

use tachy_runtime::{HartState, PAGE_BYTES, page_of, poseidon2};

use super::R0vm;
use super::bigint;
use super::calls::register;
use super::calls::{A0, A1, A2, A3, A4, T0, T1, T2, T3};
use super::sha2::compress;
use crate::machine::{Context, Flow, StepError, load_bytes};
use crate::risc0::MachineError;
use crate::risc0::error::illegal;
use crate::risc0::layout::*;

/// Number of words in the address space: the first invalid word address.
const MEMORY_WORDS: u32 = 1 << 30;

/// Bits of a3 of the Poseidon2 ecall: the input consists of field elements; the output is compared, not stored.
const ELEMENTS: u32 = 1 << 31;
const CHECK: u32 = 1 << 30;
/// The low half of a3 counts the blocks.
const COUNT_MASK: u32 = 0xffff;

/// Units of big-integer work that take as long as an interpreted step, or longer.
const WORK_PER_STEP: u64 = 4;
/// Interpreted steps that take as long as a block of Poseidon2, a block of SHA-256, or an operation on big integers. The
/// last has operands of any size; this is a small one's time.
const POSEIDON2_STEPS: u64 = 250;
const SHA2_STEPS: u64 = 20;
const BIGINT_STEPS: u64 = 4;

/// Maximum number of blocks of one SHA-256 ecall.
const SHA_BLOCKS: u32 = 10;

impl R0vm {
    /// Loads a word by its word address.
    fn load_at(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        word: u32,
    ) -> Result<u32, StepError> {
        self.load_word(vm, context, word_address(word)?)
    }

    fn store_at(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        word: u32,
        value: u32,
    ) -> Result<(), StepError> {
        self.store_word(vm, context, word_address(word)?, value)
    }

    /// Reads words that may be loaded in any order without a difference: nobody traces them, and their pages are paged in
    /// already. Returns false, and leaves something in `words`, if that is not so.
    fn peek_loaded(&self, vm: &HartState<'_>, word: u32, words: &mut [u32]) -> bool {
        let Ok(address) = word_address(word) else { return false };
        let bytes = 4 * words.len() as u32;
        let Some(found) = vm.bytes(address, bytes) else { return false };
        let pages = page_of(address)..=page_of(address + (bytes - 1));
        let is_plain = |page| page != SYSTEM_PAGE && self.paging.is_loaded(page);
        if vm.tracing() || !{ pages }.all(is_plain) {
            return false;
        }
        for (word, bytes) in words.iter_mut().zip(found.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        true
    }

    /// Carries out the Poseidon2 ecall. It takes three cycles, two more with a state, and ten for each block, or eleven
    /// if the block consists of elements.
    pub(super) fn poseidon2(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let [state, input, output, bits] = [A0, A1, A2, A3].map(|number| context.read_register(vm, number));
        let mut input = input;
        let count = bits & COUNT_MASK;
        let mut cells = [0; poseidon2::CELLS];
        if state != 0 {
            for word in 0..8 {
                cells[16 + word as usize] = self.load_at(vm, context, state.wrapping_add(word))?;
            }
        }
        for _ in 0..count {
            let mut next = || {
                let word = input;
                input = input.wrapping_add(1);
                word
            };
            if bits & ELEMENTS != 0 {
                for cell in &mut cells[..16] {
                    *cell = self.load_at(vm, context, next())?;
                }
            } else {
                for pair in cells[..16].chunks_exact_mut(2) {
                    let word = self.load_at(vm, context, next())?;
                    pair.copy_from_slice(&[word & 0xffff, word >> 16]);
                }
            }
            poseidon2::permute(&mut cells);
        }
        let (block_cycles, state_cycles) = (if bits & ELEMENTS != 0 { 11 } else { 10 }, (state != 0) as u64);
        let cycles = 1 + state_cycles + count as u64 * block_cycles;
        for word in 0..8 {
            let (location, value) = (output.wrapping_add(word), cells[word as usize]);
            if bits & CHECK == 0 {
                self.store_at(vm, context, location, value)?;
            } else if self.load_at(vm, context, location)? != value {
                self.charge(vm, cycles);
                return Err(illegal("a Poseidon2 check that fails: the digest has the word", value));
            }
        }
        if state != 0 {
            for word in 0..8 {
                self.store_at(vm, context, state.wrapping_add(word), cells[16 + word as usize])?;
            }
        }
        context.machine_work_steps += count as u64 * POSEIDON2_STEPS;
        // One cycle for the output, and one for the state.
        self.charge(vm, cycles + 1 + state_cycles);
        Ok(Flow::Next)
    }

    /// Carries out the SHA-256 ecall. It takes six cycles, and 68 for each block.
    pub(super) fn sha2(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<Flow, StepError> {
        let [state_in, state_out, data, count, constants] =
            [A0, A1, A2, A3, A4].map(|number| context.read_register(vm, number));
        for address in [state_in, state_out, data, constants] {
            if address < LOWEST {
                return Err(illegal("a SHA-256 ecall that names", address));
            }
        }
        let [state_in, state_out, mut data, constants] =
            [state_in, state_out, data, constants].map(|address| address / 4);
        let count = count & COUNT_MASK;
        if count > SHA_BLOCKS {
            return Err(illegal("a SHA-256 ecall of more than 10 blocks: a3 =", count));
        }
        let mut state = [0; 8];
        for i in 0..4 {
            let words = [3 - i, 7 - i].map(|word| (word, self.load_at(vm, context, state_in.wrapping_add(word))));
            for (word, loaded) in words {
                let loaded = loaded?;
                state[word as usize] = loaded.swap_bytes();
                self.store_at(vm, context, state_out.wrapping_add(word), loaded)?;
            }
        }
        for _ in 0..count {
            let (mut k, mut block) = ([0; 64], [0; 16]);
            if self.peek_loaded(vm, constants, &mut k) && self.peek_loaded(vm, data, &mut block) {
                data = data.wrapping_add(16);
                block = block.map(u32::swap_bytes);
            } else {
                for round in 0..64 {
                    k[round as usize] = self.load_at(vm, context, constants.wrapping_add(round))?;
                    if round < 16 {
                        block[round as usize] = self.load_at(vm, context, data)?.swap_bytes();
                        data = data.wrapping_add(1);
                    }
                }
            }
            compress(&mut state, &block, &k);
            for i in 0..4 {
                for word in [3 - i, 7 - i] {
                    let value = state[word as usize].swap_bytes();
                    self.store_at(vm, context, state_out.wrapping_add(word), value)?;
                }
            }
        }
        context.machine_work_steps += count as u64 * SHA2_STEPS;
        self.charge(vm, 5 + 68 * count as u64);
        Ok(Flow::Next)
    }

    /// Carries out the big-integer ecall. It takes two cycles, and one for each word of the verify program.
    pub(super) fn bigint(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let mode = bigint::Mode::new(context.read_register(vm, T0)).map_err(MachineError::BigInt)?;
        let [blob, program, verify, constants] = [A0, T1, T2, T3].map(|number| context.read_register(vm, number));
        for address in [blob, program, verify, constants] {
            if !address.is_multiple_of(4) {
                return Err(illegal("a bigint ecall that names the misaligned address", address));
            }
        }
        let [program_words, verify_words, constants_words] =
            [0, 1, 2].map(|word| self.load_at(vm, context, (blob / 4).wrapping_add(word)));
        let (program_words, verify_words, constants_words) = (program_words?, verify_words?, constants_words?);
        let program_bytes = match program_words.checked_mul(4) {
            Some(bytes) if bytes <= bigint::MAX_PROGRAM_BYTES => bytes,
            _ => return Err(illegal("a bigint program that is too long, words:", program_words)),
        };
        self.load_range(vm, context, program, program_bytes)?;
        self.banks.write_out(vm);
        let bytes = load_bytes(vm, program, program_bytes)?;
        let parsed = self.programs.get(bytes).map_err(MachineError::BigInt)?;
        let registers = std::array::from_fn(|number| register(vm, number as u8));
        let mut scratch = std::mem::take(&mut self.scratch);
        let done = bigint::evaluate(&parsed, mode, &registers, |address| vm.word(address), &mut scratch);
        let evaluation = done.map_err(MachineError::BigInt)?;
        for loaded in &evaluation.loads {
            self.load_range(vm, context, loaded.address, loaded.words.wrapping_mul(4))?;
        }
        // Only paged in. The verify program starts one word before the address in its register.
        self.load_range(vm, context, verify.wrapping_sub(4), verify_words.wrapping_mul(4))?;
        self.load_range(vm, context, constants, constants_words.wrapping_mul(4))?;
        for &(address, words) in &evaluation.witness {
            self.store_words(vm, context, address, words)?;
        }
        let work = evaluation.work;
        context.machine_work_steps += parsed.operations().len() as u64 * BIGINT_STEPS;
        self.scratch = scratch.bounded();
        self.charge(vm, 1 + verify_words as u64);
        // The few cycles may cover a second of work. The slice gets shorter by as much, so that the engine looks at
        // limits as often as it does for steps.
        vm.charge(work / WORK_PER_STEP);
        Ok(Flow::Next)
    }

    /// Loads all words of a range, which ends below 2^32. One ecall can name all of memory, so the pages beyond the
    /// capacity of every segment are skipped. The ecall completes, and the check before the next instruction fails.
    fn load_range(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        address: u32,
        bytes: u32,
    ) -> Result<(), StepError> {
        let Some(end) = address.checked_add(bytes) else {
            return Err(illegal("a bigint ecall that reads past the end of memory, from", address));
        };
        let mut at = address;
        while at < end && !self.segment.is_overdrawn() {
            // A trace needs each word. Otherwise, whole pages suffice.
            let page_end = (page_of(at) + 1).saturating_mul(PAGE_BYTES);
            if vm.tracing() {
                self.load_word(vm, context, at)?;
                at += 4;
            } else {
                self.page_in(vm, context, vm.steps(), page_of(at))?;
                at = page_end.min(end);
            }
        }
        Ok(())
    }
}

/// Returns the byte address of a word.
fn word_address(word: u32) -> Result<u32, StepError> {
    match word < MEMORY_WORDS {
        true => Ok(word * 4),
        false => Err(illegal("an access past the end of memory, to the word", word)),
    }
}
