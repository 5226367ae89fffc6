//! Loads a file as a program for R0VM. This file must not know where files come from.

use super::{USER_END, USER_ENTRY_ADDRESS};
use crate::program::{Program, ProgramError};

/// First bytes of a RISC Zero program binary.
const PROGRAM_BINARY: &[u8] = b"R0BF";

/// Returns whether a file is a RISC Zero program binary (R0BF).
pub(crate) fn is_program_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(PROGRAM_BINARY)
}

/// Loads a program binary, a kernel alone, or a user program with RISC Zero's kernel under it.
pub(crate) fn load(bytes: &[u8]) -> Result<Program, ProgramError> {
    match is_program_binary(bytes) {
        true => Program::from_risc0(bytes),
        false => kernel_or_user_program(bytes),
    }
}

fn kernel_or_user_program(elf: &[u8]) -> Result<Program, ProgramError> {
    let alone = match Program::from_elf(elf) {
        // No user program starts at such an address.
        Ok(kernel) if kernel.entry() >= USER_END => return Ok(kernel),
        alone => alone,
    };
    let program = Program::from_risc0_elf(elf)?;
    // The kernel keeps the entry in this word. Headers may lie there, and do in RISC Zero's own programs; code may not.
    let taken = alone
        .is_ok_and(|alone| alone.segment_at(USER_ENTRY_ADDRESS).is_some_and(|segment| segment.permissions.execute));
    match program.user_entry() {
        // The kernel jumps to the entry by way of the word before it. That word must lie above the addresses that no
        // program may touch.
        Some(entry) if taken || entry <= USER_ENTRY_ADDRESS => Err(ProgramError::NotForKernel { entry }),
        _ => Ok(program),
    }
}
