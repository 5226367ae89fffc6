//! Processor time of all threads, JIT beside interpreter: no program may take noticeably more because it is translated.
//!
//!     cargo run --release --example processor_time [-- ROUNDS]
//!
//! Each run is a process of its own, the engines take turns, and medians are printed: user and system time of programs
//! that are hard on a translator (flat profiles, chains that are entered everywhere, code that rewrites itself) and of the
//! guests, each at two lengths. `tests/it/jit/translation_cost.rs` holds the counts behind it.

#[path = "../tests/common/mod.rs"]
#[allow(dead_code, reason = "this program uses a part of it")]
mod common;

use std::env;
use std::error::Error;
use std::process::Command;

use common::cases::guest;
use common::engines::Case;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tachy::{Engine, Env, Executor, JitOptions, NullSink};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Name and arguments of a guest, or `flat` or `chain` with a number of places and of rounds; the step that ends it.
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

fn case(index: usize) -> Result<Case> {
    let (name, args, steps) = CASES.get(index).ok_or("no such case")?;
    let case = match *name {
        "flat" => common::cases::flat(args[0].parse()?, args[1].parse()?),
        "chain" => common::cases::chain(args[0].parse()?, args[1].parse()?),
        name => guest(name, args),
    };
    Ok(case.limit_steps(*steps))
}

/// Runs one case; prints steps and seconds of processor time.
fn run(index: usize, engine: Engine) -> Result<()> {
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

/// Of all threads of this process, so far.
fn processor_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the system counts it");
    [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds() as f64 / 1e6).iter().sum()
}

fn measure(index: usize, engine: &str) -> Result<(f64, f64)> {
    let output = Command::new(env::current_exe()?).args(["alone", &index.to_string(), engine]).output()?;
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

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [alone, index, engine] = &args[..]
        && alone == "alone"
    {
        return run(index.parse()?, if engine == "jit" { Engine::Jit } else { Engine::Interpreter });
    }
    let rounds: usize = args.first().map_or(Ok(5), |rounds| rounds.parse())?;
    println!("| program | M steps | interpreter, ms | JIT, ms | above 1.1 times the interpreter, ms |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (index, (name, args, _)) in CASES.iter().enumerate() {
        let (mut interpreted, mut jit, mut steps) = (Vec::new(), Vec::new(), 0.0);
        for _ in 0..rounds {
            let (count, seconds) = measure(index, "interpreter")?;
            steps = count;
            interpreted.push(seconds);
            jit.push(measure(index, "jit")?.1);
        }
        let [interpreted, jit] = [interpreted, jit].map(|seconds| median(seconds) * 1e3);
        let above = jit - 1.1 * interpreted;
        println!("| {name} {} | {:.1} | {interpreted:.1} | {jit:.1} | {above:.1} |", args.join(" "), steps / 1e6);
    }
    Ok(())
}
