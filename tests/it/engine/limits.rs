//! Tests limits, pauses and cancelling: where each stops a run, that the state there is correct, and that the session
//! continues to the same end as an uninterrupted one.

use std::time::Duration;

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, endless, every_setup, exit, guest, setups, toucher, writer};
use crate::common::engines::{
    Case, End, Outcome, Setup, State, assert_same, difference, final_difference, first_different_row, run, run_with,
    sink_for,
};
use crate::common::generator::generate;
use crate::common::rng::Rng;
use tachy::isa::Op;
use tachy::isa::Variant;
use tachy::trace::{DigestSink, Effect, SinkError};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limit, Limits, NullSink, Row, Sink, Status};

fn with_limits(case: &Case, change: impl FnOnce(&mut Limits)) -> Case {
    let mut case = case.clone();
    change(&mut case.limits);
    case
}

fn failed_with(outcome: &Outcome, expected: &str) -> bool {
    matches!(outcome.end, End::Failed { kind, .. } if kind == expected)
}

// ---------------------------------------------------------------------------------------------------------------------
// Limits

#[test]
fn step_limit_at_random_steps() {
    let mut rng = Rng::new(1);
    for case in [guest("fib", &["12"]), guest("smc", &["10"]), guest("args", &["x"]), writer()] {
        let whole = run(&case, &Setup::interpreter());
        let steps = whole.rows.len() as u64;
        let edges = [0, 1, 255, 256, 257, steps - 1];
        for limit in edges.into_iter().chain((0..4).map(|_| rng.below(steps))) {
            let outcome = assert_same(&format!("limit {limit}"), &case.clone().limit_steps(limit), &setups());
            if limit < steps {
                assert!(failed_with(&outcome, "step-limit"), "limit {limit} of {steps}: {:?}", outcome.end);
                assert_eq!(outcome.rows.len() as u64, limit);
                let wrong = first_different_row(&whole.rows[..limit as usize], &outcome.rows, Variant::Standard);
                assert_eq!(wrong, None, "limit {limit}");
            }
        }
        // A program that ends in exactly as many steps as allowed has not reached the limit.
        for limit in [steps, steps + 1, u64::MAX] {
            let outcome = assert_same("no limit", &case.clone().limit_steps(limit), &setups());
            assert_eq!(difference(&whole, &outcome, Variant::Standard), None, "limit {limit} of {steps}");
        }
    }
}

/// Every limit from zero to sufficient stops at the same step in each engine; a sufficient one does not stop.
#[test]
fn memory_limit_of_every_size() {
    let case = toucher(24);
    let whole = run(&case, &Setup::interpreter());
    assert!(matches!(whole.end, End::Done(_)), "{:?}", whole.end);
    let pages = whole.state.as_ref().expect("it ran").pages;
    assert!(pages > 24 * 3 / 2, "{pages}");
    let mut last_steps = 0;
    for limit_pages in 0..=pages + 1 {
        // Part of a page does not count.
        let bytes = limit_pages * 1024 + [0, 1023][limit_pages as usize % 2];
        let limited = with_limits(&case, |limits| limits.memory_bytes = Some(bytes));
        let outcome = assert_same(&format!("{limit_pages} pages"), &limited, &setups());
        assert_eq!(failed_with(&outcome, "memory-limit"), limit_pages < pages, "{limit_pages} of {pages}");
        assert!(outcome.rows.len() >= last_steps, "more memory, fewer steps");
        last_steps = outcome.rows.len();
        // A stopped run used all of its allowance.
        if let (true, Some(state)) = (limit_pages < pages, &outcome.state) {
            assert_eq!(state.pages, limit_pages);
        }
    }
    assert_eq!(last_steps, whole.rows.len());
}

#[test]
fn output_limit_of_every_size() {
    let case = writer();
    let whole = run(&case, &Setup::interpreter());
    let total = (whole.stdout.len() + whole.stderr.len()) as u64;
    assert_eq!(total, (10..21).sum::<u64>());
    for limit in (0..total + 2).step_by(3).chain([total - 1, total]) {
        let limited = with_limits(&case, |limits| limits.output_bytes = Some(limit));
        let outcome = assert_same(&format!("{limit} bytes"), &limited, &setups());
        assert_eq!(failed_with(&outcome, "output-limit"), limit < total, "{limit} of {total}: {:?}", outcome.end);
        assert!((outcome.stdout.len() + outcome.stderr.len()) as u64 <= limit, "{limit}");
    }
}

/// A time limit may stop anywhere, but it must stop, in a correct state.
#[test]
fn time_limit_on_an_endless_loop() {
    for setup in every_setup() {
        for traced in [false, true] {
            let case = with_limits(&endless(), |limits| limits.time = Some(Duration::from_millis(30)));
            let mut checked = EndlessSink { next: 0 };
            let outcome = run_with(&case, &setup, |session| match traced {
                true => session.run(&mut checked),
                false => session.run(&mut NullSink::off()),
            });
            assert!(failed_with(&outcome, "time-limit"), "{setup:?}: {:?}", outcome.end);
            assert_endless(&outcome, traced.then_some(checked.next));
        }
    }
}

/// Checks each row of [`endless`] as it passes.
struct EndlessSink {
    next: u64,
}

impl Sink for EndlessSink {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), SinkError> {
        assert_eq!((first_step, effects.len()), (self.next, 0));
        for (step, row) in (first_step..).zip(rows) {
            let expected = if step % 2 == 0 { (CODE, step / 2 + 1) } else { (CODE + 4, u64::from(CODE) + 8) };
            assert_eq!((row.pc, row.rd), (expected.0, expected.1 as u32), "step {step}");
        }
        self.next += rows.len() as u64;
        Ok(())
    }
}

fn assert_endless(outcome: &Outcome, rows: Option<u64>) {
    let state = outcome.state.as_ref().expect("it ran");
    assert_eq!(state.registers[5], state.steps.div_ceil(2) as u32);
    assert_eq!(state.pc, CODE + 4 * (state.steps % 2) as u32);
    assert!(rows.is_none_or(|rows| rows == state.steps), "{rows:?} rows of {} steps", state.steps);
}

// ---------------------------------------------------------------------------------------------------------------------
// Continuing

/// Returns whether the step limit is the test's and not the program's own.
fn is_own_cut(limit: Limit, limits: Limits) -> bool {
    matches!(limit, Limit::Steps(steps) if Some(steps) != limits.steps)
}

/// A run that stops for any reason and continues equals an uninterrupted run.
#[test]
fn pauses_limits_and_cancels_leave_no_mark() {
    let mut rng = Rng::new(2);
    for seed in 7000..7030 {
        let case = generate(seed).case();
        let limits = case.limits;
        let mut straight = DigestSink::default();
        let reference = run_with(&case, &Setup::interpreter(), |session| session.run(&mut straight));
        let steps = reference.state.as_ref().expect("it ran").steps;
        for setup in every_setup() {
            let mut sink = DigestSink::default();
            let outcome = run_with(&case, &setup, |session| {
                loop {
                    let stop = session.steps() + rng.below(steps + 1);
                    let result = match rng.below(3) {
                        0 => session.run_to(stop, &mut sink),
                        1 => {
                            session.limits_mut().steps = Some(stop.min(limits.steps.unwrap_or(u64::MAX)));
                            let result = session.run(&mut sink);
                            *session.limits_mut() = limits;
                            result
                        }
                        _ => {
                            session.cancel_handle().cancel();
                            let at = session.location();
                            let result = session.run(&mut sink);
                            assert!(
                                matches!(result, Err(Error::Cancelled { location }) if location == at),
                                "{result:?}"
                            );
                            continue;
                        }
                    };
                    match result {
                        Ok(Status::Reached) => {}
                        Err(Error::Limit(error)) if is_own_cut(error.limit, limits) => {}
                        result => return result,
                    }
                }
            });
            assert_eq!(final_difference(&reference, &outcome), None, "seed {seed} under {setup:?}");
            assert_eq!(sink.digest(), straight.digest(), "seed {seed} under {setup:?}");
        }
    }
}

/// The same for limits on memory and output, each raised a little at a time, with rows and without.
#[test]
fn raised_limits_leave_no_mark() {
    for case in [toucher(30), writer()] {
        let reference = run(&case, &Setup::interpreter());
        for setup in every_setup() {
            for traced in [false, true] {
                let start = Limits::none().memory_bytes(5 * 1024).output_bytes(0);
                let limited = with_limits(&case, |limits| *limits = start);
                let mut hits = 0;
                let outcome = run_with(&limited, &setup, |session| {
                    loop {
                        let limits = *session.limits_mut();
                        let raised = |limit: Option<u64>, by| limit.map(|limit| limit + by);
                        match session.run(&mut *sink_for(traced)) {
                            Err(Error::Limit(error)) => {
                                hits += 1;
                                match error.limit {
                                    Limit::Memory(_) => {
                                        session.limits_mut().memory_bytes = raised(limits.memory_bytes, 1024);
                                    }
                                    Limit::Output(_) => {
                                        session.limits_mut().output_bytes = raised(limits.output_bytes, 7)
                                    }
                                    other => panic!("{other:?}"),
                                }
                            }
                            result => return result,
                        }
                    }
                });
                assert!(hits > 10, "{hits} limits hit under {setup:?}");
                assert_eq!(final_difference(&reference, &outcome), None, "{setup:?}");
            }
        }
    }
}

#[test]
fn cancelling_from_another_thread() {
    for setup in every_setup() {
        for traced in [false, true] {
            let case = endless();
            let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
            let handle = session.cancel_handle();
            let result = std::thread::scope(|scope| {
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(10));
                    handle.cancel();
                });
                // Keeping the rows would fill memory, so the sink only counts.
                let mut checked = EndlessSink { next: 0 };
                let result = match traced {
                    true => session.run(&mut checked),
                    false => session.run(&mut NullSink::off()),
                };
                assert!(!traced || checked.next == session.steps());
                result
            });
            assert!(
                matches!(result, Err(Error::Cancelled { location }) if location == session.location()),
                "{result:?}"
            );
            // The session continues as if nothing had happened.
            let stop = session.steps() + 1001;
            assert_eq!(session.run_to(stop, &mut NullSink::off()).expect("it goes on"), Status::Reached);
            assert_eq!(session.registers()[5], stop.div_ceil(2) as u32, "{setup:?}");
        }
    }
}

#[test]
fn a_session_that_ended_stays_so() {
    for setup in every_setup() {
        let case = writer();
        let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
        assert_eq!(session.run(&mut NullSink::off()).expect("it ends"), Status::Exited { code: 20 });
        let before = State::of(&session, &case);
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })));
        assert_eq!(State::of(&session, &case), before);
    }
}

#[test]
fn configurations_that_make_no_sense() {
    let program = endless().program;
    for rows in [0, 1, 255, usize::MAX] {
        let result = Executor::builder().buffer_rows(rows).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })), "{rows} rows");
    }
    for engine in [Engine::Jit, Engine::Interpreter] {
        let mut options = JitOptions::default();
        options.region_instructions = 0;
        let result = Executor::builder().engine(engine).jit(options).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })));
        let mut options = JitOptions::default();
        options.code_bytes = 1000;
        let result = Executor::builder().engine(engine).jit(options).build(&program);
        assert!(matches!(result, Err(Error::Configuration { .. })));
    }
}

/// The deadline is checked between translations. Translating half a million new steps takes longer than running them.
#[test]
fn time_limit_on_what_is_all_new() {
    const STEPS: u32 = 500_000;
    let mut asm = Assembler::new(CODE);
    (0..STEPS).for_each(|_| asm.i(Op::Addi, 5, 5, 1));
    exit(&mut asm);
    let case = Case::code(CODE, &asm.finish().words, Vec::new());
    let limited = with_limits(&case, |limits| limits.time = Some(Duration::from_millis(5)));
    let executor = Setup::eager().executor(&limited);
    let mut session = executor.start(Env::new()).expect("it starts");
    let error = session.run(&mut NullSink::off()).expect_err("a region takes milliseconds");
    assert_eq!(error.kind(), "time-limit");
    assert!(session.steps() < STEPS as u64 / 2, "{}", session.steps());
    session.limits_mut().time = None;
    assert_eq!(session.run(&mut NullSink::off()).expect("there is no limit"), Status::Exited { code: 0 });
    assert_eq!((session.registers()[5], session.steps() > STEPS as u64), (STEPS, true));
}
