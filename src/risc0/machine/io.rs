//! Machine ecalls `read` and `write`, by which the kernel communicates with the host. This file must not know what
//! the data mean.

use tachy_runtime::HartState;

use super::R0vm;
use super::banks::Banks;
use super::calls::{A0, A1, A2};
use crate::callers;
use crate::machine::{Context, Flow, StepError};
use crate::risc0::error::{host_error, illegal};
use crate::risc0::host::{Guest, Host, HostError};
use crate::risc0::layout::*;

/// Maximum number of bytes that one call moves.
const TRANSFER_BYTES: u32 = 1024;
/// Number of words that one cycle moves.
const GROUP_WORDS: u32 = 4;

/// The guest as its host sees it. Memory is current, including the words of the banks.
struct View<'a, 'vm> {
    vm: &'a HartState<'vm>,
    banks: &'a Banks,
    user_cycles: u64,
    user_pc: u32,
}

impl Guest for View<'_, '_> {
    fn register(&self, number: u8) -> u32 {
        self.banks.user(self.vm, number)
    }

    fn word(&self, address: u32) -> u32 {
        self.vm.word(address)
    }

    fn bytes(&self, address: u32, buffer: &mut [u8]) {
        let bytes = u32::try_from(buffer.len()).ok().and_then(|bytes| self.vm.bytes(address, bytes));
        if let Some(bytes) = bytes {
            buffer.copy_from_slice(bytes);
        }
    }

    fn user_cycles(&self) -> u64 {
        self.user_cycles
    }

    fn pc(&self) -> u32 {
        self.user_pc
    }
}

impl R0vm {
    fn view<'a, 'vm>(&'a self, vm: &'a mut HartState<'vm>) -> View<'a, 'vm> {
        self.banks.write_out(vm);
        // Includes the ecall's own first cycle.
        View { vm, banks: &self.banks, user_cycles: self.user_cycles(vm) + 1, user_pc: self.user_pc }
    }

    /// Carries out `read`. It takes two cycles, and one for each byte or group of words that is stored.
    pub(super) fn host_read(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let [descriptor, buffer, bytes] = [A0, A1, A2].map(|number| context.read_register(vm, number));
        check_range("a host read of too many bytes: a2 =", buffer, bytes)?;
        if bytes > 0 && buffer < LOWEST {
            return Err(illegal("a host read into", buffer));
        }
        let data = match self.answer.take() {
            Some(data) => data,
            None => self.ask(vm, context, descriptor, bytes)?,
        };
        context.write_register(vm, A0, data.len() as u32);
        let cycles = match self.store_bytes(vm, context, buffer, &data) {
            Ok(cycles) => cycles,
            Err(error) => {
                self.answer = Some(data);
                return Err(error);
            }
        };
        self.segment.reads.push(data);
        self.charge(vm, 1 + cycles);
        // The host may take a long time.
        vm.end_slice();
        Ok(Flow::Next)
    }

    /// Asks the host for at most `bytes` bytes.
    fn ask(
        &self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        descriptor: u32,
        bytes: u32,
    ) -> Result<Vec<u8>, StepError> {
        let mut data = vec![0; bytes as usize];
        // A kernel that asks on its own behalf has no user.
        let caller_pc = if self.user_pc == 0 { vm.pc() } else { self.user_pc };
        let (host, view) = (&mut context.surroundings.host, self.view(vm));
        let filled = callers::call(|| host.read(&view, descriptor, &mut data))?.map_err(|error| match error {
            HostError::GuestPanic { message } => StepError::GuestPanic(message, caller_pc),
            error => host_error(error),
        })?;
        if filled > data.len() {
            return Err(illegal("a host read that claims more bytes than its buffer has:", bytes));
        }
        data.truncate(filled);
        // A segment keeps it, and a guest may ask often at the end of its input.
        data.shrink_to_fit();
        Ok(data)
    }

    /// Stores the host's bytes: single bytes up to a word boundary, groups of words, and the remaining bytes. Returns
    /// the number of these units.
    fn store_bytes(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        mut address: u32,
        mut data: &[u8],
    ) -> Result<u64, StepError> {
        let mut cycles = 0;
        let head = data.len().min((address.wrapping_neg() & 3) as usize);
        let (bytes, rest) = data.split_at(head);
        for &byte in bytes {
            self.store_byte(vm, context, address, byte)?;
            address = address.wrapping_add(1);
            cycles += 1;
        }
        data = rest;
        while data.len() >= 4 {
            for unit in 0..GROUP_WORDS {
                match data.split_first_chunk() {
                    Some((&word, rest)) => {
                        self.store_word(vm, context, address, u32::from_le_bytes(word))?;
                        address = address.wrapping_add(4);
                        data = rest;
                    }
                    None => self.store_word(vm, context, UNUSED_WORDS + 4 * unit, 0)?,
                }
            }
            cycles += 1;
        }
        for &byte in data {
            self.store_byte(vm, context, address, byte)?;
            address = address.wrapping_add(1);
            cycles += 1;
        }
        Ok(cycles)
    }

    fn store_byte(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        address: u32,
        byte: u8,
    ) -> Result<(), StepError> {
        let word = self.load_word(vm, context, address)?;
        let shift = address % 4 * 8;
        self.store_word(vm, context, address, word & !(0xff << shift) | (byte as u32) << shift)
    }

    /// Carries out `write`. It takes two cycles; the data are peeked at, not loaded.
    pub(super) fn host_write(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let [descriptor, buffer, bytes] = [A0, A1, A2].map(|number| context.read_register(vm, number));
        check_range("a host write of too many bytes: a2 =", buffer, bytes)?;
        let view = self.view(vm);
        let mut data = vec![0; bytes as usize];
        view.bytes(buffer, &mut data);
        let host = &mut context.surroundings.host;
        let answer = callers::call(|| host.write(&view, descriptor, &data))?.map_err(host_error)?;
        self.segment.writes.push(answer);
        context.write_register(vm, A0, answer);
        self.charge(vm, 1);
        vm.end_slice();
        Ok(Flow::Next)
    }
}

/// Checks that a buffer neither wraps around nor exceeds the maximum of a call.
fn check_range(what: &'static str, buffer: u32, bytes: u32) -> Result<(), StepError> {
    match buffer.checked_add(bytes) {
        Some(_) if bytes <= TRANSFER_BYTES => Ok(()),
        _ => Err(illegal(what, bytes)),
    }
}
