//! Tests hosts of machine `r0vm`, and callbacks of the library's own host, that fail once. After a panic the call is
//! repeated; an error ends the session.

use super::ends::ends_it;
use super::faults::{How, Point};
use super::subjects::{self, Subject, goes_on};

fn keccak() -> Subject {
    Subject::r0vm("keccak", "proven", 1000).with_words(&[300, 1]).coprocessor()
}

#[test]
fn hosts_that_panic() {
    for subject in [subjects::streams(), subjects::calls(), subjects::kernel()] {
        assert!(goes_on(&subject.own_host(), Point::Host, How::Panic, 60, &["panic"]) > 0);
    }
}

#[test]
fn callbacks_that_panic() {
    assert!(goes_on(&subjects::calls(), Point::Callback, How::Panic, 60, &["panic"]) > 0);
    assert!(goes_on(&subjects::calls(), Point::Random, How::Panic, 60, &["panic"]) > 0);
    assert!(goes_on(&keccak(), Point::Coprocessor, How::Panic, 20, &["panic"]) > 0);
}

#[test]
fn hosts_that_refuse() {
    for subject in [subjects::streams(), subjects::calls(), subjects::kernel()] {
        assert!(ends_it(&subject.own_host(), Point::Host, 20, "host") > 0);
    }
    for point in [Point::Callback, Point::Random] {
        assert!(ends_it(&subjects::calls(), point, 20, "host") > 0);
    }
    assert!(ends_it(&keccak(), Point::Coprocessor, 20, "host") > 0);
}

/// Segments contain the host's answers, each exactly once.
#[test]
fn answers_in_segments() {
    let subject = subjects::streams().po2(14).segments().own_host();
    assert!(goes_on(&subject, Point::Host, How::Panic, 12, &["panic"]) > 0);
}
