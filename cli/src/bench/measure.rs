//! Measures one program. The engines take turns, so that other load on the machine affects all of them.

use std::ffi::OsString;
use std::time::Duration;

use serde::Serialize;
use tachy::{Engine, Env, Error, Executor, Limit, LimitError, MachineKind, NullSink, Stats};

use super::against::{Against, Process};
use super::stdin::Stdin;
use crate::ahead::Ahead;
use crate::args::ConditionArgs;
use crate::failure::Failure;
use crate::files::Input;
use crate::guest::env;
use crate::interrupt;
use crate::load::Loaded;
use crate::repeat::Repeat;
use crate::risc0::args::R0vmArgs;
use crate::risc0::seed::Seed;
use crate::streams::Streams;
use crate::values::InputPath;

/// The measurements of one program.
#[derive(Serialize)]
pub(super) struct Program {
    pub(super) program: String,
    program_digest: String,
    machine: String,
    /// Steps of each run.
    pub(super) steps: u64,
    /// The guest's exit code; none if the step limit ended it.
    pub(super) exit: Option<u32>,
    pub(super) untraced: Level,
    pub(super) rows: Level,
    /// Whole processes: `tachy run` first, then those to compare with; empty without `--against`.
    pub(super) processes: Vec<Whole>,
}

/// A process from start to end: the median of the measured runs.
#[derive(Serialize)]
pub(super) struct Whole {
    pub(super) name: String,
    pub(super) seconds: f64,
    /// Its time divided by that of `tachy run`.
    pub(super) times_as_long: f64,
}

/// Both engines at one trace level.
#[derive(Serialize)]
pub(super) struct Level {
    pub(super) interpreter: Speed,
    pub(super) jit: Speed,
    /// The rate of the JIT divided by that of the interpreter.
    pub(super) ratio: f64,
    pub(super) compiled: Compiled,
    /// Share of the steps that the interpreter executed under the JIT.
    pub(super) interpreted_share: f64,
}

/// The median of the measured runs.
#[derive(Serialize, Clone, Copy)]
pub(super) struct Speed {
    seconds: f64,
    pub(super) steps_per_second: f64,
}

/// What the warm-up run compiled.
#[derive(Serialize)]
pub(super) struct Compiled {
    pub(super) seconds: f64,
    pub(super) code_bytes: u64,
    regions: u64,
    pub(super) instructions: u64,
}

/// One way to run a program, and its runs.
struct Contender {
    executor: Executor,
    sink: NullSink,
    warm_up: Once,
    measured: Vec<Once>,
}

/// One run.
struct Once {
    steps: u64,
    exit: Option<u32>,
    /// Time without compilation.
    time: Duration,
    stats: Stats,
}

/// Measures one program.
pub(super) fn measure(
    input: Input,
    args: &[OsString],
    stdin: &Stdin,
    conditions: &ConditionArgs,
    against: &[Against],
    runs: u32,
) -> Result<Program, Failure> {
    let path = &input.path().clone();
    let loaded = Loaded::read(input, conditions.machine())?;
    let (program, machine) = (&loaded.program, loaded.machine);
    if !against.is_empty() && machine != MachineKind::Bare {
        return Err(Failure::usage("--against requires machine bare"));
    }
    if !against.is_empty() && *path == InputPath::Stdin {
        return Err(Failure::usage("--against requires a program in a file, which other programs can read"));
    }
    let options = R0vmArgs::execution();
    let repeat = Repeat::of_program(path, args, conditions);
    let cancel = interrupt::begin(None);
    let env = || {
        let mut streams = Streams::none();
        if let Some(file) = stdin.open()? {
            streams.stdin = Box::new(Ahead::new(file));
        }
        let env = env(machine, path, args, &options, streams, Seed::FIXED);
        env.map(|env| env.cancel_handle(cancel.clone()))
    };
    // Without background compilation, the warm-up run leaves nothing to compile, and its compile time is known.
    let mut jit = conditions.jit();
    jit.background = false;
    let mut contenders = Vec::new();
    for engine in [Engine::Interpreter, Engine::Jit] {
        let builder = conditions.builder(engine, machine).jit(jit.clone());
        let executor = builder.build(program).map_err(|error| Failure::library(&error))?;
        for sink in [NullSink::off(), NullSink::rows()] {
            let (executor, warm_up) = (executor.clone(), run(&executor, &loaded, env()?, sink, &repeat)?);
            contenders.push(Contender { executor, sink, warm_up, measured: Vec::new() });
        }
    }
    let first = &contenders[0].warm_up;
    let (steps, exit) = (first.steps, first.exit);
    let mut processes = Vec::new();
    if !against.is_empty() {
        let others = against.iter().map(|whom| Process::other(whom, path, args));
        processes.extend([Process::tachy(path, args, conditions)?].into_iter().chain(others));
    }
    let mut times: Vec<Vec<f64>> = processes.iter().map(|_| Vec::new()).collect();
    for round in 0..=runs {
        for (process, times) in processes.iter().zip(&mut times) {
            let exit = exit.ok_or_else(|| Failure::usage("--against requires programs that end within the limits"))?;
            let time = process.run(exit, stdin)?;
            // The first round loads files into memory and checks that all processes agree.
            times.extend((round > 0).then_some(time.as_secs_f64()));
        }
        if round > 0 {
            for contender in &mut contenders {
                contender.measured.push(run(&contender.executor, &loaded, env()?, contender.sink, &repeat)?);
            }
        }
    }
    let all = contenders.iter().flat_map(|contender| [&contender.warm_up].into_iter().chain(&contender.measured));
    for once in all {
        if (once.steps, once.exit) != (steps, exit) {
            let message =
                format!("{}: the runs differ in their {steps} steps or their exit code", path.as_path().display());
            return Err(Failure::differ(&message, &repeat.command("diff", &[])));
        }
    }
    Ok(Program {
        program: path.as_path().display().to_string(),
        program_digest: blake3::Hash::from(program.digest()).to_string(),
        machine: machine.to_string(),
        steps,
        exit,
        untraced: level(&contenders[0], &contenders[2]),
        rows: level(&contenders[1], &contenders[3]),
        processes: wholes(processes, times),
    })
}

/// The medians, also relative to that of the first process.
fn wholes(processes: Vec<Process>, times: Vec<Vec<f64>>) -> Vec<Whole> {
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let own = medians.first().copied().unwrap_or_default();
    let whole =
        |(process, seconds): (Process, f64)| Whole { name: process.name, seconds, times_as_long: ratio(seconds, own) };
    processes.into_iter().zip(medians).map(whole).collect()
}

/// Runs once, from the first step to the last.
fn run(
    executor: &Executor,
    loaded: &Loaded,
    env: Env<'_>,
    mut sink: NullSink,
    repeat: &Repeat,
) -> Result<Once, Failure> {
    let mut session = executor.start(env).map_err(|error| Failure::library(&error))?;
    match session.run(&mut sink) {
        Err(error) if !is_step_limit(&error) => Err(Failure::run(&error, loaded, &session, repeat)),
        _ => {
            let (steps, exit, stats) = (session.steps(), session.exit_code(), session.stats());
            Ok(Once { steps, exit, time: session.time().saturating_sub(stats.compile_time), stats })
        }
    }
}

/// Whether the step limit ended the run, which a measurement allows.
fn is_step_limit(error: &Error) -> bool {
    matches!(error, Error::Limit(LimitError { limit: Limit::Steps(_), .. }))
}

fn level(interpreter: &Contender, jit: &Contender) -> Level {
    let (own, compiled) = (speed(interpreter), jit.warm_up.stats);
    let speed = speed(jit);
    let interpreted = median(jit.measured.iter().map(|once| once.stats.interpreted_steps as f64).collect());
    Level {
        interpreter: own,
        jit: speed,
        ratio: ratio(speed.steps_per_second, own.steps_per_second),
        compiled: Compiled {
            seconds: compiled.compile_time.as_secs_f64(),
            code_bytes: compiled.code_bytes,
            regions: compiled.regions,
            instructions: compiled.translated_instructions,
        },
        interpreted_share: ratio(interpreted, jit.warm_up.steps as f64),
    }
}

fn speed(contender: &Contender) -> Speed {
    let seconds = median(contender.measured.iter().map(|once| once.time.as_secs_f64()).collect());
    Speed { seconds, steps_per_second: ratio(contender.warm_up.steps as f64, seconds) }
}

/// The middle value, or the mean of the two middle values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => 0.0,
    }
}

/// A quotient, or 0 if it is undefined, since JSON cannot express that.
fn ratio(value: f64, of: f64) -> f64 {
    if of > 0.0 { value / of } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!([vec![], vec![3.0], vec![4.0, 1.0], vec![9.0, 1.0, 2.0]].map(median), [0.0, 3.0, 2.5, 2.0]);
        assert_eq!((ratio(3.0, 2.0), ratio(1.0, 0.0)), (1.5, 0.0));
    }
}
