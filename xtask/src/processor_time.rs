//! Compares the processor time of all threads under the JIT and under the interpreter.
//!
//! Translation must not make any program noticeably more expensive. Each run is a process of its own, the engines take
//! turns, and the task prints medians of user and system time. The programs are hard on a translator: flat profiles,
//! chains that are entered everywhere, code that rewrites itself, the guests at two lengths, and programs of R0VM that live
//! in system calls.
//! `tests/it/jit/translation_cost.rs` tests the counts behind these times.

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tachy::risc0::host::HostEnv;
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, NullSink, Program};

use crate::Result;
use crate::common::cases::{chain, flat, guest};
use crate::common::engines::Case;

/// Measure the processor time of all threads, JIT against interpreter
#[derive(Args)]
pub(crate) struct ProcessorTime {
    /// Runs of each program under each engine
    #[arg(default_value_t = 5)]
    rounds: usize,
}

/// Run one program; the measurement runs this in a process of its own
#[derive(Args)]
pub(crate) struct TimeOne {
    index: usize,
    contender: Contender,
}

/// The engine that runs a program.
#[derive(Clone, Copy, ValueEnum)]
enum Contender {
    Interpreter,
    Jit,
}

impl Contender {
    fn engine(self) -> Engine {
        match self {
            Contender::Interpreter => Engine::Interpreter,
            Contender::Jit => Engine::Jit,
        }
    }
}

/// Name and arguments of a guest, or `flat` or `chain` with a number of places and of rounds; and the step limit.
const CASES: &[(&str, &[&str], u64)] = &[
    ("flat", &["200", "60000"], u64::MAX),
    ("flat", &["2000", "6000"], u64::MAX),
    ("flat", &["20000", "600"], u64::MAX),
    ("chain", &["40", "20000"], u64::MAX),
    ("chain", &["400", "2000"], u64::MAX),
    ("smc", &["400000"], 10_000_000),
    ("smc", &["4000000"], 100_000_000),
    ("fib", &["36"], 10_000_000),
    ("sieve", &["3000000", "12"], 10_000_000),
    ("sha256", &["100000"], 10_000_000),
    ("quicksort", &["250000", "8"], 10_000_000),
    ("vm", &["14000"], 10_000_000),
    ("mix", &["5500"], 10_000_000),
    ("mix", &["5500"], 100_000_000),
    ("brk", &["4000"], 10_000_000),
    ("rust_mix", &["60"], 10_000_000),
    ("rust_mix", &["60"], 100_000_000),
    ("rust_mix", &["60"], 400_000_000),
];

/// Programs of R0VM, with the words of their input.
const PROGRAMS: &[(&str, &[u32])] = &[
    ("ecdsa_bigint", &[10]),
    ("ecdsa_bigint", &[60]),
    ("ecdsa_soft", &[3]),
    ("p256", &[30, 1]),
    ("rsa", &[200]),
    ("chain", &[12]),
    ("merkle", &[11, 300]),
    ("keccak_sponge", &[150, 20_000]),
    ("serde", &[60, 8]),
    ("ledger", &[400, 2000]),
    ("contracts", &[300]),
];

fn case(index: usize) -> Result<Case> {
    let (name, args, steps) = CASES.get(index).ok_or("no such case")?;
    let case = match *name {
        "flat" => flat(args[0].parse()?, args[1].parse()?),
        "chain" => chain(args[0].parse()?, args[1].parse()?),
        name => guest(name, args),
    };
    Ok(case.limit_steps(*steps))
}

/// Runs one case and prints its steps and seconds of processor time.
fn time(index: usize, engine: Engine) -> Result<()> {
    if let Some((name, words)) = index.checked_sub(CASES.len()).and_then(|index| PROGRAMS.get(index)) {
        return time_program(name, words, engine);
    }
    let case = case(index)?;
    let before = processor_seconds();
    let executor = Executor::builder().engine(engine).limits(case.limits).jit(JitOptions::default());
    let executor = executor.build(&case.program)?;
    let mut session = executor.start(Env::new().args(case.args.iter().cloned()))?;
    let ended = session.run(&mut NullSink::off());
    if let Err(error) = ended
        && error.kind() != "step-limit"
    {
        return Err(error.into());
    }
    let steps = session.steps();
    drop((session, executor));
    println!("{steps} {}", processor_seconds() - before);
    Ok(())
}

/// Runs one program of R0VM without segments, like [`time`].
fn time_program(name: &str, words: &[u32], engine: Engine) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../guests/r0vm/bin/{name}.bin"));
    let program = Program::from_risc0(&std::fs::read(file)?)?;
    let input: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let before = processor_seconds();
    let executor = Executor::builder().engine(engine).machine(MachineKind::R0vm).build(&program)?;
    let host = HostEnv::builder().stdin(&input[..]).build()?;
    let mut session = executor.start(Env::new().host(host))?;
    session.run(&mut NullSink::off())?;
    let steps = session.steps();
    drop((session, executor));
    println!("{steps} {}", processor_seconds() - before);
    Ok(())
}

/// Processor time of all threads of this process so far.
fn processor_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts it");
    [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds() as f64 / 1e6).iter().sum()
}

fn measure(index: usize, contender: Contender) -> Result<(f64, f64)> {
    let engine = contender.to_possible_value().ok_or("an engine without a name")?;
    let arguments = ["time-one", &index.to_string(), engine.get_name()];
    let output = Command::new(env::current_exe()?).args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    match (numbers.next(), numbers.next()) {
        (Some(steps), Some(seconds)) => Ok((steps?, seconds?)),
        _ => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl TimeOne {
    pub(crate) fn run(self) -> Result {
        time(self.index, self.contender.engine()).map(|()| ExitCode::SUCCESS)
    }
}

impl ProcessorTime {
    pub(crate) fn run(self) -> Result {
        println!("| program | M steps | interpreter, ms | JIT, ms | above 1.1 times the interpreter, ms |");
        println!("| --- | ---: | ---: | ---: | ---: |");
        let cases = CASES.iter().map(|(name, args, _)| format!("{name} {}", args.join(" ")));
        let programs = PROGRAMS.iter().map(|(name, words)| format!("{name} {words:?}"));
        for (index, name) in cases.chain(programs).enumerate() {
            let (mut interpreted, mut jit, mut steps) = (Vec::new(), Vec::new(), 0.0);
            for _ in 0..self.rounds {
                let (count, seconds) = measure(index, Contender::Interpreter)?;
                steps = count;
                interpreted.push(seconds);
                jit.push(measure(index, Contender::Jit)?.1);
            }
            let [interpreted, jit] = [interpreted, jit].map(|seconds| median(seconds) * 1e3);
            let above = jit - 1.1 * interpreted;
            println!("| {name} | {:.1} | {interpreted:.1} | {jit:.1} | {above:.1} |", steps / 1e6);
        }
        Ok(ExitCode::SUCCESS)
    }
}
