//! Which machine a file's program is for, and how it is loaded there. It must not know where files come from.

use crate::machine::MachineKind;
use crate::program::{Program, ProgramError};
use crate::risc0::{USER_END, USER_ENTRY_ADDRESS};

/// What a program binary of RISC Zero begins with.
const PROGRAM_BINARY: &[u8] = b"R0BF";

impl Program {
    /// Reads a program of any kind that a machine runs, and says which machine that is.
    ///
    /// Without a machine the file decides: a program binary of RISC Zero (R0BF) is for `r0vm`, an ELF for `bare`. On `r0vm`
    /// an ELF whose entry lies at 0xc0000000 or above is a kernel by itself; any other is a user program, which gets RISC
    /// Zero's kernel.
    ///
    /// ```
    /// use tachy::{MachineKind, Program};
    ///
    /// let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/hello.bin"))?;
    /// let (program, machine) = Program::load(&binary, None)?;
    /// assert_eq!(machine, MachineKind::R0vm);
    /// assert!(program.image_id().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As of [`Program::from_elf`], [`Program::from_risc0`] and [`Program::from_risc0_elf`], and
    /// [`ProgramError::NotForKernel`] for a user program that the kernel cannot start.
    pub fn load(bytes: &[u8], machine: Option<MachineKind>) -> Result<(Program, MachineKind), ProgramError> {
        let machine = machine.unwrap_or(match bytes.starts_with(PROGRAM_BINARY) {
            true => MachineKind::R0vm,
            false => MachineKind::Bare,
        });
        let program = match machine {
            MachineKind::Bare => Program::from_elf(bytes)?,
            MachineKind::R0vm if bytes.starts_with(PROGRAM_BINARY) => Program::from_risc0(bytes)?,
            MachineKind::R0vm => kernel_or_user_program(bytes)?,
        };
        Ok((program, machine))
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
