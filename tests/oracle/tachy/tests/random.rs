//! Random programs in both modes under Tachy and under the reference.
//!
//! `TACHY_SEED=1234 cargo test -p oracle-tachy --test random` runs one program of each shape; `TACHY_PROGRAMS=10000` that
//! many.

use std::env;

use oracle_random::{Program, machine_mode, user_mode};
use oracle_reference::{compare_parts, run_and_resume as reference, wrap};
use oracle_tachy::{Setup, environment, run_and_resume};

const PROGRAMS: u64 = 2_500;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number, not {text}")))
}

fn compare(shape: fn(u64) -> Program) {
    let seed = number("TACHY_SEED");
    let first = seed.unwrap_or(0);
    let count = number("TACHY_PROGRAMS").unwrap_or(if seed.is_some() { 1 } else { PROGRAMS });
    for seed in first..first + count {
        let program = shape(seed);
        let environment = environment(&program);
        let binary = wrap(&program.user_elf, &program.kernel_elf);
        let expected = reference(&binary, &environment, 0);
        for setup in [Setup::interpreter(), Setup::eager(), Setup::pieces()] {
            let found = run_and_resume(&binary, &environment, 0, &setup);
            if let Some(difference) = compare_parts(&expected, &found) {
                panic!("seed {seed}, {setup:?}: {difference}\nTACHY_SEED={seed} repeats it");
            }
        }
    }
}

#[test]
fn programs_in_machine_mode_are_the_same() {
    compare(machine_mode);
}

#[test]
fn programs_in_user_mode_are_the_same() {
    compare(user_mode);
}
