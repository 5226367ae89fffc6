//! Random programs under the reference: that they are what they are meant to be, and that an outcome is a function of the
//! program alone.
//!
//! `TACHY_SEED=1234 cargo test -p oracle-reference --test random` runs one program of each shape;
//! `TACHY_PROGRAMS=10000` runs that many.

use std::env;

use oracle_random::{Program, machine_mode, user_mode};
use oracle_reference::{Environment, FailureKind, Outcome, first_difference, run, wrap};

const PROGRAMS: u64 = 60;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number, not {text}")))
}

fn outcome(program: &Program, events: usize) -> Outcome {
    let environment = Environment {
        stdin: program.stdin.clone(),
        po2: program.po2,
        session_limit: Some(program.session_limit),
        input_digest: program.input_digest,
        events,
        ..Environment::default()
    };
    run(&wrap(&program.user_elf, &program.kernel_elf), &environment)
}

/// Runs programs of a shape, twice each, and counts in how many a thing happened.
fn programs(shape: fn(u64) -> Program) -> Vec<Outcome> {
    let seed = number("TACHY_SEED");
    let first = seed.unwrap_or(0);
    let count = number("TACHY_PROGRAMS").unwrap_or(if seed.is_some() { 1 } else { PROGRAMS });
    (first..first + count)
        .map(|seed| {
            let program = shape(seed);
            let once = outcome(&program, 0);
            // Tracing must change nothing.
            let again = outcome(&program, 1_000);
            if let Some(difference) = first_difference(&once, &again) {
                panic!("seed {seed}: {difference}\nTACHY_SEED={seed} repeats it");
            }
            if env::var_os("TACHY_SHOW").is_some() {
                let segments = once.segments.len();
                println!("seed {seed}: {segments} segments, {:?}, {:?}", once.exit, once.failure);
            }
            once
        })
        .collect()
}

/// The share of outcomes in percent.
fn share(outcomes: &[Outcome], is: impl Fn(&Outcome) -> bool) -> usize {
    100 * outcomes.iter().filter(|outcome| is(outcome)).count() / outcomes.len()
}

fn failed_by(outcome: &Outcome, is: impl Fn(FailureKind) -> bool) -> bool {
    outcome.failure.as_ref().is_some_and(|failure| is(failure.kind))
}

#[test]
fn programs_in_machine_mode_are_worth_running() {
    let outcomes = programs(machine_mode);
    if outcomes.len() < 50 {
        return;
    }
    let ended = share(&outcomes, |outcome| outcome.exit.is_some());
    let split = share(&outcomes, |outcome| outcome.segments.len() > 5);
    let read = share(&outcomes, |outcome| outcome.ecalls.contains_key("Read"));
    let hashed = share(&outcomes, |outcome| outcome.ecalls.contains_key("Poseidon2"));
    assert!(ended > 50 && ended < 100, "{ended} % end by themselves");
    assert!(split > 50 && read > 40 && hashed > 20, "{split} % split, {read} % read, {hashed} % use Poseidon2");
}

#[test]
fn programs_in_user_mode_are_worth_running() {
    let outcomes = programs(user_mode);
    if outcomes.len() < 50 {
        return;
    }
    let ended = share(&outcomes, |outcome| outcome.exit.is_some());
    let trapped = share(&outcomes, |outcome| failed_by(outcome, |kind| matches!(kind, FailureKind::Trap(_))));
    let split = share(&outcomes, |outcome| outcome.segments.len() > 5);
    assert!(ended > 40 && ended < 100, "{ended} % end by themselves");
    assert!(trapped > 0 && trapped < 40, "{trapped} % end in a trap without a handler");
    assert!(split > 50, "{split} % split");
}
