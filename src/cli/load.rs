//! A program read from its file, for the machine that it is meant for. It must not know how it is run.

use std::io::{self, Read};
use std::path::Path;

use tachy::program::{SourceLine, source_line};
use tachy::r0vm::{Binary, USER_END, USER_ENTRY_ADDRESS};
use tachy::{MachineKind, Program, ProgramError};

use super::failure::Failure;
use super::values::Machine;
use super::waiting::{self, Waiting};

/// What a RISC Zero program binary begins with.
const PROGRAM_BINARY: &[u8] = b"R0BF";

/// A program with the file that it came from.
pub(super) struct Loaded {
    pub(super) program: Program,
    pub(super) machine: MachineKind,
    bytes: Vec<u8>,
}

impl Loaded {
    /// Reads a program, and says which machine it is for.
    pub(super) fn read(path: &Path, machine: Machine) -> Result<Loaded, Failure> {
        let bytes = read(path).map_err(|error| Failure::input("the program", path, &error))?;
        let machine = match machine {
            Machine::Auto if bytes.starts_with(PROGRAM_BINARY) => MachineKind::R0vm,
            Machine::Auto | Machine::Bare => MachineKind::Bare,
            Machine::R0vm => MachineKind::R0vm,
        };
        let refused = |error| Failure::program(path, error);
        let program = match machine {
            MachineKind::R0vm => for_r0vm(path, &bytes)?,
            _ => Program::from_elf(&bytes).map_err(refused)?,
        };
        Ok(Loaded { program, machine, bytes })
    }

    /// Where in its source an address lies, if the file knows.
    pub(super) fn source_line(&self, address: u32) -> Option<SourceLine> {
        match Binary::parse(&self.bytes) {
            Ok(Binary { user_elf, .. }) if address < USER_END => source_line(user_elf, address),
            Ok(Binary { kernel_elf, .. }) => source_line(kernel_elf, address),
            Err(_) => source_line(&self.bytes, address),
        }
    }
}

/// All of a file, which may be a pipe.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Waiting::new(waiting::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A program binary, a user program that still needs a kernel, or a kernel by itself.
fn for_r0vm(path: &Path, bytes: &[u8]) -> Result<Program, Failure> {
    let refused = |error: ProgramError| Failure::program(path, error);
    if bytes.starts_with(PROGRAM_BINARY) {
        return Program::from_risc0(bytes).map_err(refused);
    }
    let alone = Program::from_elf(bytes);
    match alone {
        // No user program starts here.
        Ok(kernel) if kernel.entry() >= USER_END => Ok(kernel),
        alone => {
            let program = Program::from_risc0_elf(bytes).map_err(refused)?;
            // Headers may lie where the kernel keeps the entry, and do in RISC Zero's own programs; code may not.
            let taken = alone.is_ok_and(|alone| {
                alone.segment_at(USER_ENTRY_ADDRESS).is_some_and(|segment| segment.permissions.execute)
            });
            match program.user_entry() {
                // The kernel goes there by way of the word before it, which must lie above what no program may touch.
                Some(entry) if taken || entry <= USER_ENTRY_ADDRESS => Err(Failure::no_user_program(path, entry)),
                _ => Ok(program),
            }
        }
    }
}
