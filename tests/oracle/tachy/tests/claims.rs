//! The claim of every guest's session has the digest that risc0-zkvm's own session gives it.

use oracle_reference::{binary, cases, run, run_session};
use oracle_tachy::{Setup, claim};

#[test]
fn claims_are_those_of_risc0_zkvm() {
    let (mut compared, mut assuming) = (0, 0);
    for case in cases() {
        let binary = binary(case.guest);
        let session = run_session(&binary, &case.environment);
        let Some(expected) = session.claim.filter(|_| session.failure.is_none()) else { continue };
        // Random answers are random there, and what a guest commits may follow from them.
        if run(&binary, &case.environment).journal != session.journal {
            continue;
        }
        let found = claim(&binary, &case.environment, &Setup::jit());
        assert_eq!(found, Some(expected), "{} {}", case.guest, case.variant);
        compared += 1;
        assuming += usize::from(!case.environment.assumptions.is_empty());
    }
    assert!(compared > 20 && assuming > 0, "{compared}, {assuming} with assumptions");
}
