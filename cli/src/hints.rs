//! The likely cause of a trap, if the program's file or the machine's state shows one.
//!
//! A program may be built for another machine or another zkVM, or its stack may be full. Guesses are worded as guesses.

use tachy::program::unsupported_flags;
use tachy::risc0::{USER_END, USER_ENTRY_ADDRESS};
use tachy::{Cause, Error, MachineKind, Program, Session, Trap};

use crate::load::Loaded;

/// Parts of the symbol names that the guest library of a zkVM leaves in its guests.
const LIBRARIES: [(&str, &str); 6] = [
    ("risc0_zkvm", RISC_ZERO),
    ("sp1_zkvm", "SP1"),
    ("openvm", "OpenVM"),
    ("jolt_sdk", "Jolt"),
    ("ziskos", "ZisK"),
    ("nexus_rt", "Nexus"),
];
const RISC_ZERO: &str = "RISC Zero";

/// Where the code of RISC Zero's guests starts; their stack is below. Some other zkVMs use the same layout.
const GUEST_TEXT: std::ops::Range<u32> = 0x0020_0000..0x0021_0000;

/// The opcodes that RISC-V reserves for custom extensions: custom-0 to custom-3.
const CUSTOM_OPCODES: [u32; 4] = [0x0b, 0x2b, 0x5b, 0x7b];

const SP: usize = 2;

/// The likely causes of a trap, one sentence each.
pub(crate) fn hints(error: &Error, loaded: &Loaded, session: &Session<'_>) -> Vec<String> {
    let Error::Trap(trap) = error else { return Vec::new() };
    // A trap in the kernel concerns the call that the kernel serves.
    let is_served = session.served_ecall().is_some();
    let library = library(&loaded.program);
    let hints = [
        features(trap, loaded).filter(|_| !is_served),
        stack_used_up(trap, session).filter(|_| !is_served),
        other_zkvm(trap, library),
        wrong_machine(trap, &loaded.program, session.machine(), library),
    ];
    hints.into_iter().flatten().collect()
}

/// R0VM's loader does not check the extensions that a program was compiled for.
fn features(trap: &Trap, loaded: &Loaded) -> Option<String> {
    let is_about_code = matches!(trap.cause, Cause::IllegalInstruction | Cause::InstructionMisaligned);
    let error = is_about_code.then(|| unsupported_flags(loaded.user_elf())).flatten()?;
    Some(format!("the program is not built for this machine: {error}"))
}

fn stack_used_up(trap: &Trap, session: &Session<'_>) -> Option<String> {
    let (sp, address) = (*session.registers().get(SP)?, trap.address);
    if !matches!(trap.cause, Cause::LoadFault | Cause::StoreFault) || address < sp {
        return None;
    }
    match session.machine().stack() {
        // The distance by which a large array may move sp at once.
        Some((bottom, top)) => (bottom.saturating_sub(1 << 28) < sp && address < bottom).then(|| {
            let mebibytes = (top - bottom) >> 20;
            format!("the stack ({mebibytes} MiB, down to {bottom:#010x}) is full: sp is {sp:#010x}")
        }),
        // On this machine the program chooses its stack.
        None => (!(USER_ENTRY_ADDRESS..USER_END).contains(&sp)).then(|| {
            format!(
                "sp is {sp:#010x}, outside of {USER_ENTRY_ADDRESS:#010x}..{USER_END:#010x}: the stack is full, or the \
                 program never set it up"
            )
        }),
    }
}

/// The zkVM whose guest library the program contains, by its symbol names.
fn library(program: &Program) -> Option<&'static str> {
    let names = || program.symbols().iter().map(|symbol| symbol.name.as_str());
    LIBRARIES.iter().find(|(part, _)| names().any(|name| name.contains(part))).map(|&(_, zkvm)| zkvm)
}

fn other_zkvm(trap: &Trap, library: Option<&str>) -> Option<String> {
    if let Some(zkvm) = library.filter(|&zkvm| zkvm != RISC_ZERO) {
        return Some(format!("its symbol names show a guest of {zkvm}, which Tachy does not run"));
    }
    let is_custom = trap.cause == Cause::IllegalInstruction && CUSTOM_OPCODES.contains(&(trap.insn & 0x7f));
    is_custom.then(|| {
        "the word is an instruction of a custom extension, which guests of OpenVM use; Tachy runs plain RV32IM and guests \
         of RISC Zero"
            .to_owned()
    })
}

/// A guest of RISC Zero on machine `bare`, which does not set up the stack that it expects.
fn wrong_machine(trap: &Trap, program: &Program, machine: MachineKind, library: Option<&str>) -> Option<String> {
    if machine != MachineKind::Bare || library.is_some_and(|zkvm| zkvm != RISC_ZERO) {
        return None;
    }
    if library.is_some() {
        return Some("its symbol names show a guest of RISC Zero: run it with --machine r0vm".to_owned());
    }
    let text = program.segments().first().map(|segment| segment.address)?;
    let is_below = matches!(trap.cause, Cause::LoadFault | Cause::StoreFault)
        && GUEST_TEXT.contains(&text)
        && (USER_ENTRY_ADDRESS..text).contains(&trap.address);
    is_below.then(|| {
        "its memory layout is that of a guest of RISC Zero, whose stack is below its code: run it with --machine r0vm; \
         guests of SP1 and OpenVM have the same layout, and Tachy does not run them"
            .to_owned()
    })
}
