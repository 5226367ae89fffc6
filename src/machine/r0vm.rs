//! Machine `r0vm`, so far a stub that shows what the machine interface must carry: R0VM's decoding, its memory map and
//! its kernel's start. It stops at the first system instruction.
//!
//! The program is the kernel ELF itself; it starts in machine mode at its entry with registers zero.

use tachy_runtime::{Access, PageState, Vm, page_of};

use super::{Budget, Flow, Machine, MachineKind, Refusal, World};
use crate::env::Env;
use crate::error::{Cause, Error};
use crate::isa::{Op, Variant};
use crate::program::Program;

/// Nothing below this may be fetched, loaded or stored.
const LOWEST_ADDRESS: u32 = 0x0001_0000;
/// The kernel lies from here up.
const KERNEL_START: u32 = 0xc000_0000;
/// This page counts already.
const TOUCHED: PageState = PageState(0x80);

/// See the module.
pub(crate) struct R0vm;

impl Machine for R0vm {
    const KIND: MachineKind = MachineKind::R0vm;
    const VARIANT: Variant = Variant::R0vm;

    // Code is ordinary memory.
    fn may_rewrite_code(_: &Program) -> bool {
        true
    }

    fn boot(program: &Program, _: &Env<'_>, vm: &mut Vm, _: &mut Budget) -> Result<R0vm, Error> {
        if program.entry() < KERNEL_START {
            return Err(Error::Boot {
                machine: MachineKind::R0vm,
                reason: format!(
                    "its entry {:#010x} lies below the kernel's space, which starts at {KERNEL_START:#010x}; only kernel \
                     ELFs boot so far",
                    program.entry()
                ),
            });
        }
        for segment in program.segments() {
            if let Some(target) = vm.bytes_mut(segment.address, segment.data.len() as u32) {
                target.copy_from_slice(&segment.data);
            }
        }
        vm.set_pc(program.entry());
        Ok(R0vm)
    }

    fn access(&mut self, vm: &mut Vm, budget: &mut Budget, address: u32, access: Access) -> Result<(), Refusal> {
        let (fault, misaligned) = match access {
            Access::Load(_) => (Cause::LoadFault, Cause::LoadMisaligned),
            Access::Store(_) => (Cause::StoreFault, Cause::StoreMisaligned),
            Access::Fetch => (Cause::FetchFault, Cause::InstructionMisaligned),
        };
        if address < LOWEST_ADDRESS {
            return Err(Refusal::Trap(fault, address));
        }
        // The page comes in before the alignment is looked at.
        let mut state = vm.page_state(address);
        if !state.contains(TOUCHED) {
            budget.take_pages(1)?;
            state = state.with(TOUCHED).with(PageState::READ).with(PageState::FETCH);
        }
        if !state.contains(PageState::CODE) {
            state = state.with(PageState::WRITE);
        }
        debug_assert!(page_of(address) > 0);
        vm.set_page_state(address, state);
        match address.is_multiple_of(access.align_bytes()) {
            true => Ok(()),
            false => Err(Refusal::Trap(misaligned, address)),
        }
    }

    fn system(&mut self, op: Op, vm: &mut Vm, _: &mut World<'_>) -> Result<Flow, Refusal> {
        match op {
            Op::Ebreak => Err(Refusal::Trap(Cause::Breakpoint, vm.pc())),
            Op::Mret => Err(Refusal::Unsupported("mret")),
            _ => Err(Refusal::Unsupported("ecall")),
        }
    }
}
