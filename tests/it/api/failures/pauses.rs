//! Tests runs to a step, and programs that pause and are resumed, with failures in between: the result is the same.

use super::faults::{Fault, How, Point};
use super::subjects::{self, ENGINES, Subject, goes_on, spread};

fn pause() -> Subject {
    Subject::r0vm("pause", "", 3).with_words(&[2, 10, 20, 30])
}

#[test]
fn runs_to_a_step() {
    for subject in subjects::bare().into_iter().chain([subjects::kernel().events(), pause().segments()]) {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            for rows in [true, false] {
                let whole = subject.see(&executor, &Fault::never(), rows);
                for steps in [1000, 7777] {
                    let seen = subject.see_with(&executor, &Fault::never(), rows, |_, session| session.steps() + steps);
                    assert!(seen.failures.is_empty(), "{:?}", seen.failures);
                    if let Some(difference) = seen.difference(&whole, &subject) {
                        panic!("{}, {engine}, by {steps} steps: {difference}", subject.name);
                    }
                }
            }
        }
    }
}

/// Streams are flushed wherever a run stops. A failed flush there fails the run, not the session.
#[test]
fn flushes_that_fail_at_a_pause() {
    for subject in subjects::bare().into_iter().chain([subjects::streams()]) {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let never = Fault::never();
            let steps = subject.see(&executor, &never, false).steps();
            let by = |session: &mut tachy::Session<'_>| session.steps() + steps / 5;
            let never = Fault::never();
            let whole = subject.see_with(&executor, &never, true, |_, session| by(session));
            for how in [How::Error, How::Panic] {
                for call in spread(never.calls(Point::Flush), 12) {
                    let fault = Fault::at(Point::Flush, call, how);
                    let seen = subject.see_with(&executor, &fault, true, |_, session| by(session));
                    let what = format!("{}, {engine}, flush {call}, {how:?}", subject.name);
                    assert_eq!(seen.failures.len(), 1, "{what}: {:?}", seen.failures);
                    if let Some(difference) = seen.difference(&whole, &subject) {
                        panic!("{what}: {difference}");
                    }
                }
            }
        }
    }
}

#[test]
fn parts_of_a_program_that_pauses() {
    assert!(goes_on(&pause(), Point::Read, How::Panic, 40, &["panic"]) > 0);
    assert!(goes_on(&pause().own_host(), Point::Host, How::Panic, 40, &["panic"]) > 0);
    assert!(goes_on(&pause(), Point::Sink, How::Panic, 12, &["panic"]) > 0);
    assert!(goes_on(&pause(), Point::Sink, How::Error, 12, &["sink"]) > 0);
}
