//! A program read from its file, for the machine that it is meant for. It must not know how it is run.

use std::fs;
use std::path::Path;

use tachy::r0vm::USER_END;
use tachy::{MachineKind, Program, ProgramError};

use super::args::Machine;
use super::failure::Failure;

/// What a RISC Zero program binary begins with.
const PROGRAM_BINARY: &[u8] = b"R0BF";

/// Reads a program, and says which machine it is for.
pub(super) fn load(path: &Path, machine: Machine) -> Result<(Program, MachineKind), Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::input("the program", path, &error))?;
    let machine = match machine {
        Machine::Auto if bytes.starts_with(PROGRAM_BINARY) => MachineKind::R0vm,
        Machine::Auto | Machine::Bare => MachineKind::Bare,
        Machine::R0vm => MachineKind::R0vm,
    };
    let program = match machine {
        MachineKind::R0vm => for_r0vm(&bytes),
        _ => Program::from_elf(&bytes),
    };
    Ok((program.map_err(|error| Failure::program(path, error))?, machine))
}

/// A program binary, a user program that still needs a kernel, or a kernel by itself.
fn for_r0vm(bytes: &[u8]) -> Result<Program, ProgramError> {
    if bytes.starts_with(PROGRAM_BINARY) {
        return Program::from_risc0(bytes);
    }
    match Program::from_elf(bytes) {
        // No user program starts here.
        Ok(kernel) if kernel.entry() >= USER_END => Ok(kernel),
        _ => Program::from_risc0_elf(bytes),
    }
}
