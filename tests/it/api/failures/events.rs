//! Tests trace callbacks that fail once: each event is delivered once, in order, independent of buffers.

use super::faults::{Fault, How, Point};
use super::subjects::{ENGINES, Subject, goes_on, kernel};

fn all() -> [Subject; 2] {
    [kernel().events(), Subject::r0vm("pause", "", 100).with_words(&[1, 10, 20]).po2(13).events()]
}

#[test]
fn callbacks_that_fail() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Event, How::Error, 12, &["event"]) > 0);
    }
}

#[test]
fn callbacks_that_panic() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Event, How::Panic, 12, &["panic"]) > 0);
    }
}

/// A callback that failed is not called again in that run. The next run begins with the event that it refused, even if
/// the program has ended.
#[test]
fn events_wait_for_the_next_run() {
    let subject = kernel().events();
    for engine in ENGINES {
        let executor = subject.executor(engine);
        let never = Fault::never();
        subject.see(&executor, &never, false);
        let all = never.calls(Point::Event);
        for call in [0, 1, all / 2, all - 2, all - 1] {
            let fault = Fault::at(Point::Event, call, How::Error);
            let mut after = Vec::new();
            subject.see_with(&executor, &fault, false, |_, _| {
                after.push(fault.calls(Point::Event));
                u64::MAX
            });
            assert_eq!(after, [0, call + 1], "{engine}, {call} of {all}");
            assert_eq!(fault.calls(Point::Event), all + 1, "{engine}, {call} of {all}");
        }
    }
}
