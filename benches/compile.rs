//! What translation costs: time and bytes of machine code for each guest instruction, on every guest.
//!
//! Everything is translated at first sight, so that much code is translated that hardly runs; only the time spent
//! translating is counted. The bytes, which do not vary, are in the names.

use std::fs;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tachy::{Engine, Env, Executor, JitOptions, NullSink, Program, Stats};

const GUESTS: [&str; 7] = ["fib", "sieve", "sha256", "quicksort", "vm", "mix", "rust_mix"];

/// How one run of a guest at its default size went, each time with everything translated anew.
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
