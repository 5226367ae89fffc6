//! Differences between outcomes are found, wherever they are.

use oracle_reference::{
    Environment, Exit, Failure, FailureKind, Outcome, binary, compare_guests, compare_parts, first_difference, run,
    run_and_resume,
};

fn outcome() -> Outcome {
    let mut environment = Environment::with_words(&[2]);
    (environment.po2, environment.events, environment.pages) = (13, 5_000, true);
    run(&binary("smc"), &environment)
}

#[test]
fn an_outcome_is_itself() {
    assert_eq!(first_difference(&outcome(), &outcome()), None);
}

#[test]
fn each_change_is_found_and_named() {
    type Change = fn(&mut Outcome);
    let changes: [(&str, Change); 19] = [
        ("event 4321", |outcome| outcome.events[4_321] = outcome.events[0]),
        ("event 4999", |outcome| outcome.events.truncate(4_999)),
        ("segment 1, user cycles", |outcome| outcome.segments[1].user_cycles += 1),
        ("segment 2, paging cycles", |outcome| outcome.segments[2].paging_cycles += 1),
        ("segment 0, encoding: from byte 100", |outcome| outcome.segments[0].encoded[100] ^= 1),
        ("segment 0, states", |outcome| outcome.segments[0].states[1][31] ^= 1),
        ("segment 1, threshold", |outcome| outcome.segments[1].threshold = 0),
        ("segment 0, count of reads", |outcome| outcome.segments[0].reads.push(Vec::new())),
        ("segment 0, writes", |outcome| outcome.segments[0].writes.push(0)),
        ("count of segments", |outcome| _ = outcome.segments.pop()),
        ("failure", |outcome| {
            outcome.failure = Some(Failure { kind: FailureKind::SessionLimit, text: String::new() });
        }),
        ("exit", |outcome| outcome.exit = Some(Exit::Paused(0))),
        ("journal: from byte 3", |outcome| outcome.journal.as_mut().expect("it has one")[3] ^= 1),
        ("journal present", |outcome| outcome.journal = None),
        ("descriptor 1", |outcome| outcome.outputs.get_mut(&1).expect("it is watched").push(0)),
        ("page 00200800: from byte 5", |outcome| outcome.pages.get_mut(&0x802).expect("the code's page")[5] ^= 1),
        ("total cycles", |outcome| outcome.total_cycles += 1),
        ("ecall \"Terminate\"", |outcome| _ = outcome.ecalls.remove("Terminate")),
        ("system call", |outcome| *outcome.calls.values_mut().next().expect("it reads") += 1),
    ];
    let outcome = outcome();
    for (what, change) in changes {
        let mut changed = outcome.clone();
        change(&mut changed);
        let difference = first_difference(&outcome, &changed);
        assert!(difference.as_ref().is_some_and(|text| text.starts_with(what)), "{what}: {difference:?}");
    }
}

#[test]
fn a_panic_of_the_reference_wants_any_error() {
    let failed = |kind| Outcome { failure: Some(Failure { kind, text: String::new() }), ..Outcome::default() };
    let panicked = failed(FailureKind::Panic);
    assert_eq!(first_difference(&panicked, &failed(FailureKind::Other)), None);
    assert!(first_difference(&panicked, &Outcome::default()).is_some());
    assert!(first_difference(&failed(FailureKind::Trap(1)), &failed(FailureKind::Trap(2))).is_some());
}

#[test]
fn guests_are_compared_part_by_part() {
    let late = |binary: &[u8], environment: &Environment, resumes| {
        let mut parts = run_and_resume(binary, environment, resumes);
        if resumes > 0 {
            parts[2].user_cycles += 1;
        }
        parts
    };
    let differences = compare_guests(late);
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].starts_with("pause : part 2, user cycles"), "{differences:?}");
    assert_eq!(compare_parts(&[outcome()], &[]), Some("1 parts against 0".into()));
}
