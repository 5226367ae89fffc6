//! Tests a callback for segments that fails once: each segment is delivered once, in order, and the run continues.

use super::faults::{Fault, How, Point};
use super::subjects::{ENGINES, Subject, goes_on, spread};

fn all() -> [Subject; 2] {
    [
        Subject::r0vm("kernel_modes", "short segments", 100).segments(),
        Subject::r0vm("pause", "", 100).with_words(&[1, 10, 20]).po2(14).segments(),
    ]
}

#[test]
fn takers_of_segments_that_fail() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Segment, How::Error, 8, &["segment"]) > 0);
    }
}

#[test]
fn takers_of_segments_that_panic() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Segment, How::Panic, 8, &["panic"]) > 0);
    }
}

/// After a failure, the callback is not called again in the same run. The next run begins with the segment that was
/// refused, even if the program has ended.
#[test]
fn segments_wait_for_the_next_run() {
    let subject = Subject::r0vm("kernel_modes", "short segments", 100).segments();
    for engine in ENGINES {
        let executor = subject.executor(engine);
        let never = Fault::never();
        subject.see(&executor, &never, false);
        let all = never.calls(Point::Segment);
        assert!(all > 3, "{all}");
        for call in spread(all, 8) {
            let fault = Fault::at(Point::Segment, call, How::Error);
            let mut after = Vec::new();
            subject.see_with(&executor, &fault, false, |_, _| {
                after.push(fault.calls(Point::Segment));
                u64::MAX
            });
            assert_eq!(after, [0, call + 1], "{engine}, {call} of {all}");
            assert_eq!(fault.calls(Point::Segment), all + 1, "{engine}, {call} of {all}");
        }
    }
}
