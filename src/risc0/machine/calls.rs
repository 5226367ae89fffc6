//! System instructions: transfer of control between the modes, and the ecalls of machine mode. This file must not know
//! what the accelerators compute.

use tachy_runtime::{HartState, Slot};

use super::R0vm;
use crate::error::Cause;
use crate::machine::{Context, End, Flow, StepError};
use crate::risc0::Exit;
use crate::risc0::MachineError;
use crate::risc0::error::illegal;
use crate::risc0::layout::*;

/// Registers by the names of the calling convention.
pub(super) const T0: u8 = 5;
pub(super) const T1: u8 = 6;
pub(super) const T2: u8 = 7;
pub(super) const T3: u8 = 28;
pub(super) const A0: u8 = 10;
pub(super) const A1: u8 = 11;
pub(super) const A2: u8 = 12;
pub(super) const A3: u8 = 13;
pub(super) const A4: u8 = 14;
const A7: u8 = 17;

/// Names of machine mode's ecalls, by a7.
pub(super) const ECALL_NAMES: [&str; 6] = ["terminate", "read", "write", "poseidon2", "sha2", "bigint"];

/// Checks that an address may belong to the guest.
fn guest_address(address: u32, what: &'static str) -> Result<u32, StepError> {
    match address >= LOWEST {
        true => Ok(address),
        false => Err(illegal(what, address)),
    }
}

fn is_handler(address: u32) -> bool {
    address.is_multiple_of(4) && (KERNEL_START..KERNEL_END).contains(&address)
}

impl R0vm {
    /// Enters the kernel.
    pub(super) fn user_ecall(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let before = context.effects.len();
        let handler = self.load_word(vm, context, ECALL_DISPATCH)?;
        if !is_handler(handler) {
            context.keep_page_effects(before);
        }
        guest_address(handler, "a user's ecall, whose handler would be at")?;
        if !is_handler(handler) {
            return Err(StepError::Trap(Cause::EcallWithoutHandler, handler));
        }
        self.enter_handler(vm, context)?;
        context.ecalls += 1;
        Ok(Flow::Jump(handler))
    }

    /// Returns to the user program.
    pub(super) fn return_to_user(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        if self.mode == 0 {
            return Err(illegal("mret in user mode, pc", vm.pc()));
        }
        let pc = self.load_word(vm, context, MEPC)?;
        guest_address(pc, "mret to")?;
        self.set_mode(vm, context, 0);
        Ok(Flow::Jump(pc.wrapping_add(4)))
    }

    /// Handles a step that trapped. Control goes to the kernel's handler if the step was the user's and a handler
    /// exists.
    pub(super) fn trap(
        &mut self,
        cause: Cause,
        address: u32,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<(), StepError> {
        let before = context.effects.len();
        if cause != Cause::FetchFault {
            context.record_instruction(vm, before);
        }
        let handler = self.load_word(vm, context, TRAP_DISPATCH + 4 * cause as u32).inspect_err(|error| {
            if error.is_limit() {
                // The step will be repeated under another limit.
                context.keep_page_effects(before);
            }
        })?;
        if !is_handler(handler) || self.mode != 0 {
            return Err(StepError::Trap(cause, address));
        }
        self.enter_handler(vm, context)?;
        vm.set_pc(handler);
        Ok(())
    }

    fn enter_handler(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<(), StepError> {
        let pc = vm.pc();
        self.store_word(vm, context, MEPC, pc)?;
        self.user_pc = pc;
        self.set_mode(vm, context, 1);
        Ok(())
    }

    fn set_mode(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>, mode: u32) {
        self.mode = mode;
        if !vm.tracing() {
            self.banks.switch(vm, mode != 0);
            return;
        }
        let before = vm.registers();
        self.banks.switch(vm, mode != 0);
        context.record_registers(vm, &before);
    }

    /// Carries out an ecall of machine mode. If a limit stops it, it is undone, to be repeated under another limit.
    pub(super) fn machine_ecall(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<Flow, StepError> {
        let number = context.read_register(vm, A7);
        let (registers, calls, extra) = (vm.registers(), self.calls, self.extra_cycles);
        self.undo.begin();
        // Counted at the start, together with the ecall's own cycle.
        if let Some(count) = self.calls.get_mut(number as usize) {
            count.calls += 1;
            count.cycles += 1;
        }
        let done = match number {
            0 => self.terminate(vm, context),
            1 => self.host_read(vm, context),
            2 => self.host_write(vm, context),
            3 => self.poseidon2(vm, context),
            4 => self.sha2(vm, context),
            5 => self.bigint(vm, context),
            _ => Err(illegal("ecall of machine mode with a7 =", number)),
        };
        if done.as_ref().is_err_and(StepError::is_limit) {
            self.take_back(vm);
            (0..).zip(registers).for_each(|(number, value)| vm.set_register(Slot::x(number), value));
            self.calls = calls;
        } else if let Some(count) = self.calls.get_mut(number as usize) {
            count.cycles += self.extra_cycles - extra;
        }
        self.undo.end();
        context.ecalls += done.is_ok() as u64;
        done
    }

    /// Ends the program. It takes two cycles.
    fn terminate(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<Flow, StepError> {
        let [a0, a1] = [A0, A1].map(|number| context.read_register(vm, number));
        self.terminated = Some((a0, a1));
        self.output = Some(std::array::from_fn(|word| self.peek(vm, GLOBAL_OUTPUT + 4 * word as u32)));
        self.charge(vm, 1);
        Ok(Flow::Exit(match Exit::new(a0) {
            Exit::Halted(code) => End::Exited(code.into()),
            Exit::Paused(code) => End::Paused(code.into()),
            Exit::Unknown(word) => {
                let what = "an end of the program with";
                End::Failed(Box::new(MachineError::Illegal { what, word }))
            }
        }))
    }
}

/// Reads the hart's register without recording an effect.
pub(super) fn register(vm: &HartState<'_>, number: u8) -> u32 {
    vm.register(Slot::x(number))
}
