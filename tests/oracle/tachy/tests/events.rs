//! Trace events under Tachy and under the reference: the same ones in the same order, of every guest and of random
//! programs, to the last one before an error.

use oracle_random::{Program, machine_mode, user_mode};
use oracle_reference::{Environment, binary, cases, compare_parts, run_and_resume as reference, wrap};
use oracle_tachy::{Setup, environment, run_and_resume};

/// The first events that are compared: of guests about five million steps.
const EVENTS: usize = 12_000_000;
const RANDOM_PROGRAMS: u64 = 40;

fn compare(name: &str, bytes: &[u8], environment: &Environment, resumes: usize) {
    let expected = reference(bytes, environment, resumes);
    for setup in [Setup::interpreter(), Setup::eager()] {
        let found = run_and_resume(bytes, environment, resumes, &setup);
        let lengths =
            |parts: &[oracle_reference::Outcome]| parts.iter().map(|part| part.events.len()).collect::<Vec<_>>();
        let difference = compare_parts(&expected, &found);
        assert_eq!(difference, None, "{name}, {setup:?}");
        assert_eq!(lengths(&expected), lengths(&found), "{name}, {setup:?}: numbers of events");
    }
}

#[test]
fn events_of_guests_are_the_same() {
    for mut case in cases() {
        case.environment.events = EVENTS;
        let name = format!("{} {}", case.guest, case.variant);
        compare(&name, &binary(case.guest), &case.environment, case.resumes);
    }
}

#[test]
fn events_of_random_programs_are_the_same() {
    for shape in [machine_mode as fn(u64) -> Program, user_mode] {
        for seed in 0..RANDOM_PROGRAMS {
            let program = shape(seed);
            let environment = Environment { events: EVENTS, ..environment(&program) };
            compare(&format!("seed {seed}"), &wrap(&program.user_elf, &program.kernel_elf), &environment, 0);
        }
    }
}
