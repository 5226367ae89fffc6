//! How a file becomes a program for R0VM. It must not know where files come from.

use super::{USER_END, USER_ENTRY_ADDRESS};
use crate::program::{Program, ProgramError};

/// What a program binary of RISC Zero begins with.
const PROGRAM_BINARY: &[u8] = b"R0BF";

/// Whether a file is a program binary of RISC Zero (R0BF).
pub(crate) fn is_program_binary(bytes: &[u8]) -> bool {
    bytes.starts_with(PROGRAM_BINARY)
}

/// Reads a program binary, a kernel by itself, or a user program, which gets RISC Zero's kernel.
pub(crate) fn load(bytes: &[u8]) -> Result<Program, ProgramError> {
    match is_program_binary(bytes) {
        true => Program::from_risc0(bytes),
        false => kernel_or_user_program(bytes),
    }
}

fn kernel_or_user_program(elf: &[u8]) -> Result<Program, ProgramError> {
    let alone = match Program::from_elf(elf) {
        // No user program starts here.
        Ok(kernel) if kernel.entry() >= USER_END => return Ok(kernel),
        alone => alone,
    };
    let program = Program::from_risc0_elf(elf)?;
    // Headers may lie where the kernel keeps the entry, and do in RISC Zero's own programs; code may not.
    let taken = alone
        .is_ok_and(|alone| alone.segment_at(USER_ENTRY_ADDRESS).is_some_and(|segment| segment.permissions.execute));
    match program.user_entry() {
        // The kernel goes there by way of the word before it, which must lie above what no program may touch.
        Some(entry) if taken || entry <= USER_ENTRY_ADDRESS => Err(ProgramError::NotForKernel { entry }),
        _ => Ok(program),
    }
}
