//! Tachy runs RISC-V programs at native speed and records every step.
//!
//! Tachy is the executor of a zero-knowledge virtual machine. It turns a program and its input into an execution trace
//! with one 32-byte [`Row`] per step: the witness that a prover proves. An interpreter is the reference. A JIT compiler
//! produces the same rows, byte for byte, at many times its speed. Both engines are safe for untrusted programs.
//!
//! # Should I use this?
//! Yes, to run or trace static RV32IM programs: to count, inspect or prove their steps. No, if you need an operating
//! system, floating point or compressed instructions, or if a plain emulator's speed and output are enough.
//!
//! # Where to start
//! [`Program`] loads an ELF, [`Executor`] runs it, a [`Session`] is one run, and a [`Sink`] receives its rows. The
//! [`guide`] has one page per task, with examples to start from; [`guide::embed`] is the first.
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![deny(unreachable_pub)]
// Programs, inputs and journals are hostile. Code that depends on them may fail but must not panic. Where an invariant
// rules a panic out, an `expect` attribute says why.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::unimplemented
)]
#![deny(clippy::indexing_slicing)]
// Machines use some of this and `bare` does not; native code needs some of it.
#![cfg_attr(not(all(feature = "jit", feature = "risc0")), allow(dead_code))]

mod bare;
mod callers;
#[cfg(feature = "jit")]
mod crosscheck;
pub mod decode;
#[cfg(feature = "jit")]
pub mod diff;
pub mod difference;
pub mod disasm;
mod engine;
mod env;
mod error;
#[cfg(all(feature = "jit", feature = "risc0"))]
pub mod guide;
mod interpreter;
mod invariant;
pub mod isa;
#[cfg(feature = "jit")]
pub mod jit;
#[cfg(not(feature = "jit"))]
#[path = "no_jit.rs"]
mod jit;
mod limits;
mod loading;
mod machine;
mod machine_kind;
mod machines;
mod memory;
mod outcome;
mod overhear;
mod printable;
pub mod program;
#[cfg(feature = "risc0")]
pub mod risc0;
mod rules;
mod run;
mod session;
mod stats;
mod status;
pub mod trace;

pub use env::Env;
pub use error::{
    BootError, Cause, DifferenceError, Error, Limit, LimitError, Location, MachineError, MachineFailure, StreamName,
    Trap,
};
#[cfg(feature = "jit")]
pub use jit::JitOptions;
pub use limits::{CancelHandle, Limits};
pub use machine_kind::MachineKind;
pub use outcome::Outcome;
pub use program::{Program, ProgramError};
pub use session::{Builder, Engine, Executor, Session};
pub use stats::Stats;
pub use status::Status;
pub use trace::{NullSink, Row, Sink};
