//! Compares both engines on one program from beginning to end: everything that `tachy diff` needs, in one call.
//!
//! The crosscheck does the comparison itself. This module must not look into it.

use std::any::Any;
use std::time::{Duration, Instant};

use crate::difference::Difference;
use crate::env::Env;
use crate::error::Error;
use crate::jit::JitOptions;
use crate::limits::Limits;
use crate::machine_kind::MachineKind;
use crate::program::Program;
use crate::session::{Engine, Executor};
use crate::stats::Stats;
use crate::status::Status;
use crate::trace::CountingSink;

/// Options of a comparison; they apply to both engines.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DiffOptions {
    /// The machine.
    pub machine: MachineKind,
    /// Limits of both engines; the time limit covers the whole comparison.
    pub limits: Limits,
    /// Options of the JIT.
    pub jit: JitOptions,
    /// The guest's arguments, the program's name first.
    pub args: Vec<Vec<u8>>,
    /// The guest's input.
    pub stdin: Vec<u8>,
}

impl DiffOptions {
    /// Sets [`DiffOptions::machine`].
    pub fn machine(self, machine: MachineKind) -> DiffOptions {
        DiffOptions { machine, ..self }
    }

    /// Sets [`DiffOptions::limits`].
    pub fn limits(self, limits: Limits) -> DiffOptions {
        DiffOptions { limits, ..self }
    }

    /// Sets [`DiffOptions::jit`].
    pub fn jit(self, jit: JitOptions) -> DiffOptions {
        DiffOptions { jit, ..self }
    }

    /// Sets [`DiffOptions::args`].
    pub fn args<I: IntoIterator<Item = A>, A: Into<Vec<u8>>>(self, args: I) -> DiffOptions {
        DiffOptions { args: args.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets [`DiffOptions::stdin`].
    pub fn stdin(self, bytes: impl Into<Vec<u8>>) -> DiffOptions {
        DiffOptions { stdin: bytes.into(), ..self }
    }
}

/// What a comparison found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Rows that agree, from the first step without a gap.
    pub rows: u64,
    /// Effects of these rows; they agree as well.
    pub effects: u64,
    /// Whether everything agrees.
    pub verdict: Verdict,
    /// How the JIT ran.
    pub stats: Stats,
    /// Time spent on both engines together.
    pub time: Duration,
    /// The machine's own report about the JIT's session, if it makes one.
    pub(crate) machine_report: Option<Box<dyn Any>>,
}

/// Whether two runs agree.
#[derive(Debug)]
pub enum Verdict {
    /// Both ended alike: by themselves, or with the same error at the same step. A time limit ends the comparison; then
    /// everything agrees up to that point.
    Agree(Result<Status, Error>),
    /// They differ.
    Differ(Box<Difference>),
}

/// Runs `program` on both engines and compares.
///
/// # Errors
/// Returns only errors that keep both engines from running at all: invalid options, a program that the machine cannot
/// start, or memory that the system refuses.
pub fn compare(program: &Program, options: &DiffOptions) -> Result<Report, Error> {
    let env = Env::new().args(options.args.iter().map(Vec::as_slice)).stdin(options.stdin.as_slice());
    compare_in(program, options, env)
}

/// Compares like [`compare`], but in the environment `env`. The arguments and the input in `options` are ignored, and
/// the guest's output goes where `env` directs it.
///
/// # Errors
/// The same as for [`compare`].
pub fn compare_in(program: &Program, options: &DiffOptions, env: Env<'_>) -> Result<Report, Error> {
    let started = Instant::now();
    let builder = Executor::builder().engine(Engine::Crosscheck).machine(options.machine).limits(options.limits);
    let executor = builder.jit(options.jit.clone()).build(program)?;
    let mut counts = CountingSink::default();
    let (end, stats, machine_report) = match executor.start(env) {
        Ok(mut session) => (session.run(&mut counts), session.stats(), session.machine_report()),
        // The limit was reached before the first step, without any engine: a result like any other.
        Err(error @ Error::Limit(_)) => (Err(error), Stats::default(), None),
        Err(error) => return Err(error),
    };
    let verdict = match end {
        Err(error @ Error::Memory(_)) => return Err(error),
        Err(error) => match Difference::take(error) {
            Ok(difference) => Verdict::Differ(difference),
            Err(error) => Verdict::Agree(Err(error)),
        },
        end => Verdict::Agree(end),
    };
    Ok(Report { rows: counts.rows, effects: counts.effects, verdict, stats, time: started.elapsed(), machine_report })
}
