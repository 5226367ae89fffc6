//! Measures both engines on the compute-heavy guests, without rows and with rows that are written and dropped.
//!
//! A run includes everything that a caller pays for once: it creates the executor and the session, translates code, and
//! runs the program to its end. Every run has a step limit. Runs are short here, so translation weighs more than in the
//! figures of `xtask/src/figures.rs`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput};
use tachy::{Engine, Env, Executor, Limits, NullSink, Program};

/// Guests with arguments for 55 to 75 million steps.
const WORK: [(&str, &[&str]); 7] = [
    ("fib", &["31"]),
    ("sieve", &["4000000", "1"]),
    ("sha256", &["14000"]),
    ("quicksort", &["320000", "1"]),
    ("vm", &["2600"]),
    ("mix", &["850"]),
    ("rust_mix", &["10"]),
];

const ENGINES: [(&str, Engine); 2] = [("interpreter", Engine::Interpreter), ("jit", Engine::Jit)];
const SINKS: [(&str, NullSink); 2] = [("off", NullSink::off()), ("rows", NullSink::rows())];

/// A step limit that no guest reaches: checking it is part of what is measured.
const LIMIT_STEPS: u64 = 1 << 40;

/// Runs the program to its end and returns the number of steps.
fn run(program: &Program, engine: Engine, args: &[&str], mut sink: NullSink) -> u64 {
    let limits = Limits::none().steps(LIMIT_STEPS);
    // An executor may keep its translated code, so each run gets a new one.
    let executor = Executor::builder().engine(engine).limits(limits).build(program).expect("it can be built");
    let session = executor.trace(Env::new().args(args.iter().copied()), &mut sink).expect("the guest runs");
    assert_eq!(session.exit_code(), Some(0), "the guest checks itself");
    session.steps()
}

fn bench(criterion: &mut Criterion, guest: &str, guest_args: &[&str]) {
    let path = format!("{}/guests/bin/{guest}.elf", env!("CARGO_MANIFEST_DIR"));
    let program = Program::from_elf(&std::fs::read(path).expect("the guest is there")).expect("the guest is a program");
    let args = [&[guest], guest_args].concat();
    let mut group = criterion.benchmark_group(guest);
    group.sampling_mode(SamplingMode::Flat);
    for (engine_name, engine) in ENGINES {
        for (sink_name, sink) in SINKS {
            group.throughput(Throughput::Elements(run(&program, engine, &args, sink)));
            group.bench_function(format!("{engine_name} {sink_name}"), |bencher| {
                bencher.iter(|| black_box(run(&program, engine, &args, sink)));
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for (guest, args) in WORK {
        bench(&mut criterion, guest, args);
    }
    criterion.final_summary();
}
