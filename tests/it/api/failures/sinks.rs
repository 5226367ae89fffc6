//! Tests sinks that fail once: what they refuse is delivered again, and no other receiver gets more or less.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tachy::trace::{CsvSink, Effect, FileSink, Level, SinkError, Tee, VecSink};
use tachy::{NullSink, Row, Sink};

use super::faults::{Fault, How, Point, Recorder, Said, Taker};
use super::subjects::{self, ENGINES, Seen, Subject, goes_on};

fn all() -> Vec<Subject> {
    subjects::bare().into_iter().chain([subjects::kernel(), subjects::calls().events()]).collect()
}

#[test]
fn sinks_that_fail() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Sink, How::Error, 20, &["sink"]) > 0);
    }
}

#[test]
fn sinks_that_panic() {
    for subject in all() {
        assert!(goes_on(&subject, Point::Sink, How::Panic, 20, &["panic"]) > 0);
    }
}

/// A sink that panics when it is asked for its level changes nothing at all.
#[test]
fn sinks_that_panic_before_the_first_step() {
    struct Moody<'a>(&'a mut Recorder, Fault);
    impl Sink for Moody<'_> {
        fn level(&self) -> Level {
            let _ = self.1.meet(Point::Sink);
            Level::Rows
        }

        fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
            self.0.rows(first_step, rows, effects)
        }
    }
    for subject in all() {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let whole = subject.see(&executor, &Fault::never(), true);
            let mut session = executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
            let mut recorder = Recorder { kept: VecSink::default(), fault: Fault::never() };
            let half = session.steps() + whole.steps() / 2;
            session.run_to(half, &mut recorder).expect("it pauses");
            let mut moody = Moody(&mut recorder, Fault::at(Point::Sink, 0, How::Panic));
            assert!(catch_unwind(AssertUnwindSafe(|| session.run(&mut moody))).is_err(), "{}", subject.name);
            assert_eq!(session.steps(), half, "{}, {engine}", subject.name);
            session.run(&mut moody).expect("it goes on");
            assert!(recorder.kept.rows == whole.sink.rows, "{}, {engine}", subject.name);
            assert!(recorder.kept.effects == whole.sink.effects, "{}, {engine}", subject.name);
        }
    }
}

/// The next run delivers what a sink refused first, to whatever sink it has. A run without rows drops it.
#[test]
fn rows_that_a_sink_refuses_come_again() {
    for subject in all() {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let whole = subject.see(&executor, &Fault::never(), true);
            for how in [How::Error, How::Panic] {
                let start = || executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
                let mut session = start();
                let mut sink = Recorder { kept: VecSink::default(), fault: Fault::at(Point::Sink, 1, how) };
                let failed = catch_unwind(AssertUnwindSafe(|| session.run(&mut sink)));
                assert!(!matches!(failed, Ok(Ok(_))), "{engine}: {failed:?}");
                let (taken, done) = (sink.kept.rows.len(), session.steps());
                assert!((taken as u64) < done && sink.fault.calls(Point::Sink) == 2, "{engine}, {how:?}: {taken}");
                let mut other = VecSink::default();
                session.run(&mut other).expect("it goes on");
                sink.kept.rows.extend(other.rows);
                sink.kept.effects.extend(other.effects);
                assert!(sink.kept.rows == whole.sink.rows, "{}, {engine}, {how:?}", subject.name);
                assert!(sink.kept.effects == whole.sink.effects, "{}, {engine}, {how:?}", subject.name);

                let mut session = start();
                let mut sink = Recorder { kept: VecSink::default(), fault: Fault::at(Point::Sink, 1, how) };
                let failed = catch_unwind(AssertUnwindSafe(|| session.run(&mut sink)));
                assert!(!matches!(failed, Ok(Ok(_))), "{engine}: {failed:?}");
                let done = session.steps();
                session.run_to(done, &mut NullSink::off()).expect("it has nothing to do");
                let mut other = VecSink::default();
                session.run(&mut other).expect("it goes on");
                assert!(other.rows == whole.sink.rows[done as usize..], "{}, {engine}, {how:?}", subject.name);
            }
        }
    }
}

/// Two sinks in one: whichever fails, both get everything once.
#[test]
fn a_pair_gets_everything() {
    for subject in all() {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let whole = subject.see(&executor, &Fault::never(), true);
            for how in [How::Error, How::Panic] {
                for first in [true, false] {
                    let mut session =
                        executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
                    let recorder = |fault| Recorder { kept: VecSink::default(), fault };
                    let (fails, whole_sink) = (recorder(Fault::at(Point::Sink, 0, how)), recorder(Fault::never()));
                    let mut pair = if first { Tee::new(fails, whole_sink) } else { Tee::new(whole_sink, fails) };
                    let failed = catch_unwind(AssertUnwindSafe(|| session.run(&mut pair)));
                    assert!(!matches!(failed, Ok(Ok(_))), "{engine}: {failed:?}");
                    let _ = session.run(&mut pair);
                    for sink in [&pair.first, &pair.second] {
                        assert!(sink.kept.rows == whole.sink.rows, "{}, {engine}, {how:?}", subject.name);
                        assert!(sink.kept.effects == whole.sink.effects, "{}, {engine}, {how:?}", subject.name);
                    }
                    assert!(session.run(&mut NullSink::off()).is_err(), "it has ended");
                }
            }
        }
    }
}

/// The library's own sinks neither repeat nor omit a byte, wherever their stream fails.
#[test]
fn files_go_on_behind_the_last_byte() {
    /// Returns all that a run writes through a sink, continuing after each failure, and the number of failures.
    fn written<S: Sink>(subject: &Subject, engine: &str, fault: Fault, sink: impl Fn(Taker) -> S) -> (Vec<u8>, usize) {
        let said = Said::default();
        let mut sink = sink(Taker::new(&said, 777, &fault));
        let executor = subject.executor(engine);
        let mut session = executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
        let mut failures = 0;
        while let Err(error) = session.run(&mut sink) {
            assert_eq!(error.kind(), "sink", "{engine}: {error}");
            failures += 1;
            assert!(failures < 100_000, "{engine}: {error}");
        }
        drop(sink);
        let bytes = said.lock().expect("nobody panics").clone();
        (bytes, failures)
    }
    let file = |taker| FileSink::new(taker);
    let text = |taker| CsvSink::new(Some(taker), None::<Vec<u8>>);
    for subject in subjects::bare() {
        for engine in ENGINES {
            let often = |seed| Fault::often(seed, &[(Point::Write, 3, &[How::Error])]);
            let whole = written(&subject, engine, Fault::never(), file).0;
            let whole_text = written(&subject, engine, Fault::never(), text).0;
            let mut failed = 0;
            for seed in 0..5 {
                let (bytes, failures) = written(&subject, engine, often(seed), file);
                assert!(bytes == whole, "{}, {engine}, seed {seed}", subject.name);
                failed += failures;
                let call = seed as usize * 3 + 4;
                let (bytes, failures) = written(&subject, engine, Fault::at(Point::Write, call, How::Error), text);
                assert!(bytes == whole_text && failures <= 1, "{}, {engine}, call {call}", subject.name);
                failed += failures;
            }
            assert!(failed > 5, "{}, {engine}: {failed}", subject.name);
        }
    }
}
