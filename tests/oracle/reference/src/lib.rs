//! RISC Zero's own executor, behind plain data: what a program did under it, to be compared with what it does under
//! another machine.
//!
//! The reference is risc0-circuit-rv32im's executor with risc0-zkvm's host around it. It is the authority on R0VM, so
//! nothing here may correct it. Nothing here knows the machine that it is compared with.

#![forbid(unsafe_code)]

mod compare;
mod environment;
mod guests;
mod host;
mod image;
mod outcome;
mod quiet;
mod riscv_tests;
mod run;

pub use compare::{compare_guests, compare_parts};
pub use environment::{Environment, sequence};
pub use guests::{Case, PROGRAMS, binary, cases};
pub use image::{Image, wrap};
pub use outcome::{Calls, Event, Exit, Failure, FailureKind, Outcome, SegmentOutcome, first_difference};
pub use riscv_tests::riscv_tests;
pub use run::{run, run_and_resume, run_image, run_session};
