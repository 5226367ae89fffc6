//! Random programs for R0VM, as ELFs. A program is determined by its seed; its segments are short, so that they end
//! everywhere: between the accesses of a loop, in a trap handler, after a host call.
//!
//! Two shapes. In *machine mode* the program stands in the kernel's place: it works on memory that it has and memory
//! that it has not, on the register banks as memory, on its own code, and calls the machine. In *user mode* a kernel
//! of its own, with handlers for calls and traps, runs a user program that does the same and traps now and then.
//! Programs mostly end by themselves; some run into the session limit, some into an error, as their seed has it.
//!
//! A third kind is not random: one large ecall each, for what is refused when.
//!
//! Nothing here knows who runs the programs.

#![forbid(unsafe_code)]

mod assembler;
mod body;
mod calls;
mod elf;
mod large;
mod machine;
mod places;
mod rng;
mod user;

pub use large::{LargeEcall, large_ecall};
pub use machine::machine_mode;
pub use user::user_mode;

/// A program with what it needs to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where all of it comes from.
    pub seed: u64,
    /// The user program's ELF.
    pub user_elf: Vec<u8>,
    /// The ELF in the kernel's place.
    pub kernel_elf: Vec<u8>,
    /// Base-2 logarithm of a segment's cycles.
    pub po2: u32,
    /// Session limit in user cycles.
    pub session_limit: u64,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// Input digest.
    pub input_digest: [u8; 32],
}
