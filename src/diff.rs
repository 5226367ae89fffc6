//! Both engines on one program, in lockstep: do they do exactly the same?
//!
//! The JIT leads, undisturbed: it runs as any session runs, without a pause of its own. Whenever it hands over a buffer
//! of rows, the interpreter does the same steps and the rows are compared there and then, so that nothing grows with
//! the length of the run. At the end all that a run leaves behind is compared too.
//!
//! This module knows rows, sessions and their errors. It must not know what an instruction does, or it would judge.

mod follower;

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tachy_runtime::PAGE_BYTES;

use crate::engine::{Stats, Status};
use crate::env::Env;
use crate::error::Error;
use crate::jit::JitOptions;
use crate::limits::Limits;
use crate::machine::MachineKind;
use crate::program::Program;
use crate::session::{Engine, Executor, Session};
use crate::trace::{Effect, Row};
use follower::Follower;

/// What both sessions are made with; each gets the arguments and the input for itself.
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
    /// How the JIT's session ran.
    pub stats: Stats,
    /// Time spent on both engines together.
    pub time: Duration,
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

/// The first difference.
#[derive(Debug)]
pub struct Difference {
    /// The first step that differs. If all rows agree and what they leave behind does not: the number of rows.
    pub step: u64,
    /// What differs: columns of the row, "row" if only one side has one, "effects"; or, after the last row, "end", "pc",
    /// "x10", "stdout", "stderr", "ecalls", "pages", "memory".
    pub what: Vec<String>,
    /// The registers before that step, which the rows before it agree on.
    pub before: [u32; 32],
    /// The last rows before that step.
    pub context: Vec<Row>,
    /// The first word of memory that differs at the end.
    pub word: Option<Word>,
    /// The JIT.
    pub jit: Side,
    /// The interpreter.
    pub interpreter: Side,
}

/// A word of memory that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Where it is.
    pub address: u32,
    /// What it is after the JIT.
    pub jit: u32,
    /// What it is after the interpreter.
    pub interpreter: u32,
}

/// What one engine made of the step that differs, and where it stands now.
#[derive(Debug)]
pub struct Side {
    /// Its row of that step, if it got so far.
    pub row: Option<Row>,
    /// That step's effects.
    pub effects: Vec<Effect>,
    /// How it ended, if it did before the comparison stopped it.
    pub end: Option<Result<Status, Error>>,
    /// Steps done: up to the end of the buffer of rows that differs.
    pub steps: u64,
    /// Address of the next instruction after these.
    pub pc: u32,
    /// Registers after these.
    pub registers: [u32; 32],
    /// What it wrote to stdout.
    pub stdout: Output,
    /// What it wrote to stderr.
    pub stderr: Output,
}

/// A stream of output, as far as two of them must be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// Bytes written.
    pub bytes: u64,
    /// BLAKE3 of them.
    pub digest: blake3::Hash,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, BLAKE3 {}", self.bytes, self.digest)
    }
}

/// Runs `program` on both engines and compares.
///
/// # Errors
/// What keeps both from running at all and is no result of theirs: options that make no sense, a program that the
/// machine cannot start, memory that the system refuses.
pub fn compare(program: &Program, options: &DiffOptions) -> Result<Report, Error> {
    let started = Instant::now();
    let report = |rows, effects, verdict, stats| Report { rows, effects, verdict, stats, time: started.elapsed() };
    let (jit_output, interpreter_output) = (Streams::default(), Streams::default());
    let untimed = Limits { time: None, ..options.limits };
    let sessions = start(program, options, Engine::Jit, options.limits, &jit_output)
        .and_then(|jit| Ok((jit, start(program, options, Engine::Interpreter, untimed, &interpreter_output)?)));
    let (mut jit, interpreter) = match sessions {
        Ok(sessions) => sessions,
        // Met before the first step, where no engine has a part in it: a result like any other.
        Err(error @ Error::Limit(_)) => return Ok(report(0, 0, Verdict::Agree(Err(error)), Stats::default())),
        Err(error) => return Err(error),
    };

    let mut follower = Follower::new(interpreter);
    let end = jit.run(&mut follower);
    if let Err(error @ Error::Memory(_)) = end {
        return Err(error);
    }
    if follower.found.is_none() {
        follower.end_like(&end, jit.steps());
    }
    if follower.found.is_none() {
        let what = left_behind(&jit, &follower.session, &jit_output, &interpreter_output);
        follower.leave_behind(what);
    }
    let verdict = match follower.found.take() {
        None => Verdict::Agree(end),
        Some(found) => {
            let word = found.what.iter().any(|what| what == MEMORY).then(|| first_word(&jit, &follower.session));
            // The sink that failed is the follower, and it is no end of the guest.
            let jit_end = Some(end).filter(|end| !matches!(end, Err(Error::Sink { .. })));
            let interpreter_end = follower.end.take();
            Verdict::Differ(Box::new(Difference {
                step: found.step,
                what: found.what,
                before: found.before,
                context: found.context,
                word: word.flatten(),
                jit: Side::new(&jit, found.jit, jit_end, &jit_output),
                interpreter: Side::new(&follower.session, found.interpreter, interpreter_end, &interpreter_output),
            }))
        }
    };
    Ok(report(follower.rows, follower.effects, verdict, jit.stats()))
}

fn start<'a>(
    program: &Program,
    options: &'a DiffOptions,
    engine: Engine,
    limits: Limits,
    streams: &'a Streams,
) -> Result<Session<'a>, Error> {
    let builder = Executor::builder().engine(engine).machine(options.machine).limits(limits);
    let executor = builder.jit(options.jit.clone()).build(program)?;
    let env = Env::new().args(options.args.iter().map(Vec::as_slice)).stdin(options.stdin.as_slice());
    executor.start(env.stdout(&streams.stdout).stderr(&streams.stderr))
}

const MEMORY: &str = "memory";

/// What differs in what two sessions leave behind that ended alike.
fn left_behind(jit: &Session<'_>, interpreter: &Session<'_>, output: &Streams, others_output: &Streams) -> Vec<String> {
    let (stats, others) = (jit.stats(), interpreter.stats());
    let mut what = Vec::new();
    let mut check = |name: String, same: bool| {
        if !same {
            what.push(name);
        }
    };
    check("pc".into(), jit.pc() == interpreter.pc());
    for (number, (value, other)) in jit.registers().iter().zip(interpreter.registers()).enumerate() {
        check(format!("x{number}"), *value == other);
    }
    check("stdout".into(), output.stdout.output() == others_output.stdout.output());
    check("stderr".into(), output.stderr.output() == others_output.stderr.output());
    check("ecalls".into(), (stats.ecalls, stats.ecalls_unknown) == (others.ecalls, others.ecalls_unknown));
    check("pages".into(), stats.pages == others.pages);
    check(MEMORY.into(), jit.memory_digest() == interpreter.memory_digest());
    what
}

/// The first word of memory that differs.
fn first_word(jit: &Session<'_>, interpreter: &Session<'_>) -> Option<Word> {
    let mut pages: Vec<u32> = jit.pages().chain(interpreter.pages()).map(|(page, _)| page).collect();
    pages.sort_unstable();
    let addresses = pages.iter().flat_map(|page| (0..PAGE_BYTES / 4).map(move |word| page * PAGE_BYTES + 4 * word));
    addresses
        .map(|address| Word { address, jit: jit.word(address), interpreter: interpreter.word(address) })
        .find(|word| word.jit != word.interpreter)
}

impl Side {
    fn new(
        session: &Session<'_>,
        step: (Option<Row>, Vec<Effect>),
        end: Option<Result<Status, Error>>,
        streams: &Streams,
    ) -> Side {
        let (row, effects) = step;
        Side {
            row,
            effects,
            end,
            steps: session.steps(),
            pc: session.pc(),
            registers: session.registers(),
            stdout: streams.stdout.output(),
            stderr: streams.stderr.output(),
        }
    }
}

/// Where one session's output goes.
#[derive(Default)]
struct Streams {
    stdout: Tally,
    stderr: Tally,
}

/// Hashes a stream instead of keeping it: a guest may write without end.
#[derive(Default)]
struct Tally(Mutex<(u64, blake3::Hasher)>);

impl Tally {
    fn output(&self) -> Output {
        let tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Output { bytes: tally.0, digest: tally.1.finalize() }
    }
}

impl Write for &Tally {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.0 += data.len() as u64;
        tally.1.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
