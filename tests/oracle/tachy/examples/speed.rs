//! Tachy's machine `r0vm` and RISC Zero's own executor side by side, in one process: user cycles per second at po2 20.
//!
//! `cargo run --release -p oracle-tachy --example speed [ROUNDS]` prints a table of medians. Runs alternate, so that a
//! busy machine hits all columns alike. The reference always makes segments; Tachy does with and without.

use std::time::{Duration, Instant};

use oracle_reference::{Environment, binary, run};
use tachy::host::HostEnv;
use tachy::{Engine, Env, Executor, MachineKind, NullSink, Program};

/// Guests with their words of input: what they are here for.
const GUESTS: [(&str, &str, &[u32]); 4] = [
    ("hash", "SHA-256 in software and by ecall, Rust", &[1_000_000]),
    ("recursion", "calls", &[3, 9, 2_000]),
    ("heap", "memory, 16 MiB", &[16_384, 20_000]),
    ("bigint", "arithmetic of big integers, Rust", &[40, 2]),
];

fn tachy(bytes: &[u8], words: &[u32], engine: Engine, segments: bool) -> (u64, Duration) {
    let program = Program::from_risc0(bytes).expect("a good binary");
    let executor = Executor::builder().machine(MachineKind::R0vm).engine(engine).build(&program).expect("an executor");
    let host = HostEnv::builder().write_slice(words).build().expect("a host");
    let mut env = Env::new().host(host);
    if segments {
        env = env.segments(|_| Ok(()));
    }
    let started = Instant::now();
    let mut session = executor.start(env).expect("a session");
    session.run(&mut NullSink::off()).expect("a guest that ends well");
    (session.report().expect("a report").user_cycles, started.elapsed())
}

fn reference(bytes: &[u8], words: &[u32]) -> (u64, Duration) {
    let started = Instant::now();
    let outcome = run(bytes, &Environment::with_words(words));
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    (outcome.user_cycles, started.elapsed())
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(3, |text| text.parse().expect("a number of rounds"));
    println!("| guest | M user cycles | reference | execute-only | | with segments | | interpreter |");
    println!("|---|---|---|---|---|---|---|---|");
    for (guest, what, words) in GUESTS {
        let bytes = binary(guest);
        let mut rates = [const { Vec::new() }; 4];
        let mut cycles = 0;
        for _ in 0..rounds {
            let runs = [
                reference(&bytes, words),
                tachy(&bytes, words, Engine::Jit, false),
                tachy(&bytes, words, Engine::Jit, true),
                tachy(&bytes, words, Engine::Interpreter, false),
            ];
            for (rates, (run_cycles, time)) in rates.iter_mut().zip(runs) {
                assert!(cycles == 0 || cycles == run_cycles, "both count the same cycles");
                cycles = run_cycles;
                rates.push(run_cycles as f64 / time.as_secs_f64() / 1e6);
            }
        }
        let [reference, execute, segments, interpreter] = rates.map(|mut rates: Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        });
        println!(
            "| {guest}: {what} | {:.0} | {reference:.1} | {execute:.0} | x {:.0} | {segments:.0} | x {:.0} | {interpreter:.0} |",
            cycles as f64 / 1e6,
            execute / reference,
            segments / reference,
        );
    }
}
