//! Tests every instruction of the table separately, in both engines and against the third implementation of the
//! semantics.
//!
//! Each test covers the lines of one class. `class_of` matches all classes, so a new class does not compile until
//! someone assigns its test. A new line is tested as soon as it is in the table.

mod compute;
mod control;
mod memory;
mod system;

use crate::common::engines::{Case, End, Outcome};
use crate::common::engines::{Setup, assert_same, run};
use tachy::isa::{Class, Line, TABLE};
use tachy::{Cause, Location, Trap};

/// Default address of these tests' code.
const CODE: u32 = 0x1_0000;
/// Address of tables of operands.
const OPERANDS: u32 = 0x10_0000;

/// Minimum number of states that each instruction is run in: operands, registers and immediates, counted as rows of the
/// instruction under test. Only `ebreak` has fewer, because a trap ends a run. `TACHY_STATES` overrides the number
/// where an emulated processor would take too long.
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

/// Returns the lines that a file tests.
fn lines(tested: Tested) -> impl Iterator<Item = &'static Line> {
    TABLE.iter().filter(move |line| class_of(line) == tested)
}

/// Returns the setups that are compared with the interpreter.
fn setups() -> [Setup; 2] {
    // The second one changes engines within each loop.
    [Setup::eager(), Setup::eager().threshold(20).buffer_rows(256)]
}

/// Runs a case under every setup and expects this trap, whose step must have no effect.
fn assert_trap(what: &str, case: &Case, cause: Cause, address: u32) -> Outcome {
    let outcome = assert_same(what, case, &setups());
    let steps = outcome.rows.len() as u64;
    let state = outcome.state.as_ref().expect("a trap is met by a session that runs");
    let End::Failed { kind: "trap", location: Some(location), text } = &outcome.end else {
        panic!("{what}: expected {cause:?}, found {:?}", outcome.end);
    };
    assert_eq!(*location, Location { pc: state.pc, step: steps }, "{what}");
    // The word is only known if it could be fetched. Otherwise no row shows it.
    let insn = match cause {
        Cause::FetchFault => 0,
        _ => word_at(case, location.pc),
    };
    assert_eq!(*text, Trap { cause, location: *location, insn, address }.to_string(), "{what}");
    // The state equals that of a run that a limit stopped before the step.
    let before = run(&case.clone().limit_steps(steps), &Setup::interpreter());
    assert_eq!(outcome.state, before.state, "{what}: the step that trapped did something");
    assert_eq!(outcome.effects, before.effects, "{what}: the step that trapped had an effect");
    outcome
}

/// Returns the word of the program's image at an address.
fn word_at(case: &Case, address: u32) -> u32 {
    let segment = case.program.segment_at(address).expect("an address of the program");
    let offset = (address - segment.address) as usize;
    u32::from_le_bytes(segment.data[offset..offset + 4].try_into().expect("four bytes"))
}
