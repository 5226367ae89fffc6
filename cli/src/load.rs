//! Reads a program from its file and chooses its machine. It must not know how the program runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tachy::program::{Frame, NoFrames, source_frames};
use tachy::risc0::{Binary, USER_END};
use tachy::{MachineKind, Program};

use crate::failure::Failure;
use crate::files::Input;
use crate::values::Machine;
use crate::waiting::Waiting;

/// The first bytes of a RISC Zero program binary.
const PROGRAM_BINARY: &[u8] = b"R0BF";
/// The first bytes of an ELF.
const ELF: &[u8] = b"\x7fELF";
/// Bytes that are read before the file is known to be a program.
const HEAD_BYTES: u64 = 1 << 10;
/// The largest file that is read, including debug information.
const LIMIT_PROGRAM_BYTES: u64 = 1 << 30;

/// A program and the contents of its file.
pub(crate) struct Loaded {
    pub(crate) program: Program,
    pub(crate) machine: MachineKind,
    bytes: Vec<u8>,
}

impl Loaded {
    /// Reads a program and chooses its machine, unless the user chose one.
    pub(crate) fn read(input: Input, machine: Machine) -> Result<Loaded, Failure> {
        let path = &input.path().as_path().to_owned();
        let bytes = bytes(path, input.open()?)?;
        let machine = match machine {
            Machine::Auto => None,
            Machine::Bare => Some(MachineKind::Bare),
            Machine::R0vm => Some(MachineKind::R0vm),
        };
        let (program, machine) = Program::load(&bytes, machine).map_err(|error| Failure::program(path, error))?;
        Ok(Loaded { program, machine, bytes })
    }

    /// The user program's ELF, without a kernel.
    pub(crate) fn user_elf(&self) -> &[u8] {
        Binary::parse(&self.bytes).map_or(&self.bytes, |binary| binary.user_elf)
    }

    /// The functions at an address and their lines, if the file has them.
    pub(crate) fn source_frames(&self, address: u32) -> Result<Vec<Frame>, NoFrames> {
        match Binary::parse(&self.bytes) {
            Ok(Binary { user_elf, .. }) if address < USER_END => source_frames(user_elf, address),
            Ok(Binary { kernel_elf, .. }) => source_frames(kernel_elf, address),
            Err(_) => source_frames(&self.bytes, address),
        }
    }
}

/// The contents of a program's file. If its start shows that it is not a program, only the start: it may be endless.
fn bytes(path: &Path, file: File) -> Result<Vec<u8>, Failure> {
    let refused = |error: io::Error| Failure::input("the program", path, &error);
    let mut bytes = Vec::new();
    let metadata = file.metadata().map_err(refused)?;
    if metadata.is_file() && metadata.len() > LIMIT_PROGRAM_BYTES {
        return Err(Failure::large_program(path, LIMIT_PROGRAM_BYTES));
    }
    let mut file = Waiting::new(file);
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.starts_with(ELF) || bytes.starts_with(PROGRAM_BINARY) {
        // One more byte than the rest, so that its end is found without growing.
        bytes.reserve_exact(metadata.len().saturating_sub(HEAD_BYTES) as usize + 1);
        file.take(LIMIT_PROGRAM_BYTES).read_to_end(&mut bytes).map_err(refused)?;
    }
    match bytes.len() as u64 > LIMIT_PROGRAM_BYTES {
        true => Err(Failure::large_program(path, LIMIT_PROGRAM_BYTES)),
        false => Ok(bytes),
    }
}
