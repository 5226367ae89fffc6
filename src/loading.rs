//! Determines the machine that a program file is for, and loads it for that machine. It must not know where files come
//! from.

use crate::machine_kind::MachineKind;
use crate::machines;
use crate::program::{Program, ProgramError};

impl Program {
    /// Reads a program of any kind that some machine runs, and returns that machine.
    ///
    /// Without `machine` the file decides: a RISC Zero program binary (R0BF) is for `r0vm`, an ELF for `bare`. On
    /// `r0vm`, an ELF with an entry at 0xc0000000 or above is a complete kernel. Any other ELF is a user program and
    /// gets RISC Zero's kernel.
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
    /// The same as for [`Program::from_elf`], [`Program::from_risc0`] and [`Program::from_risc0_elf`], and
    /// [`ProgramError::NotForKernel`] for a user program that the kernel cannot start.
    pub fn load(bytes: &[u8], machine: Option<MachineKind>) -> Result<(Program, MachineKind), ProgramError> {
        let machine = machine.unwrap_or_else(|| machines::machine_of(bytes));
        Ok((machines::load(machine, bytes)?, machine))
    }
}
