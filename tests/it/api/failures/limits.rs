//! Tests limits that stop a run and are raised, and runs that are cancelled: the session continues as if it had not
//! stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use tachy::risc0::host::HostEnv;
use tachy::trace::{Effect, SinkError, VecSink};
use tachy::{CancelHandle, Env, Error, Executor, Limit, Limits, MachineKind, NullSink, Row, Session, Sink};

use super::faults::Fault;
use super::subjects::{self, ENGINES, Seen, Subject, spread};

fn all() -> Vec<Subject> {
    let r0vm = [subjects::kernel(), subjects::calls().po2(16).segments().events()];
    subjects::bare().into_iter().chain([subjects::toucher()]).chain(r0vm).collect()
}

/// Sets a limit for the first run only, in every engine, to each of these values.
fn stops_and_goes_on(kind: &str, values: impl Fn(&Seen) -> Vec<u64>, set: impl Fn(&mut Limits, u64)) {
    let stopped = stops(all(), kind, values, set);
    assert!(stopped.len() == 2 * ENGINES.len() && stopped.values().all(|count| *count > 0), "{kind}: {stopped:?}");
}

/// Counts how often each machine and engine stopped.
fn stops(
    subjects: Vec<Subject>,
    kind: &str,
    values: impl Fn(&Seen) -> Vec<u64>,
    set: impl Fn(&mut Limits, u64),
) -> BTreeMap<(String, &'static str), usize> {
    let mut stopped = BTreeMap::new();
    for subject in subjects {
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
    stopped
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

/// A host's limit on cycles is the session's initial limit. It can be raised like any other.
#[test]
fn limits_on_cycles() {
    let r0vm = all().into_iter().filter(|subject| subject.machine == MachineKind::R0vm).collect();
    let values = |whole: &Seen| vec![1, 100, 1000, whole.steps()];
    let stopped = stops(r0vm, "cycle-limit", values, |limits, cycles| limits.cycles = Some(cycles));
    assert!(stopped.len() == ENGINES.len() && stopped.values().all(|count| *count > 3), "{stopped:?}");
    let host = || HostEnv::builder().session_limit(Some(1000)).build().expect("a host");
    for (own, least) in [(None, 1000), (Some(500), 500), (Some(5000), 1000)] {
        let subject = subjects::kernel();
        let limits = Limits::none().cycles(own);
        let executor = Executor::builder().machine(MachineKind::R0vm).limits(limits).build(&subject.program);
        let mut session = executor.expect("good settings").start(Env::new().host(host())).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it takes more");
        let Error::Limit(limit) = &error else { panic!("{error}") };
        assert!(matches!(limit.limit, Limit::Cycles { limit, .. } if limit == least), "{error}");
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
