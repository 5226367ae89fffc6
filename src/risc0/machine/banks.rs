//! The register banks of both modes, and their addresses in memory. The hart's context holds the active bank.
//!
//! Banks are memory-mapped: each mode has a word for each of x0 to x31, and one for values written to x0. The words in
//! memory are updated before any access to their page, and read back after any write to it.
//!
//! This file must not know when modes change.
#![expect(clippy::indexing_slicing, reason = "registers, by numbers below their count")]

use tachy_runtime::{HartState, Slot};

use crate::risc0::layout::{MACHINE_BANK, SHUNT_OFFSET, USER_BANK};

/// x0 to x31, followed by the shunt.
const BANK_WORDS: usize = 33;

/// The banks of both modes. The context holds the registers of the active one.
pub(super) struct Banks {
    idle: [u32; BANK_WORDS],
    machine_active: bool,
}

fn slot(index: usize) -> Slot {
    if index < 32 { Slot::x(index as u8) } else { Slot::SHUNT }
}

/// Returns the address of a bank's word.
fn place(bank: u32, index: usize) -> u32 {
    if index < 32 { bank + 4 * index as u32 } else { bank + SHUNT_OFFSET }
}

impl Banks {
    /// Reads both banks from memory.
    pub(super) fn read(vm: &mut HartState<'_>, machine_active: bool) -> Banks {
        let mut banks = Banks { idle: [0; BANK_WORDS], machine_active };
        banks.read_back(vm);
        banks
    }

    fn places(&self) -> (u32, u32) {
        match self.machine_active {
            true => (MACHINE_BANK, USER_BANK),
            false => (USER_BANK, MACHINE_BANK),
        }
    }

    /// Writes both banks to memory.
    pub(super) fn write_out(&self, vm: &mut HartState<'_>) {
        let (active, idle) = self.places();
        for index in 0..BANK_WORDS {
            vm.set_word(place(active, index), vm.register(slot(index)));
            vm.set_word(place(idle, index), self.idle[index]);
        }
    }

    /// Reads both banks back from memory.
    pub(super) fn read_back(&mut self, vm: &mut HartState<'_>) {
        let (active, idle) = self.places();
        for index in 0..BANK_WORDS {
            vm.set_register(slot(index), vm.word(place(active, index)));
            self.idle[index] = vm.word(place(idle, index));
        }
    }

    /// Activates the bank of a mode.
    pub(super) fn switch(&mut self, vm: &mut HartState<'_>, machine_active: bool) {
        if machine_active == self.machine_active {
            return;
        }
        self.machine_active = machine_active;
        for (index, idle) in self.idle.iter_mut().enumerate() {
            let active = vm.register(slot(index));
            vm.set_register(slot(index), *idle);
            *idle = active;
        }
    }

    /// Returns x`number` of the user's bank.
    pub(super) fn user(&self, vm: &HartState<'_>, number: u8) -> u32 {
        match self.machine_active {
            true => self.idle[number as usize & 31],
            false => vm.register(Slot::x(number)),
        }
    }
}
