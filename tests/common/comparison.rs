//! Runs one random program under various setups and compares each run with the interpreter's: every row and effect,
//! registers, memory, counts, output and error. It compares both whole runs and runs in parts.
//!
//! It keeps its buffers from program to program, because fresh memory for each would cost more than running them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tachy::isa::Variant;
use tachy::trace::{Effect, VecSink};
use tachy::{Error, Executor, JitOptions, Limit, MachineKind, NullSink, Row, Sink, Stats, Status};

use super::engines::{
    Case, Outcome, Setup, State, final_difference, first_different_effect, first_different_row, run_on, run_with,
};
use super::generator::RandomProgram;
use super::oracle;
use super::rng::Rng;

/// Base address of R0VM's kernels.
const KERNEL: u32 = 0xc000_0000;

/// Compares programs, one after the other.
pub struct Comparison {
    /// Whether the oracle and a replay also judge the interpreter's rows. The oracle is the third implementation of the
    /// semantics, and the slowest.
    judged: bool,
    rows: Vec<Row>,
    effects: Vec<Effect>,
}

/// What a comparison without a difference did.
pub struct Compared {
    /// The interpreter's run. The comparison itself holds its rows and effects.
    pub reference: Outcome,
    /// Rows that native runs wrote and that were compared.
    pub rows: u64,
    /// Statistics of the native runs.
    pub stats: Vec<Stats>,
}

impl Comparison {
    pub fn new(judged: bool) -> Comparison {
        Comparison { judged, rows: Vec::new(), effects: Vec::new() }
    }

    /// Runs a program under several setups. A difference, or an engine's panic, is the text of the error.
    pub fn check(&mut self, program: &RandomProgram) -> Result<Compared, String> {
        self.check_under(&program.case(), &setups(program.seed), program.seed)
    }

    /// Like [`Comparison::check`], with these setups: the first for the whole run, the second for the run in parts,
    /// which `seed` determines.
    pub fn check_under(&mut self, case: &Case, setups: &[Setup; 2], seed: u64) -> Result<Compared, String> {
        let result = catch_unwind(AssertUnwindSafe(|| self.compare(case, setups, seed)));
        result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Err(format!("panicked: {}", text.unwrap_or_default()))
        })
    }

    /// Returns the rows of the last program compared.
    pub fn reference_rows(&self) -> &[Row] {
        &self.rows
    }

    fn compare(&mut self, case: &Case, setups: &[Setup; 2], seed: u64) -> Result<Compared, String> {
        let reference = self.reference(case)?;
        let [setup, other] = setups;
        let executor = setup.executor(case);
        let mut compared = Compared { reference, rows: 0, stats: Vec::new() };
        let mut against = self.against(0);
        let outcome = run_on(&executor, case, |session| {
            let result = session.run(&mut against);
            compared.stats.push(session.stats());
            result
        });
        let steps = self.rows.len() as u64;
        let wrong = against.finish_all().or_else(|| final_difference(&compared.reference, &outcome));
        if let Some(text) = wrong {
            return Err(format!("the whole run under {setup:?}: {text}"));
        }
        compared.rows += steps;
        let script = Script::new(steps, &mut Rng::new(seed ^ 0x7ac4));
        // The second run either reuses the code of the first, or starts cold.
        let (executor, setup) = if seed.is_multiple_of(2) { (executor, setup) } else { (other.executor(case), other) };
        match self.check_parts(&script, case, &executor, &mut compared) {
            None => none_refused(compared, setup),
            Some(text) => Err(format!("{script:?} under {setup:?}: {text}")),
        }
    }

    /// Runs the interpreter and keeps its rows.
    fn reference(&mut self, case: &Case) -> Result<Outcome, String> {
        // The oracle and the replay do not support kernels.
        if self.judged && case.machine == MachineKind::Bare {
            let outcome = oracle::judged(case)?;
            self.rows = outcome.rows;
            self.effects = outcome.effects;
            return Ok(Outcome { rows: Vec::new(), effects: Vec::new(), ..outcome });
        }
        let mut sink = VecSink { rows: std::mem::take(&mut self.rows), effects: std::mem::take(&mut self.effects) };
        sink.rows.clear();
        sink.effects.clear();
        let outcome = run_with(case, &Setup::interpreter(), |session| session.run(&mut sink));
        (self.rows, self.effects) = (sink.rows, sink.effects);
        Ok(outcome)
    }

    fn against(&self, from: u64) -> Against<'_> {
        let first_effect = self.effects.partition_point(|effect| effect.step < from);
        Against { rows: &self.rows, effects: &self.effects, next: from, next_effect: first_effect, wrong: None }
    }

    /// Returns the difference, if any, between a run by this script and the uninterrupted run.
    fn check_parts(
        &self,
        script: &Script,
        case: &Case,
        executor: &Executor,
        compared: &mut Compared,
    ) -> Option<String> {
        let mut wrong = None;
        let mut note = |part: &str, text: Option<String>| {
            if let Some(text) = text {
                wrong.get_or_insert(format!("{part}: {text}"));
            }
        };
        let outcome = run_on(executor, case, |session| {
            session.limits_mut().steps = Some(script.cut.min(case.limits.steps.unwrap_or(u64::MAX)));
            let mut stops = vec![script.cut];
            stops.extend(&script.pauses);
            stops.push(u64::MAX);
            for (part, (&stop, &traced)) in stops.iter().zip(&script.traced).enumerate() {
                let first = part == 0;
                let part = format!("from {} to {stop}", session.steps());
                let from = session.steps();
                let (mut rows, mut off) = (self.against(from), NullSink::off());
                let sink: &mut dyn Sink = if traced { &mut rows } else { &mut off };
                let result = if first { session.run(sink) } else { session.run_to(stop, sink) };
                compared.stats.push(session.stats());
                let location = session.location();
                if traced {
                    note(&part, rows.finish(location.step));
                    compared.rows += location.step - from;
                }
                // A part ends at its target step, unless the program ends first.
                let ended = location.step == self.rows.len() as u64;
                let stopped = match &result {
                    Ok(Status::Reached) => true,
                    Err(Error::Limit(error)) => first && error.limit == Limit::Steps(script.cut),
                    _ => false,
                };
                if !stopped {
                    note(&part, (!ended).then(|| format!("{result:?}")));
                    return result;
                }
                let pc = self.rows.get(stop as usize).map(|row| row.pc);
                // A trap enters the kernel's handler without a step of its own: from the user's code, or from anywhere
                // that the user has jumped to.
                let last = stop.checked_sub(1).and_then(|last| self.rows.get(last as usize));
                let is_user = location.pc < KERNEL || last.is_some_and(|row| row.pc < KERNEL);
                let traps = case.machine == MachineKind::R0vm && pc.is_some_and(|pc| pc >= KERNEL) && is_user;
                if location.step != stop || pc.is_some_and(|pc| pc != location.pc && !traps) {
                    note(&part, Some(format!("stopped at {location} instead of step {stop}, pc {pc:x?}")));
                }
                // At the first stop, the state equals the interpreter's state at the same step.
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
        wrong.or_else(|| final_difference(&compared.reference, &outcome))
    }
}

/// Returns what was compared, unless a region got no native code: then the comparison covered less of the JIT than
/// intended.
fn none_refused(compared: Compared, setup: &Setup) -> Result<Compared, String> {
    match compared.stats.iter().map(|stats| stats.regions_refused).max() {
        None | Some(0) => Ok(compared),
        Some(count) => Err(format!("{count} regions were refused under {setup:?} or before")),
    }
}

/// Returns two setups that must not affect the result: one of those that differ most, chosen in turn, and a random one.
pub fn setups(seed: u64) -> [Setup; 2] {
    let eager = Setup::eager();
    let first = match seed % 15 {
        0 | 1 => eager,
        2 => eager.buffer_rows(256).merge_interval_steps(200),
        3 => eager.threshold(2),
        4 => eager.region_instructions(1),
        5 => eager.region_instructions(2),
        6 => eager.region_instructions(7).merge_interval_steps(100),
        7 => eager.region_instructions(64).buffer_rows(256),
        8 => eager.region_instructions(7).threshold(2).buffer_rows(257),
        9 => eager.region_instructions(2000).buffer_rows(300),
        10 => eager.threshold(9).buffer_rows(1 << 13).merge_interval_steps(1000),
        // Alternating engines is slow at every step, so only some of these programs do it. Long ones get it by chance,
        // below.
        11 if seed.is_multiple_of(4) => eager.alternate_engines(),
        11 => eager.threshold(300),
        12 => Setup::jit(JitOptions::default()).threshold(2),
        13 => eager.region_instructions(30).background(true).merge_interval_steps(500),
        _ => eager.region_instructions(64).threshold(3),
    };
    [first, random_setup(&mut Rng::new(seed ^ 0xc0f1))]
}

/// Returns a random configuration: region cap, threshold, buffer size, code budget, when regions are merged, changes of
/// engine.
pub fn random_setup(rng: &mut Rng) -> Setup {
    // Draws small numbers as often as large ones.
    let magnitude = |rng: &mut Rng, bits: u64| {
        let end = 1 << rng.below(bits + 1);
        1 + rng.below(end)
    };
    let setup = Setup::eager()
        .region_instructions(magnitude(rng, 10) as usize)
        .threshold(if rng.one_in(3) { 0 } else { magnitude(rng, 11) as u16 })
        .buffer_rows(255 + magnitude(rng, 14) as usize)
        .code_bytes((1 << 20) * magnitude(rng, 6) as usize)
        .merge_interval_steps(if rng.one_in(3) { 0 } else { 63 + magnitude(rng, 13) as u32 });
    match rng.below(24) {
        0 => setup.alternate_engines(),
        1..5 => setup.background(true),
        _ => setup,
    }
}

/// Returns two random setups that mostly translate only what is hot. Translation takes nearly all of the time, so this
/// allows many more programs.
pub fn quick_setups(seed: u64) -> [Setup; 2] {
    let mut rng = Rng::new(seed ^ 0x50a8);
    [(); 2].map(|()| {
        let setup = random_setup(&mut rng);
        match rng.one_in(6) {
            true => setup,
            false => {
                let region_instructions = rng.between(8, 600) as usize;
                setup.region_instructions(region_instructions).threshold(rng.between(100, 3000) as u16)
            }
        }
    })
}

/// A run in parts: up to a step limit, then on with pauses. Parts alternate between rows and no rows, so tracing, and
/// with it the active engine, changes at any step.
#[derive(Debug)]
struct Script {
    /// The step limit. Sometimes it lies beyond the end, which makes an uninterrupted run.
    cut: u64,
    /// Steps of the later pauses.
    pauses: Vec<u64>,
    /// Whether each part writes rows.
    traced: Vec<bool>,
}

impl Script {
    /// Returns a script for a run of `steps` steps.
    fn new(steps: u64, rng: &mut Rng) -> Script {
        let cut = match rng.below(8) {
            0 | 1 => steps + 1,
            // Near the start, where code is not hot yet, or anywhere.
            2 | 3 => rng.below(1 + steps.min(200)),
            _ => rng.below(steps + 1),
        };
        let mut pauses: Vec<u64> = (0..rng.below(3)).map(|_| cut.min(steps) + rng.below(steps + 1)).collect();
        pauses.retain(|&pause| pause <= steps);
        pauses.sort_unstable();
        // Sometimes the level stays the same, so that a session also resumes in the engine that it left.
        let mut traced = vec![rng.one_in(3)];
        for part in 0..=pauses.len() {
            traced.push(traced[part] ^ !rng.one_in(4));
        }
        Script { cut, pauses, traced }
    }
}

/// A sink that compares its input with what the interpreter wrote, and ends the run at the first difference.
struct Against<'a> {
    rows: &'a [Row],
    effects: &'a [Effect],
    /// The step of the next row, and the index of the next effect.
    next: u64,
    next_effect: usize,
    wrong: Option<String>,
}

impl Sink for Against<'_> {
    fn rows(&mut self, first_step: u64, rows: &[Row], effects: &[Effect]) -> Result<(), tachy::trace::SinkError> {
        let first = self.next as usize;
        // Comparing bytes is many times faster than comparing rows.
        let bytes = |rows| bytemuck::cast_slice::<Row, u8>(rows);
        let expected = self.rows.get(first..first + rows.len()).map(bytes);
        if first_step != self.next {
            self.wrong = Some(format!("rows from step {first_step} on instead of {}", self.next));
        } else if expected != Some(bytes(rows)) {
            let found: Vec<Row> = self.rows.iter().take(first).chain(rows).copied().collect();
            let shown = self.rows.len().min(found.len());
            self.wrong = first_different_row(&self.rows[..shown], &found, Variant::Standard);
        }
        let (_, expected) = self.effects.split_at(self.next_effect);
        if self.wrong.is_none() && expected.get(..effects.len()) != Some(effects) {
            self.wrong = first_different_effect(&expected[..expected.len().min(effects.len())], effects);
        }
        self.next += rows.len() as u64;
        self.next_effect += effects.len();
        match self.wrong {
            None => Ok(()),
            Some(_) => Err("the engines differ".into()),
        }
    }
}

impl Against<'_> {
    /// Returns what differed, or what is missing of the rows and effects before step `to`. If a trap ended the program,
    /// its effects come with the end, after the last row.
    fn finish(self, to: u64) -> Option<String> {
        let effects = self.effects.partition_point(|effect| effect.step < to);
        let at_end = to == self.rows.len() as u64;
        let same_effects = self.next_effect == effects || at_end && self.next_effect == self.effects.len();
        let missing = || match (self.next == to, same_effects) {
            (true, true) => None,
            (false, _) => Some(format!("rows up to step {} instead of {to}", self.next)),
            (true, false) => Some(format!("{} effects up to step {to} instead of {effects}", self.next_effect)),
        };
        self.wrong.or_else(missing)
    }

    /// Like [`Against::finish`], for a run to the program's end.
    fn finish_all(self) -> Option<String> {
        let (all, effects) = (self.effects.len(), self.next_effect);
        let rows = self.rows.len() as u64;
        self.finish(rows).or_else(|| (effects != all).then(|| format!("{effects} effects instead of {all}")))
    }
}
