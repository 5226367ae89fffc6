//! The claim of every guest's session has the digest that risc0-zkvm's own session gives it.

use oracle_reference::{binary, cases, run_session};
use oracle_tachy::{Setup, claim};

#[test]
fn claims_are_those_of_risc0_zkvm() {
    let mut compared = 0;
    for case in cases() {
        // What is written to descriptors goes nowhere here, and a guest must not miss them.
        if !case.environment.outputs.is_empty() || case.environment.session_limit.is_some() {
            continue;
        }
        let session = run_session(&binary(case.guest), &case.environment);
        let Some(expected) = session.claim.filter(|_| session.failure.is_none()) else { continue };
        let found = claim(&binary(case.guest), &case.environment, &Setup::jit());
        assert_eq!(found, Some(expected), "{} {}", case.guest, case.variant);
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
}
