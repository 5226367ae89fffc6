//! The parts of a run are put together as risc0-zkvm's own session does it, for every guest.

use oracle_reference::{binary, cases, run, run_session};

#[test]
fn a_session_of_risc0_zkvm_says_the_same() {
    for case in cases() {
        let what = format!("{} {}", case.guest, case.variant);
        let ours = run(&binary(case.guest), &case.environment);
        let session = run_session(&binary(case.guest), &case.environment);
        assert_eq!(ours.failure, session.failure, "{what}");
        assert_eq!(ours.exit, session.exit, "{what}");
        assert_eq!(ours.journal, session.journal, "{what}");
        assert_eq!(ours.outputs, session.outputs, "{what}");
        let cycles = |outcome: &oracle_reference::Outcome| {
            [outcome.user_cycles, outcome.paging_cycles, outcome.reserved_cycles, outcome.total_cycles]
        };
        assert_eq!(cycles(&ours), cycles(&session), "{what}");
        if session.failure.is_none() {
            assert_eq!(ours.pre_state, session.pre_state, "{what}");
        }
    }
}
