//! Measures the cost of translation: time and bytes of machine code per guest instruction, on every guest.
//!
//! Everything is translated at first sight, so much of the translated code hardly runs. Only the time spent translating
//! counts. The number of bytes does not vary and is part of each benchmark's name.

use std::fs;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tachy::{Engine, Env, Executor, JitOptions, NullSink, Program, Stats};

const GUESTS: [&str; 7] = ["fib", "sieve", "sha256", "quicksort", "vm", "mix", "rust_mix"];

/// Runs a guest at its default size with a cold JIT and returns its statistics.
fn run(program: &Program, mut sink: NullSink) -> Stats {
    let executor =
        Executor::builder().engine(Engine::Jit).jit(JitOptions::eager()).build(program).expect("an executor");
    executor.trace(Env::new(), &mut sink).expect("the guest ends by itself").stats()
}

fn compile(criterion: &mut Criterion) {
    for (level, sink) in [("off", NullSink::off()), ("rows", NullSink::rows())] {
        let mut group = criterion.benchmark_group(format!("compile/{level}"));
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
        for guest in GUESTS {
            let path = format!("{}/guests/bin/{guest}.elf", env!("CARGO_MANIFEST_DIR"));
            let program = Program::from_elf(&fs::read(path).expect("a guest")).expect("a program");
            let once = run(&program, sink);
            let bytes = once.code_bytes as f64 / once.translated_instructions as f64;
            group.throughput(Throughput::Elements(once.translated_instructions));
            group.bench_function(format!("{guest}, {bytes:.0} bytes an instruction"), |bencher| {
                bencher.iter_custom(|runs| (0..runs).map(|_| run(&program, sink).compile_time).sum());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, compile);
criterion_main!(benches);
