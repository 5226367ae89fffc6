//! Both engines on one program from beginning to end: the whole of what `tachy diff` asks for in one call.
//!
//! The comparison itself is the crosscheck's. This module must not look into it.

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

/// What both engines get.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// The machine.
    pub machine: MachineKind,
    /// Limits of both; the one on time is for the whole comparison.
    pub limits: Limits,
    /// How native code is made.
    pub jit: JitOptions,
    /// The guest's arguments, the program's name first.
    pub args: Vec<Vec<u8>>,
    /// The guest's input.
    pub stdin: Vec<u8>,
}

/// What a comparison found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Rows that agree, from the first step on without a gap.
    pub rows: u64,
    /// Effects of these rows, which agree as well.
    pub effects: u64,
    /// Whether everything agrees.
    pub verdict: Verdict,
    /// How the JIT ran.
    pub stats: Stats,
    /// Time spent on both engines together.
    pub time: Duration,
    /// The machine's own report of the JIT's session, if it makes one.
    pub(crate) machine_report: Option<Box<dyn Any>>,
}

/// Whether two runs agree.
#[derive(Debug)]
pub enum Verdict {
    /// Both ended alike: by themselves, or with the same error at the same step. If that is the limit on time, it ended
    /// the comparison, and all agrees up to there.
    Agree(Result<Status, Error>),
    /// They do not.
    Differ(Box<Difference>),
}

/// Runs `program` on both engines and compares.
///
/// # Errors
/// What keeps both from running at all and is no result of theirs: options that make no sense, a program that the
/// machine cannot start, memory that the system refuses.
pub fn compare(program: &Program, options: &DiffOptions) -> Result<Report, Error> {
    let env = Env::new().args(options.args.iter().map(Vec::as_slice)).stdin(options.stdin.as_slice());
    compare_in(program, options, env)
}

/// As [`compare`], in these surroundings: arguments and input of `options` do not count, and what the guest writes goes
/// where `env` says.
///
/// # Errors
/// As [`compare`].
pub fn compare_in(program: &Program, options: &DiffOptions, env: Env<'_>) -> Result<Report, Error> {
    let started = Instant::now();
    let builder = Executor::builder().engine(Engine::Crosscheck).machine(options.machine).limits(options.limits);
    let executor = builder.jit(options.jit.clone()).build(program)?;
    let mut counts = CountingSink::default();
    let (end, stats, machine_report) = match executor.start(env) {
        Ok(mut session) => (session.run(&mut counts), session.stats(), session.machine_report()),
        // Met before the first step, where no engine has a part in it: a result like any other.
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
