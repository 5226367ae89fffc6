//! Machines: what differs between guest environments.
//!
//! A [`Machine`] says which instructions are legal, what memory looks like, and what a system instruction does. The
//! engines are generic over it and ask it only on slow paths. A machine must not know which engine runs.

mod bare;
mod r0vm;
mod world;

use std::fmt;

use tachy_runtime::{Access, Vm};

use crate::env::Env;
use crate::error::{Cause, Error};
use crate::isa::{Op, Variant};
use crate::program::Program;

pub(crate) use bare::Bare;
pub(crate) use r0vm::R0vm;
pub(crate) use world::{Budget, World};

/// The machines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MachineKind {
    /// Any static RV32IM program with a handful of Linux system calls.
    #[default]
    Bare,
    /// RISC Zero's R0VM 3.0. So far it boots its kernel and stops at the first system instruction.
    R0vm,
}

impl MachineKind {
    /// The column of the instruction table that holds on this machine.
    pub fn variant(self) -> Variant {
        match self {
            MachineKind::Bare => Bare::VARIANT,
            MachineKind::R0vm => R0vm::VARIANT,
        }
    }
}

impl fmt::Display for MachineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MachineKind::Bare => "bare",
            MachineKind::R0vm => "r0vm",
        })
    }
}

/// Why a step cannot be done. The engine adds pc, step and instruction.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The guest did something that traps; the address is the one concerned.
    Trap(Cause, u32),
    /// The memory limit does not allow another page.
    MemoryLimit,
    /// The output limit does not allow this write.
    OutputLimit,
    /// A stream failed.
    Stream(&'static str, std::io::Error),
    /// The machine does not do this yet.
    Unsupported(&'static str),
}

/// How a system instruction ends when it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// At the next instruction.
    Next,
    /// The program ends with this code.
    Exit(u32),
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Bare {}
    impl Sealed for super::R0vm {}
}

/// A guest environment.
pub(crate) trait Machine: sealed::Sealed + Send + 'static {
    /// Its name.
    const KIND: MachineKind;
    /// The column of the instruction table that holds here.
    const VARIANT: Variant;

    /// Whether the program can ever write where it can execute. If it cannot, sessions share compiled code.
    fn may_rewrite_code(program: &Program) -> bool;

    /// Fills memory, page states, registers and pc with what the program finds at its first step.
    fn boot(program: &Program, env: &Env<'_>, vm: &mut Vm, budget: &mut Budget) -> Result<Self, Error>
    where
        Self: Sized;

    /// The slow path of every access: called when the page's state does not allow it without help or the address is
    /// misaligned. `Ok` means that it may happen now; stores into pages with code are the engine's business.
    fn access(&mut self, vm: &mut Vm, budget: &mut Budget, address: u32, access: Access) -> Result<(), Refusal>;

    /// Carries out an instruction of class System. On a refusal nothing has happened but that pages it needs may count already.
    fn system(&mut self, op: Op, vm: &mut Vm, world: &mut World<'_>) -> Result<Flow, Refusal>;
}
