//! The texts by which RISC Zero's executor reports why a program did not run or did not end well. Hosts match them, so
//! they go to the host literally. Tachy's own text, with the place in the program, goes to standard error.
//!
//! This file must not know how a text is sent.

use tachy::program::ProgramError;
use tachy::risc0::MachineError;
use tachy::{Cause, Error, Limit, Session, Trap};

/// Where the machine looks for the handlers of traps and of system calls.
const TRAP_DISPATCH: u32 = 0xffff_2000;
const ECALL_DISPATCH: u32 = 0xffff_1000;
/// Where the registers of the user program lie in memory.
const USER_REGISTERS: u32 = 0xffff_0080;
/// Longest message of a panic.
const PANIC_BYTES: u32 = 1 << 20;
/// Where handlers may be.
const KERNEL: std::ops::Range<u32> = 0xc000_0000..0xff00_0000;

/// Returns the text for a program that was refused.
pub fn of_program(error: &ProgramError) -> String {
    match error {
        ProgramError::MalformedBinary { what } if what.contains("header") => "Malformed ProgramBinaryHeader".to_owned(),
        ProgramError::MalformedBinary { .. } => "Malformed ProgramBinary".to_owned(),
        ProgramError::UnsupportedAbi { found } => match found.split_once(' ') {
            Some(("V1Compat", version)) => {
                format!("ProgramBinary abi_version mismatch {version} doesn't match ^1.0.0")
            }
            Some((kind, _)) => format!("ProgramBinary abi_kind mismatch {kind} != AbiKind::V1Compat"),
            None => first_line(error),
        },
        ProgramError::InElf { elf, .. } => format!("Loading {elf} ELF"),
        other => first_line(other),
    }
}

/// Returns the text for a run that failed.
pub fn of_run(error: &Error, session: &Session<'_>) -> String {
    match error {
        Error::GuestPanic { message, .. } => of_panic(session).unwrap_or_else(|| format!("Guest panicked: {message}")),
        Error::Limit(limit) => match limit.limit {
            Limit::Cycles { used, limit } => format!("Session limit exceeded: {used} >= {limit}"),
            _ => first_line(error),
        },
        Error::Trap(trap) => of_trap(trap, session),
        Error::Segment { source, .. } | Error::Event { source, .. } => source.to_string(),
        Error::Program(error) => of_program(error),
        _ => match (error.host().and_then(|error| error.risc0_text()), error.risc0()) {
            (Some(text), _) => text,
            (None, Some(MachineError::SegmentTooSmall { po2 })) => {
                let (limit, pc) = (1u64 << po2, session.pc());
                format!("segment limit ({limit}) too small for instruction at pc: {pc:#010x}")
            }
            (None, Some(MachineError::Illegal { what, .. })) if what.starts_with("mret in user mode") => {
                "Illegal mret in user mode".to_owned()
            }
            (None, Some(error)) => first_line(error),
            (None, None) => first_line(error),
        },
    }
}

/// Returns the text for a panic with the guest's words as they are: the library makes them safe for terminals. Returns
/// `None` if they are no longer there.
fn of_panic(session: &Session<'_>) -> Option<String> {
    // The guest's own call, with address and length in a3 and a4, is what the kernel serves.
    session.served_ecall()?;
    let [address, bytes] = [13, 14].map(|register| session.word(USER_REGISTERS + 4 * register));
    let message = session.bytes(address, bytes.min(PANIC_BYTES))?;
    Some(match str::from_utf8(message) {
        Ok(message) => format!("Guest panicked: {message}"),
        Err(error) => error.to_string(),
    })
}

/// Returns the text for a trap that has no handler.
fn of_trap(trap: &Trap, session: &Session<'_>) -> String {
    let Trap { cause, insn, address, .. } = *trap;
    let dispatch = session.word(TRAP_DISPATCH + 4 * cause as u32);
    if dispatch.is_multiple_of(4) && KERNEL.contains(&dispatch) {
        return "Illegal trap in machine mode".to_owned();
    }
    let cause = match cause {
        Cause::InstructionMisaligned => "InstructionMisaligned".to_owned(),
        Cause::FetchFault => "InstructionFault".to_owned(),
        Cause::IllegalInstruction => format!("IllegalInstruction({insn:#010x}, {})", refused_by(insn)),
        Cause::Breakpoint => "Breakpoint".to_owned(),
        Cause::LoadMisaligned => "LoadAddressMisaligned".to_owned(),
        Cause::LoadFault => format!("LoadAccessFault({address:#010x})"),
        Cause::StoreMisaligned => format!("StoreAddressMisaligned({address:#010x})"),
        Cause::StoreFault => "StoreAccessFault".to_owned(),
        Cause::EcallWithoutHandler => format!("UserEnvCall({:#010x})", session.word(ECALL_DISPATCH)),
    };
    format!("Invalid trap address: {dispatch:#010x}, cause: {cause}")
}

/// Returns which of its checks RISC Zero's executor names for an illegal instruction: 0 for the length of the
/// instruction, 2 for one like `ecall`, and else a number in its source.
fn refused_by(insn: u32) -> u32 {
    const DECODER: u32 = 287;
    let (opcode, function, high) = (insn & 0x7f, insn >> 12 & 7, insn >> 25);
    match insn & 3 == 3 {
        false => 0,
        true if opcode == 0x73 && function == 0 && high == 0 => 2,
        true => DECODER,
    }
}

/// Returns the first line of an error's text.
pub(crate) fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
