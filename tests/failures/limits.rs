//! Limits that stop a run and are raised, and runs that are cancelled: the session goes on as if it had not stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use tachy::trace::{Effect, SinkError, VecSink};
use tachy::{CancelHandle, Error, Limits, Row, Session, Sink};

use crate::faults::Fault;
use crate::subjects::{self, ENGINES, Seen, Subject, spread};

fn all() -> Vec<Subject> {
    let r0vm = [subjects::kernel(), subjects::calls().po2(16).segments().events()];
    subjects::bare().into_iter().chain([subjects::toucher()]).chain(r0vm).collect()
}

/// Sets a limit for the first run alone, in every engine, with each of these values.
fn stops_and_goes_on(kind: &str, values: impl Fn(&Seen) -> Vec<u64>, set: impl Fn(&mut Limits, u64)) {
    let mut stopped = BTreeMap::new();
    for subject in all() {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let whole = subject.see(&executor, &Fault::never(), true);
            for value in values(&whole) {
                let seen = subject.see_with(&executor, &Fault::never(), true, |run, session: &mut Session<'_>| {
                    *session.limits_mut() = Limits::default();
                    if run == 0 {
                        set(session.limits_mut(), value);
                    }
                    u64::MAX
                });
                let what = format!("{}, {kind} {value}, {engine}", subject.name);
                assert!(seen.failures.iter().all(|failure| *failure == kind), "{what}: {:?}", seen.failures);
                if let Some(difference) = seen.difference(&whole, &subject) {
                    panic!("{what}: {difference}");
                }
                *stopped.entry((subject.machine.to_string(), engine)).or_insert(0) += seen.failures.len();
            }
        }
    }
    assert!(stopped.len() == 2 * ENGINES.len() && stopped.values().all(|count| *count > 0), "{kind}: {stopped:?}");
}

#[test]
fn limits_on_steps() {
    let steps = |whole: &Seen| spread(whole.sink.rows.len(), 12).into_iter().map(|step| step as u64).collect();
    stops_and_goes_on("step-limit", steps, |limits, steps| limits.steps = Some(steps));
}

#[test]
fn limits_on_memory() {
    let bytes = |whole: &Seen| (0..12).map(|fewer| whole.pages().saturating_sub(fewer) * 1024).collect();
    stops_and_goes_on("memory-limit", bytes, |limits, bytes| limits.memory_bytes = Some(bytes));
}

#[test]
fn limits_on_output() {
    let bytes = |whole: &Seen| spread(whole.output_bytes(), 12).into_iter().map(|bytes| bytes as u64).collect();
    stops_and_goes_on("output-limit", bytes, |limits, bytes| limits.output_bytes = Some(bytes));
}

#[test]
fn limits_on_time() {
    stops_and_goes_on("time-limit", |_| vec![0], |limits, _| limits.time = Some(Duration::ZERO));
}

/// The limit on cycles is the environment's: it cannot be raised, and says the same again.
#[test]
fn limits_on_cycles() {
    let subject = subjects::kernel();
    for engine in ENGINES {
        let executor = subject.executor(engine);
        for cycles in [1, 100, 1000, 5000] {
            let env = subject.env(&Seen::outputs(), &Fault::never()).limit_cycles(cycles);
            let mut session = executor.start(env).expect("it starts");
            let mut sink = VecSink::default();
            let first = session.run(&mut sink).expect_err("it takes more");
            let (rows, effects) = (sink.rows.len(), sink.effects.len());
            let before = (session.place(), session.report(), session.memory_digest());
            for _ in 0..2 {
                let again = session.run(&mut sink).expect_err("it takes more");
                assert_eq!((again.kind(), again.to_string()), ("cycle-limit", first.to_string()), "{engine}, {cycles}");
                assert_eq!((sink.rows.len(), sink.effects.len()), (rows, effects), "{engine}, {cycles}");
                assert_eq!((session.place(), session.report(), session.memory_digest()), before, "{engine}, {cycles}");
            }
        }
    }
}

/// Cancels the run at one of its buffers.
struct Cancels {
    kept: VecSink,
    buffers_left: usize,
    handle: CancelHandle,
}

impl Sink for Cancels {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        if self.buffers_left == 0 {
            self.handle.cancel();
        }
        self.buffers_left = self.buffers_left.wrapping_sub(1);
        self.kept.rows(first_step, rows, effects)
    }
}

#[test]
fn runs_that_are_cancelled() {
    for subject in all() {
        for engine in ENGINES {
            let executor = subject.executor(engine);
            let whole = subject.see(&executor, &Fault::never(), true);
            let mut cancelled = 0;
            for buffers_left in 0..8 {
                let mut session = executor.start(subject.env(&Seen::outputs(), &Fault::never())).expect("it starts");
                let handle = session.cancel_handle();
                let mut sink = Cancels { kept: VecSink::default(), buffers_left, handle };
                let mut end = session.run(&mut sink);
                while matches!(end, Err(Error::Cancelled { .. })) {
                    cancelled += 1;
                    end = session.run(&mut sink);
                }
                assert!(end.is_ok(), "{}, {engine}: {end:?}", subject.name);
                assert!(sink.kept.rows == whole.sink.rows, "{}, {engine}, {buffers_left}", subject.name);
                assert!(sink.kept.effects == whole.sink.effects, "{}, {engine}, {buffers_left}", subject.name);
            }
            assert!(cancelled > 0, "{}, {engine}", subject.name);
        }
    }
}
