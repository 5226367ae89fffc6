//! Mutation test of the random comparison: native code that is deliberately wrong, in several ways for every
//! instruction, must be detected, and soon.
//!
//! `cargo test --features wrong-lowerings --test wrong_lowerings`. The fault applies to the whole process, so this test
//! is the only one in its process.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::collections::BTreeMap;

use common::comparison::Comparison;
use common::generator::{RandomProgram, generate};
use tachy::decode::decode;
use tachy::isa::{Class, Op, TABLE, Variant};
use tachy::jit::wrong;

/// A fault must show within this many programs that contain the instruction: a small part of what the ordinary run
/// compares.
const PROGRAMS: usize = 500;
/// Number of programs that are compared without any fault, and agree.
const SOUND: usize = 40;

#[test]
fn every_wrong_lowering_is_found() {
    let mut comparison = Comparison::new(false);
    for program in programs(None).take(SOUND) {
        assert_eq!(comparison.check(&program).err(), None, "without a fault");
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut missed = Vec::new();
    let mut latest = 0;
    // A panic of an engine also detects the fault; one line for each is enough.
    std::panic::set_hook(Box::new(|_| {}));
    for (number, wrong) in wrong::all().into_iter().enumerate() {
        // Legal only on other machines.
        if wrong.op.is_some_and(|op| op.line().standard.is_none()) {
            continue;
        }
        wrong::choose(Some(number));
        let found = programs(wrong.op).take(PROGRAMS).position(|program| comparison.check(&program).is_err());
        wrong::choose(None);
        match found {
            Some(count) => latest = latest.max(count + 1),
            None => missed.push(wrong),
        }
        *kinds.entry(wrong.op.map_or("system", |op| op.line().mnemonic)).or_default() += 1;
    }
    let _ = std::panic::take_hook();
    let count: usize = kinds.values().sum();
    println!("{count} wrong lowerings found, the latest in program {latest} of those with its instruction: {kinds:?}");
    assert!(missed.is_empty(), "not found in {PROGRAMS} programs each: {missed:#?}");
    for line in TABLE.iter().filter(|line| line.standard.is_some() && line.class != Class::System) {
        assert!(kinds.get(line.mnemonic).is_some_and(|&count| count >= 2), "{}: {kinds:?}", line.mnemonic);
    }
}

/// Returns random programs with this operation in their code, in the order of their seeds.
fn programs(op: Option<Op>) -> impl Iterator<Item = RandomProgram> {
    let has = move |program: &RandomProgram| match op {
        Some(op) => {
            program.code.iter().any(|&word| decode(word, Variant::Standard).is_some_and(|found| found.op == op))
        }
        None => true,
    };
    (0..).map(generate).filter(has)
}
