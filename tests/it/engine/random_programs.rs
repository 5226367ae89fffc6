//! Runs random whole programs under both engines and compares every row, effect, register and byte. Runs them again in
//! parts, stopped by a limit and by pauses at random steps, where tracing, and with it the active engine, changes. Also
//! runs the programs that failed once.
//!
//! `TACHY_SEED=n` runs only program n; `TACHY_PROGRAMS=m` runs m programs from there on. Without them, the same 5,000
//! run each time. A failure is shrunk and printed with its listing and the command that repeats it. If native code
//! crashes the test, `TACHY_SHOW=1` shows which program it was.

use std::env;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::comparison::{Comparison, quick_setups, random_setup, setups};
use crate::common::engines::{Setup, State, difference, repeat_command, run};
use crate::common::generator::generate;
use crate::common::reached::Reached;
use crate::common::regression::{self, Regression};
use crate::common::rng::Rng;
use tachy::isa::Variant;

const PROGRAMS: u64 = 5000;
/// Number of random configurations for each program that failed once.
const REGRESSION_SETUPS: u64 = 20;

#[test]
fn random_programs_run_alike() {
    let first: Option<u64> = number("TACHY_SEED");
    let count = number("TACHY_PROGRAMS").unwrap_or(if first.is_some() { 1 } else { PROGRAMS });
    let first = first.unwrap_or(0);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failure = Mutex::new(None);
    let reached = Mutex::new(Reached::default());
    let show = env::var_os("TACHY_SHOW").is_some();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut comparison = Comparison::new(true);
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let program = generate(first + index);
                    if show {
                        eprintln!("seed {}", program.seed);
                    }
                    match comparison.check(&program) {
                        Ok(compared) => reached.lock().unwrap().add(&program, &compared, comparison.reference_rows()),
                        Err(text) => {
                            // One failure is enough; others would only mix their output with it.
                            if !failed.swap(true, Ordering::Relaxed) {
                                *failure.lock().unwrap() = Some((program, text));
                            }
                        }
                    }
                }
            });
        }
    });
    if let Some((program, text)) = failure.into_inner().unwrap() {
        let seed = program.seed;
        let Regression { found, listing, .. } = Regression::shrunk(program, &setups(seed), &text);
        panic!("seed {seed}: {text}\nshrunk to:\n{}\n{found}\n{}", listing.join("\n"), repeat_command(Some(seed)));
    }
    let reached = reached.into_inner().unwrap();
    println!("{reached}");
    if count >= PROGRAMS {
        reached.assert_wide();
    }
}

/// Programs that failed once pass now, under the setups of their seeds and under others.
#[test]
fn regressions_run_alike() {
    for (name, Regression { program, found, .. }) in regression::all() {
        let mut comparison = Comparison::new(true);
        let mut rng = Rng::new(program.seed);
        let random = |rng: &mut Rng| [random_setup(rng), random_setup(rng)];
        let all = [setups(program.seed), quick_setups(program.seed)]
            .into_iter()
            .chain((0..REGRESSION_SETUPS).map(|_| random(&mut rng)));
        for (seed, setups) in (program.seed..).zip(all) {
            if let Err(text) = comparison.check_under(&program.case(), &setups, seed) {
                panic!("{name}, found with {found}: {text}\n{}\n{}", program.listing(), repeat_command(None));
            }
        }
    }
}

/// Returns the number in an environment variable, if it is set.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// Tests the comparison itself: it finds and names a different row, a missing row and a different register.
#[test]
fn a_difference_is_found_and_shown() {
    let program = generate(1);
    let reference = run(&program.case(), &Setup::interpreter());
    let mut other = reference.clone();
    other.rows[3].rd ^= 1;
    let text = difference(&reference, &other, Variant::Standard).expect("a row differs");
    assert!(text.contains("the rows of step 3 differ"), "{text}");
    let mut other = reference.clone();
    other.rows.pop();
    assert!(difference(&reference, &other, Variant::Standard).is_some(), "a row is missing");
    let mut other = reference.clone();
    let state: &mut State = other.state.as_mut().expect("it started");
    state.registers[5] ^= 1;
    let text = difference(&reference, &other, Variant::Standard).expect("a register differs");
    assert!(text.contains("x5"), "{text}");
}

/// Shrinking keeps the failure and removes the rest.
#[test]
fn a_failure_shrinks_to_its_cause() {
    let mut program = generate(2);
    let culprit = program.code[program.code.len() / 2];
    program.shrink(400, |smaller| smaller.code.contains(&culprit));
    let left = program.code.iter().filter(|&&word| word != crate::common::generator::NOP).count();
    assert!(left <= program.code.iter().filter(|&&word| word == culprit).count(), "{left} instructions left");
}

/// Any seed gives a well-formed program, and the same one each time.
#[test]
fn any_seed_gives_a_program() {
    for seed in (0..10_000).chain(u64::MAX - 1000..=u64::MAX) {
        let program = catch_unwind(|| generate(seed));
        let program = program.unwrap_or_else(|_| panic!("seed {seed}: {}", repeat_command(Some(seed))));
        let case = program.case();
        if seed % 100 == 0 {
            assert_eq!(generate(seed).case().program.digest(), case.program.digest(), "seed {seed}");
        }
    }
}
