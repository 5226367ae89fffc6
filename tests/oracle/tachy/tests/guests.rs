//! Every guest of the repository under Tachy and under the reference: segments, claims, journals, cycles, errors.

use oracle_reference::{Environment, compare_guests};
use oracle_tachy::{Setup, run_and_resume};

fn compare(setup: &Setup) {
    let other = |binary: &[u8], environment: &Environment, resumes| run_and_resume(binary, environment, resumes, setup);
    let differences = compare_guests(other);
    assert!(differences.is_empty(), "{setup:?}\n{}", differences.join("\n"));
}

#[test]
fn guests_are_the_same_interpreted() {
    compare(&Setup::interpreter());
}

#[test]
fn guests_are_the_same_translated_at_first_sight() {
    compare(&Setup::eager());
}

#[test]
fn guests_are_the_same_as_they_come() {
    compare(&Setup::jit());
}

#[test]
fn guests_are_the_same_in_pieces() {
    compare(&Setup::pieces());
}
