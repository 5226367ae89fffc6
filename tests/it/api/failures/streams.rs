//! Tests streams that fail once. On machine `bare` the step is repeated; on `r0vm` it is an error of the host and ends
//! the session.

use super::ends::ends_it;
use super::faults::{How, Point};
use super::subjects::{self, goes_on};

#[test]
fn streams_of_bare_that_fail() {
    for subject in subjects::bare() {
        for point in [Point::Read, Point::Write] {
            goes_on(&subject, point, How::Error, 200, &["stream"]);
            let failed = goes_on(&subject, point, How::Panic, 200, &["panic"]);
            assert!(failed > 0 || (subject.name, point) == ("writer", Point::Read));
        }
    }
}

/// A failed flush at the end of a run fails the run, and nothing else.
#[test]
fn streams_that_fail_when_flushed() {
    let [filter, writer] = subjects::bare();
    for subject in [filter, writer, subjects::streams()] {
        assert!(goes_on(&subject, Point::Flush, How::Error, 20, &["stream"]) > 0);
        assert!(goes_on(&subject, Point::Flush, How::Panic, 20, &["panic"]) > 0);
    }
}

#[test]
fn streams_of_r0vm_that_panic() {
    for subject in [subjects::streams(), subjects::calls(), subjects::kernel()] {
        for point in [Point::Read, Point::Write] {
            goes_on(&subject, point, How::Panic, 60, &["panic"]);
        }
    }
}

#[test]
fn streams_of_r0vm_that_fail() {
    for subject in [subjects::streams(), subjects::calls(), subjects::kernel()] {
        for point in [Point::Read, Point::Write] {
            ends_it(&subject, point, 20, "stream");
        }
    }
}
