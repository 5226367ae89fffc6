//! Tachy's machine `r0vm` and RISC Zero's own executor side by side, in one process: user cycles per second at po2 20.
//!
//! `cargo run --release -p oracle-tachy --example speed [ROUNDS [FILE]]` prints tables of medians, and writes the same
//! figures to FILE as JSON: one table of loops, one of programs that are like those of RISC Zero's users. Runs
//! alternate, so that a busy machine hits all columns alike. The reference always makes segments; Tachy does with and
//! without. Each run has an executor of its own, but for "the second time", which finds translated what the run before
//! it has.

use std::time::{Duration, Instant};

use oracle_reference::{Environment, PROGRAMS, binary, run};
use serde_json::{Value, json};
use tachy::risc0::host::HostEnv;
use tachy::risc0::{TraceEvent, TraceEvents};
use tachy::{Engine, Env, Executor, MachineKind, NullSink, Program};

/// A guest, what it is here for, and its words of input.
type Guest = (&'static str, &'static str, &'static [u32]);

/// Guests that spend their time on one thing.
const LOOPS: [Guest; 10] = [
    ("fib", "calls", &[31]),
    ("sieve", "memory, half a MiB", &[400_000, 8]),
    ("sha256", "SHA-256 in software", &[12_000]),
    ("quicksort", "memory and branches", &[30_000, 10]),
    ("vm", "byte code, indirect jumps", &[1_600]),
    ("mix", "lists, matrices, states, checksums", &[700]),
    ("hash", "SHA-256 in software and by ecall, Rust", &[1_000_000]),
    ("recursion", "deep calls", &[3, 9, 2_000]),
    ("heap", "memory, 16 MiB", &[16_384, 20_000]),
    ("bigint", "arithmetic of big integers, Rust", &[40, 2]),
];

fn tachy(executor: &Executor, words: &[u32], segments: bool) -> (u64, Duration) {
    let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).build().expect("a host");
    let mut env = Env::new().host(host);
    if segments {
        env = env.segments(|_| Ok(()));
    }
    let started = Instant::now();
    let mut session = executor.start(env).expect("a session");
    session.run(&mut NullSink::off()).expect("a guest that ends well");
    (session.report().expect("a report").user_cycles, started.elapsed())
}

/// Guests whose events are counted.
const EVENT_GUESTS: [(&str, &[u32]); 4] = [("fib", &[28]), ("sha256", &[3_000]), ("mix", &[200]), ("hash", &[200_000])];

fn executor(bytes: &[u8], engine: Engine) -> Executor {
    let program = Program::from_risc0(bytes).expect("a good binary");
    Executor::builder().machine(MachineKind::R0vm).engine(engine).build(&program).expect("an executor")
}

fn reference(bytes: &[u8], words: &[u32]) -> (u64, Duration) {
    let started = Instant::now();
    let outcome = run(bytes, &Environment::with_words(words));
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    (outcome.user_cycles, started.elapsed())
}

/// With a trace callback on both sides, which only counts.
fn tachy_events(executor: &Executor, words: &[u32]) -> (u64, Duration) {
    let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).build().expect("a host");
    let started = Instant::now();
    let mut session = executor.start(Env::new().host(host)).expect("a session");
    let mut events = 0;
    let mut sink = TraceEvents::new(|_: &TraceEvent| {
        events += 1;
        Ok(())
    });
    session.run(&mut sink).expect("a guest that ends well");
    drop(sink);
    (events, started.elapsed())
}

fn reference_events(bytes: &[u8], words: &[u32]) -> Duration {
    let started = Instant::now();
    // It keeps one event and is called for all.
    let outcome = run(bytes, &Environment { events: 1, ..Environment::with_words(words) });
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    started.elapsed()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Trace events against the reference's; the figures of each guest.
fn events(rounds: usize) -> Vec<Value> {
    println!("M trace events a second, to a callback that counts them\n");
    println!("| guest | M events | reference | Tachy | |\n|---|---:|---:|---:|---:|");
    let (mut logarithms, mut figures) = (0.0, Vec::new());
    for (guest, words) in EVENT_GUESTS {
        let bytes = binary(guest);
        let (mut theirs, mut ours, mut count) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let (events, time) = tachy_events(&executor(&bytes, Engine::Jit), words);
            count = events;
            ours.push(count as f64 / time.as_secs_f64() / 1e6);
            theirs.push(count as f64 / reference_events(&bytes, words).as_secs_f64() / 1e6);
        }
        let (theirs, ours) = (median(theirs), median(ours));
        logarithms += (ours / theirs).ln();
        figures.push(
            json!({ "guest": guest, "events": count, "reference_per_second": theirs * 1e6, "per_second": ours * 1e6 }),
        );
        println!("| {guest} | {:.0} | {theirs:.1} | {ours:.0} | x {:.0} |", count as f64 / 1e6, ours / theirs);
    }
    println!("| geometric mean | | | | x {:.0} |", (logarithms / EVENT_GUESTS.len() as f64).exp());
    figures
}

/// Runs guests in turn on both sides; prints a table and returns the figures of each guest.
fn speeds(title: &str, guests: &[Guest], rounds: usize) -> Vec<Value> {
    println!(
        "| {title} | M user cycles | reference | execute-only | | the second time | | with segments | | interpreter |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let (mut logarithms, mut figures) = ([0.0; 3], Vec::new());
    for (guest, what, words) in guests {
        let bytes = binary(guest);
        let mut rates = [const { Vec::new() }; 5];
        let mut cycles = 0;
        for _ in 0..rounds {
            let first = executor(&bytes, Engine::Jit);
            let runs = [
                reference(&bytes, words),
                tachy(&first, words, false),
                tachy(&first, words, false),
                tachy(&executor(&bytes, Engine::Jit), words, true),
                tachy(&executor(&bytes, Engine::Interpreter), words, false),
            ];
            for (rates, (run_cycles, time)) in rates.iter_mut().zip(runs) {
                assert!(cycles == 0 || cycles == run_cycles, "all count the same cycles");
                cycles = run_cycles;
                rates.push(run_cycles as f64 / time.as_secs_f64() / 1e6);
            }
        }
        let [reference, first, again, segments, interpreter] = rates.map(median);
        let ratios = [first, again, segments].map(|rate| rate / reference);
        logarithms.iter_mut().zip(ratios).for_each(|(sum, ratio)| *sum += ratio.ln());
        figures.push(json!({
            "guest": guest,
            "what": what,
            "user_cycles": cycles,
            "cycles_per_second": {
                "reference": reference * 1e6,
                "execute_only": first * 1e6,
                "the_second_time": again * 1e6,
                "with_segments": segments * 1e6,
                "interpreter": interpreter * 1e6,
            },
        }));
        println!(
            "| {guest}: {what} | {:.0} | {reference:.1} | {first:.0} | x {:.1} | {again:.0} | x {:.1} | \
             {segments:.0} | x {:.1} | {interpreter:.0} |",
            cycles as f64 / 1e6,
            ratios[0],
            ratios[1],
            ratios[2],
        );
    }
    let [first, again, segments] = logarithms.map(|sum| (sum / guests.len() as f64).exp());
    println!("| geometric mean of the ratios | | | | x {first:.1} | | x {again:.1} | | x {segments:.1} | |\n");
    figures
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(3, |text| text.parse().expect("a number of rounds"));
    let loops = speeds("loop", &LOOPS, rounds);
    let programs = PROGRAMS.map(|program| (program.guest, program.what, program.large));
    let programs = speeds("program", &programs, rounds);
    let events = events(rounds);
    if let Some(file) = std::env::args().nth(2) {
        let figures =
            json!({ "rounds": rounds, "segment_po2": 20, "guests": loops, "programs": programs, "events": events });
        std::fs::write(&file, format!("{figures:#}\n")).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
