//! Tests repeated failures: every point fails again and again, at random, and the result is the same in the end.

use super::faults::{Fault, How, Point};
use super::subjects::{self, ENGINES, Subject};

const BOTH: &[How] = &[How::Error, How::Panic];
const PANIC: &[How] = &[How::Panic];

fn nothing_shows(subject: &Subject, places: &[(Point, u64, &[How])]) {
    for engine in ENGINES {
        let executor = subject.executor(engine);
        let whole = subject.see(&executor, &Fault::never(), true);
        let mut failures = 0;
        for seed in 0..12 {
            let seen = subject.see(&executor, &Fault::often(seed, places), true);
            let what = format!("{}, {engine}, seed {seed}", subject.name);
            assert!(
                seen.failures.iter().all(|kind| ["panic", "sink", "segment", "event", "stream"].contains(kind)),
                "{:?}",
                seen.failures
            );
            if let Some(difference) = seen.difference(&whole, subject) {
                panic!("{what}, after {:?}: {difference}", seen.failures);
            }
            failures += seen.failures.len();
        }
        assert!(failures > 12, "{}, {engine}: {failures}", subject.name);
    }
}

#[test]
fn failures_upon_failures() {
    for subject in subjects::bare() {
        nothing_shows(
            &subject,
            &[(Point::Read, 4, BOTH), (Point::Write, 4, BOTH), (Point::Flush, 6, BOTH), (Point::Sink, 5, BOTH)],
        );
    }
    let places = [
        (Point::Read, 8, PANIC),
        (Point::Write, 8, PANIC),
        (Point::Flush, 8, PANIC),
        (Point::Host, 10, PANIC),
        (Point::Callback, 2, PANIC),
        (Point::Random, 3, PANIC),
        (Point::Sink, 10, BOTH),
        (Point::Segment, 3, BOTH),
        (Point::Event, 20_000, BOTH),
    ];
    for subject in [
        subjects::streams().po2(14).segments().own_host(),
        subjects::calls().events(),
        subjects::kernel().po2(14).segments().events(),
        Subject::r0vm("pause", "", 1).with_words(&[2, 10, 20, 30]).po2(14).segments().events(),
    ] {
        nothing_shows(&subject, &places);
    }
}
