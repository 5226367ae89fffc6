//! Random whole programs under both engines: every row, effect, register and byte, then again in parts, stopped by a
//! limit and by pauses at random steps, at which tracing, and with it the engine at work, changes.
//!
//! `TACHY_SEED=n` runs program n alone, `TACHY_PROGRAMS=m` that many from there on; without, the same 2,000 each time.
//! A failure is shrunk and printed with its listing and the command that repeats it. Where native code takes the test
//! down with it, `TACHY_SHOW=1` tells which program it was.

mod common;

use std::collections::BTreeMap;
use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::engines::{
    Case, End, Outcome, Setup, State, difference, final_difference, first_different_row, repeat_command, run, run_on,
    run_with,
};
use common::generator::{RandomProgram, generate};
use common::oracle;
use common::rng::Rng;
use tachy::isa::{TABLE, Variant};
use tachy::trace::VecSink;
use tachy::{Error, Executor, JitOptions, Limit, NullSink, Sink, Status};

const PROGRAMS: u64 = 2000;
/// Tries at a smaller program that fails as well.
const SHRINK_TRIES: usize = 400;

#[test]
fn random_programs_run_alike() {
    let first: Option<u64> = number("TACHY_SEED");
    let count = number("TACHY_PROGRAMS").unwrap_or(if first.is_some() { 1 } else { PROGRAMS });
    let first = first.unwrap_or(0);
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let failure = Mutex::new(None);
    let seen = Mutex::new(Seen::default());
    let show = env::var_os("TACHY_SHOW").is_some();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    let program = generate(first + index);
                    if show {
                        eprintln!("seed {}", program.seed);
                    }
                    match checked(&program) {
                        Ok(outcome) => seen.lock().unwrap().add(&outcome),
                        Err(text) => {
                            // One is enough; the others would only mix their output with it.
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
        panic!("seed {seed}: {text}\n{}\n{}", shrunk(program), repeat_command(Some(seed)));
    }
    let seen = seen.into_inner().unwrap();
    println!("{seen}");
    if count >= PROGRAMS {
        seen.assert_wide();
    }
}

/// The number in an environment variable, if it is set.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// As [`check`], with a panic of an engine taken as a failure like any other.
fn checked(program: &RandomProgram) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| check(program))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// A smaller program that fails as well, what is wrong with it, and its listing.
fn shrunk(mut program: RandomProgram) -> String {
    // Each try may panic; one report is enough.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    program.shrink(SHRINK_TRIES, |smaller| checked(smaller).is_err());
    panic::set_hook(hook);
    let text = checked(&program).err().unwrap_or_default();
    format!("\nshrunk to:\n{}\n{text}\n", program.listing())
}

/// The ways to run a program that must not show, by turns.
fn setup(seed: u64) -> Setup {
    let eager = Setup::eager();
    match seed % 15 {
        0 | 1 => eager,
        2 => eager.buffer_rows(256),
        3 => eager.threshold(2),
        4 => eager.region_instructions(1),
        5 => eager.region_instructions(2),
        6 => eager.region_instructions(7),
        7 => eager.region_instructions(64).buffer_rows(256),
        8 => eager.region_instructions(7).threshold(2).buffer_rows(257),
        9 => eager.region_instructions(2000).buffer_rows(300),
        10 => eager.threshold(9).buffer_rows(1 << 13),
        11 => eager.take_turns(),
        12 => Setup::jit(JitOptions::default()).threshold(2),
        13 => eager.region_instructions(30).background(true),
        _ => eager.region_instructions(64).threshold(3),
    }
}

/// Runs a program in every way and says what differs.
fn check(program: &RandomProgram) -> Result<Outcome, String> {
    let case = program.case();
    let setup = setup(program.seed);
    let reference = oracle::judged(&case)?;
    let executor = setup.executor(&case);
    let mut sink = VecSink::default();
    let whole = run_on(&executor, &case, |session| session.run(&mut sink));
    let whole = Outcome { rows: sink.rows, effects: sink.effects, ..whole };
    if let Some(text) = difference(&reference, &whole, Variant::Standard) {
        return Err(format!("the whole run under {setup:?}: {text}"));
    }
    let script = Script::new(&reference, &mut Rng::new(program.seed ^ 0x7ac4));
    // The second run finds the code of the first, or none.
    let executor = if program.seed.is_multiple_of(2) { executor } else { setup.executor(&case) };
    match script.check(&case, &executor, &reference) {
        None => Ok(reference),
        Some(text) => Err(format!("{script:?} under {setup:?}: {text}")),
    }
}

/// A run in parts: up to a step limit, then on with pauses, with rows or without by turns, so that tracing and with
/// it the engine at work changes at any step.
#[derive(Debug)]
struct Script {
    /// The limit; beyond the end in some, which makes a run in one go.
    cut: u64,
    /// Steps at which it pauses later.
    pauses: Vec<u64>,
    /// For each part, whether it writes rows.
    traced: Vec<bool>,
}

impl Script {
    fn new(reference: &Outcome, rng: &mut Rng) -> Script {
        let steps = reference.rows.len() as u64;
        let cut = if rng.one_in(4) { steps + 1 } else { rng.below(steps + 1) };
        let mut pauses: Vec<u64> = (0..rng.below(3)).map(|_| cut.min(steps) + rng.below(steps + 1)).collect();
        pauses.retain(|&pause| pause <= steps);
        pauses.sort_unstable();
        // Sometimes the level stays, so that a session is also entered again as it was left.
        let mut traced = vec![rng.one_in(3)];
        for part in 0..=pauses.len() {
            traced.push(traced[part] ^ !rng.one_in(4));
        }
        Script { cut, pauses, traced }
    }

    /// What differs, if anything, between a run by this script and the run that never stopped.
    fn check(&self, case: &Case, executor: &Executor, reference: &Outcome) -> Option<String> {
        let mut wrong = None;
        let mut note = |part: &str, text: Option<String>| {
            if let Some(text) = text {
                wrong.get_or_insert(format!("{part}: {text}"));
            }
        };
        let outcome = run_on(executor, case, |session| {
            session.limits_mut().steps = Some(self.cut.min(case.limits.steps.unwrap_or(u64::MAX)));
            let mut stops = vec![self.cut];
            stops.extend(&self.pauses);
            stops.push(u64::MAX);
            for (part, (&stop, &traced)) in stops.iter().zip(&self.traced).enumerate() {
                let first = part == 0;
                let part = format!("from {} to {stop}", session.steps());
                let from = session.steps() as usize;
                let (mut rows, mut off) = (VecSink::default(), NullSink::off());
                let sink: &mut dyn Sink = if traced { &mut rows } else { &mut off };
                let result = if first { session.run(sink) } else { session.run_to(stop, sink) };
                let place = session.place();
                if traced {
                    let expected = &reference.rows[from..place.step as usize];
                    note(&part, first_different_row(expected, &rows.rows, Variant::Standard));
                    let steps = from as u64..place.step;
                    let expected = reference.effects.iter().filter(|effect| steps.contains(&effect.step));
                    note(&part, (!expected.eq(&rows.effects)).then(|| "the effects differ".to_string()));
                }
                // The end of the program may come first, and only then may a part not end where it was to.
                let ended = place.step == reference.rows.len() as u64;
                let stopped = match &result {
                    Ok(Status::Paused) => true,
                    Err(Error::Limit(error)) => first && error.limit == Limit::Steps(self.cut),
                    _ => false,
                };
                if !stopped {
                    note(&part, (!ended).then(|| format!("{result:?}")));
                    return result;
                }
                let pc = reference.rows.get(stop as usize).map(|row| row.pc);
                if place.step != stop || pc.is_some_and(|pc| pc != place.pc) {
                    note(&part, Some(format!("stopped at {place} instead of step {stop}, pc {pc:x?}")));
                }
                // At the first stop, everything is as it is where the interpreter comes to this step.
                if first {
                    let expected =
                        run_with(case, &Setup::interpreter(), |session| session.run_to(stop, &mut NullSink::off()));
                    let state = State::of(session, case);
                    let same = expected.state.as_ref() == Some(&state);
                    note(&part, (!same).then(|| format!("expected {:x?}\n  found    {state:x?}", expected.state)));
                }
                *session.limits_mut() = case.limits;
            }
            session.run(&mut NullSink::off())
        });
        wrong.or_else(|| final_difference(reference, &outcome))
    }
}

/// What the programs of a run did: a generator that no longer reaches something must not go unnoticed.
#[derive(Default)]
struct Seen {
    programs: u64,
    rows: u64,
    ends: BTreeMap<String, u64>,
    operations: BTreeMap<&'static str, u64>,
    code_stores: u64,
    lengthy: u64,
}

impl Seen {
    fn add(&mut self, outcome: &Outcome) {
        self.programs += 1;
        self.rows += outcome.rows.len() as u64;
        self.lengthy += u64::from(outcome.rows.len() >= 500);
        let end = match &outcome.end {
            End::Done(_) => "exit".to_string(),
            End::Failed { kind: "trap", text, .. } => text.split(" at ").next().unwrap_or_default().to_string(),
            End::Failed { kind, .. } => kind.to_string(),
        };
        *self.ends.entry(end).or_default() += 1;
        for row in &outcome.rows {
            let line = TABLE.iter().find(|line| line.matches(row.insn, Variant::Standard));
            *self.operations.entry(line.map_or("none", |line| line.mnemonic)).or_default() += 1;
        }
        let code = 0x1_0000..0x2_0000;
        self.code_stores +=
            outcome.rows.iter().filter(|row| row.mem_before != row.mem_after && code.contains(&row.addr)).count()
                as u64;
    }

    /// Every instruction but `ebreak`, which never has a row, and every way to end must have come up.
    fn assert_wide(&self) {
        for line in TABLE.iter().filter(|line| line.standard.is_some() && line.mnemonic != "ebreak") {
            assert!(self.operations.contains_key(line.mnemonic), "no {} in any program", line.mnemonic);
        }
        assert!(self.ends.len() >= 10, "exit, step limit and every trap should be there: {:?}", self.ends);
        assert!(self.code_stores >= self.programs, "hardly any program changed itself: {}", self.code_stores);
        assert!(self.lengthy >= self.programs / 2, "too many short runs: {} long ones", self.lengthy);
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seen { programs, rows, ends, code_stores, lengthy, .. } = self;
        write!(f, "{programs} programs ({lengthy} of 500 steps or more), {rows} rows, {code_stores} stores that ")?;
        write!(f, "changed code; ends: {ends:?}")
    }
}

/// The comparison itself: a row, a missing row and a register that differ are found and named.
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

/// Shrinking keeps the failure and drops the rest.
#[test]
fn a_failure_shrinks_to_its_cause() {
    let mut program = generate(2);
    let culprit = program.code[program.code.len() / 2];
    program.shrink(SHRINK_TRIES, |smaller| smaller.code.contains(&culprit));
    let left = program.code.iter().filter(|&&word| word != common::generator::NOP).count();
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
