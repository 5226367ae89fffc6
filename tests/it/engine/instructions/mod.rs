//! Every instruction of the table, one by one, in both engines and against a third writing of what it does.
//!
//! Each test goes over the table and takes the lines of its class; `class_of` knows no other way out, so a new class
//! does not compile until someone says where it is tested, and a new line is tested as soon as it stands in the table.

mod compute;
mod control;
mod memory;
mod system;

use crate::common::engines::{Case, End, Outcome};
use crate::common::engines::{Setup, assert_same, run};
use tachy::isa::{Class, Line, TABLE};
use tachy::{Cause, Location, Trap};

/// Where the code of these tests lies, unless said.
const CODE: u32 = 0x1_0000;
/// Where tables of operands lie.
const OPERANDS: u32 = 0x10_0000;

/// States that each instruction is run in, at the least: operands, registers and immediates, counted as rows of the
/// instruction under test. Only `ebreak` has fewer, since a trap ends a run. `TACHY_STATES` says how many where a
/// processor is emulated and that takes too long.
fn states() -> usize {
    const STATES: usize = 100_000;
    let number = std::env::var("TACHY_STATES").ok();
    number.map_or(STATES, |text| text.parse().unwrap_or_else(|_| panic!("TACHY_STATES must be a number, not {text}")))
}

/// The file that tests a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tested {
    Compute,
    Memory,
    Control,
    System,
}

fn class_of(line: &Line) -> Tested {
    match line.class {
        Class::Compute => Tested::Compute,
        Class::Load | Class::Store => Tested::Memory,
        Class::Branch | Class::Jump | Class::JumpIndirect => Tested::Control,
        Class::Fence | Class::System => Tested::System,
    }
}

/// The lines that a file tests.
fn lines(tested: Tested) -> impl Iterator<Item = &'static Line> {
    TABLE.iter().filter(move |line| class_of(line) == tested)
}

/// The ways of running that are compared with the interpreter.
fn setups() -> [Setup; 2] {
    // The second one changes engines within each loop.
    [Setup::eager(), Setup::eager().threshold(20).buffer_rows(256)]
}

/// Runs a case in every way and expects this trap, with nothing done by its step.
fn assert_trap(what: &str, case: &Case, cause: Cause, address: u32) -> Outcome {
    let outcome = assert_same(what, case, &setups());
    let steps = outcome.rows.len() as u64;
    let state = outcome.state.as_ref().expect("a trap is met by a session that runs");
    let End::Failed { kind: "trap", location: Some(location), text } = &outcome.end else {
        panic!("{what}: expected {cause:?}, found {:?}", outcome.end);
    };
    assert_eq!(*location, Location { pc: state.pc, step: steps }, "{what}");
    // The word is only known where it may be fetched; where it may not, nothing shows it.
    let insn = match cause {
        Cause::FetchFault => 0,
        _ => word_at(case, location.pc),
    };
    assert_eq!(*text, Trap { cause, location: *location, insn, address }.to_string(), "{what}");
    // The state is that of a run that a limit stopped before the step.
    let before = run(&case.clone().limit_steps(steps), &Setup::interpreter());
    assert_eq!(outcome.state, before.state, "{what}: the step that trapped did something");
    assert_eq!(outcome.effects, before.effects, "{what}: the step that trapped had an effect");
    outcome
}

/// The word of the program's image at an address.
fn word_at(case: &Case, address: u32) -> u32 {
    let segment = case.program.segment_at(address).expect("an address of the program");
    let offset = (address - segment.address) as usize;
    u32::from_le_bytes(segment.data[offset..offset + 4].try_into().expect("four bytes"))
}
