//! What translation may cost: no program takes noticeably more work than the interpreter alone would, whatever it does.
//!
//! Work is counted in interpreted steps, by the counters of a session that translates on the spot: what a native step, an
//! entry into native code, a region and an instruction in it take of them was measured once (`src/jit/payback.rs`).
//! `cargo run --release --example processor_time` measures the same programs in processor time.

mod common;

use common::cases::{chain, flat, guest};
use common::engines::{Case, Setup};
use tachy::{Env, JitOptions, NullSink, Stats};

/// Interpreted steps that take as long as one native step, an entry, a region, an instruction in it. Native code is not
/// given more credit than it deserves here: eight native steps take as long as an interpreted one, or less.
const NATIVE_STEPS: u64 = 8;
const ENTRY: u64 = 8;
const REGION: u64 = 22_000;
const INSTRUCTION: u64 = 2_400;
/// 5 ms.
const FREE: u64 = 1_350_000;

fn work(steps: u64, stats: &Stats) -> u64 {
    let native = (steps - stats.interpreted_steps) / NATIVE_STEPS;
    let translation = stats.regions * REGION + stats.translated_instructions * INSTRUCTION;
    stats.interpreted_steps + native + stats.entries * ENTRY + translation
}

/// Runs a case to its end, or to its limit; steps and counters.
fn run(what: &str, case: &Case) -> (u64, Stats) {
    let executor = Setup::jit(JitOptions::default()).background(false).executor(case);
    let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
    let mut session = executor.start(env).expect("it starts");
    if let Err(error) = session.run(&mut NullSink::off()) {
        assert_eq!(error.kind(), "step-limit", "{what}: {error}");
    }
    let (steps, stats) = (session.steps(), session.stats());
    let (work, allowed) = (work(steps, &stats), steps + steps / 10 + FREE);
    assert!(work <= allowed, "{what}: {work} units of work, {allowed} allowed for {steps} steps: {stats:?}");
    println!("{what}: {:.3} of the interpreter's work", work as f64 / steps as f64);
    (steps, stats)
}

#[test]
fn flat_profiles() {
    for (functions, rounds) in [(200, 6_000), (2_000, 600), (20_000, 60), (20_000, 300)] {
        run(&format!("{functions} functions in {rounds} rounds"), &flat(functions, rounds));
    }
    // Where there are few enough for it to pay off, they are native in the end.
    let (steps, stats) = run("200 functions in 30,000 rounds", &flat(200, 30_000));
    assert!(stats.interpreted_steps < steps / 4, "{stats:?}");
    let (steps, stats) = run("2,000 functions in 60,000 rounds", &flat(2_000, 60_000));
    assert!(stats.interpreted_steps < steps / 4 * 3, "{stats:?}");
}

#[test]
fn chains() {
    for (places, rounds) in [(40, 20_000), (200, 2_000), (400, 2_000)] {
        run(&format!("a chain of {places} in {rounds} rounds"), &chain(places, rounds));
    }
}

#[test]
fn guests_of_any_length() {
    for name in ["fib", "sieve", "sha256", "quicksort", "vm", "mix", "brk", "smc", "rust_mix"] {
        for steps in [10_000, 300_000, 3_000_000, 30_000_000, 200_000_000] {
            let args: &[&str] = match name {
                "fib" => &["36"],
                "sieve" => &["3000000", "12"],
                "sha256" => &["100000"],
                "quicksort" => &["250000", "8"],
                "vm" => &["14000"],
                "mix" => &["5500"],
                "brk" => &["4000"],
                "smc" => &["400000"],
                _ => &["60"],
            };
            let case = guest(name, args).limit_steps(steps);
            run(&format!("{name}, {steps} steps"), &case);
        }
    }
}
