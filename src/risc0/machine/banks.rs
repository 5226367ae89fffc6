//! The register banks of both modes, and their addresses in memory. The hart's context holds the active bank, and memory
//! the other one.
//!
//! Banks are memory-mapped: each mode has a word for each of x0 to x31, and one for values written to x0. The active
//! bank's words in memory are out of date. They are written before any access to them, and read back after any write to
//! them.
//!
//! This file must not know when modes change.

use tachy_runtime::{HartState, Slot};

use crate::risc0::layout::{MACHINE_BANK, SHUNT_OFFSET, USER_BANK};

/// Bytes of x0 to x31 in a bank.
const REGISTER_BYTES: u32 = 4 * 32;

/// Which bank is active.
pub(super) struct Banks {
    machine_active: bool,
}

impl Banks {
    /// Reads the active bank from memory.
    pub(super) fn read(vm: &mut HartState<'_>, machine_active: bool) -> Banks {
        let banks = Banks { machine_active };
        banks.read_back(vm);
        banks
    }

    fn active(&self) -> u32 {
        if self.machine_active { MACHINE_BANK } else { USER_BANK }
    }

    /// Returns whether the word at `address` is one of the active bank.
    pub(super) fn is_active(&self, address: u32) -> bool {
        let offset = (address & !3).wrapping_sub(self.active());
        offset < REGISTER_BYTES || offset == SHUNT_OFFSET
    }

    /// Writes the active bank to memory, which then holds both.
    pub(super) fn write_out(&self, vm: &mut HartState<'_>) {
        let bank = self.active();
        vm.store_registers(bank);
        vm.set_word(bank + SHUNT_OFFSET, vm.register(Slot::SHUNT));
    }

    /// Reads the active bank back from memory.
    pub(super) fn read_back(&self, vm: &mut HartState<'_>) {
        let bank = self.active();
        vm.load_registers(bank);
        vm.set_register(Slot::SHUNT, vm.word(bank + SHUNT_OFFSET));
    }

    /// Activates the bank of a mode.
    pub(super) fn switch(&mut self, vm: &mut HartState<'_>, machine_active: bool) {
        if machine_active != self.machine_active {
            self.write_out(vm);
            self.machine_active = machine_active;
            self.read_back(vm);
        }
    }

    /// Returns x`number` of the user's bank.
    pub(super) fn user(&self, vm: &HartState<'_>, number: u8) -> u32 {
        match self.machine_active {
            true => vm.word(USER_BANK + 4 * u32::from(number & 31)),
            false => vm.register(Slot::x(number)),
        }
    }
}
