//! Measures the cost of hashing memory: time per Poseidon2 permutation for each kernel, for a segment's tree, and per
//! segment of whole runs.
//!
//! A page takes 32 permutations, an inner node of the tree takes one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tachy::risc0::host::HostEnv;
use tachy::risc0::poseidon2::{Kernel, permute};
use tachy::risc0::{PageContent, Tree};
use tachy::{Env, Executor, MachineKind, Program};

const PERMUTATIONS_PER_PAGE: u64 = 32;

fn page(seed: usize) -> PageContent {
    std::array::from_fn(|at| (seed.wrapping_mul(0x9e37_79b9) >> (at % 24)) as u8 ^ at as u8)
}

fn hashing(criterion: &mut Criterion) {
    let pages: Vec<PageContent> = (0..256).map(page).collect();
    let inputs: Vec<&PageContent> = pages.iter().collect();

    let mut group = criterion.benchmark_group("hashing/permutation");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one state", |bencher| {
        let mut state = std::array::from_fn(|cell| cell as u32);
        bencher.iter(|| permute(&mut state));
    });
    for kernel in Kernel::available() {
        group.throughput(Throughput::Elements(pages.len() as u64 * PERMUTATIONS_PER_PAGE));
        group.bench_function(format!("256 pages, {}", kernel.name()), |bencher| {
            bencher.iter(|| kernel.hash_pages(&inputs));
        });
    }
    for kernel in Kernel::available() {
        let children: Vec<_> = kernel.hash_pages(&inputs).into_iter().map(|digest| [digest; 2]).collect();
        group.throughput(Throughput::Elements(children.len() as u64));
        group.bench_function(format!("256 inner nodes, {}", kernel.name()), |bencher| {
            bencher.iter(|| kernel.hash_pairs(&children));
        });
    }
    group.finish();

    // The dirty pages of a typical segment: stack, heap and a system page.
    let mut group = criterion.benchmark_group("hashing/tree");
    group.throughput(Throughput::Elements(200));
    let numbers: Vec<u32> = (0x800..0x820).chain(0x1000..0x1000 + 167).chain([0x3f_ffc0]).collect();
    for kernel in Kernel::available() {
        let mut tree = Tree::new(kernel);
        group.bench_function(format!("200 dirty pages, {}", kernel.name()), |bencher| {
            bencher.iter(|| tree.update(numbers.iter().copied().zip(inputs.iter().copied())));
        });
    }
    group.finish();
}

/// Guests with their input, the size of their segments, and what that makes of them.
const RUNS: [(&str, &[u32], u32, &str); 2] =
    [("fib", &[15], 13, "8808 of 2^13, few pages each"), ("heap", &[2000, 2000], 20, "of 2^20, many pages each")];

/// Runs a guest whose segments are dropped, and returns their number.
fn run(executor: &Executor, input: &[u32], po2: u32, threads: usize) -> u64 {
    let host = HostEnv::builder().write_slice(input).random_seed([0; 32]).build().expect("a host");
    let mut segments = 0;
    let take = |_: &_| {
        segments += 1;
        Ok(())
    };
    executor.run(Env::new().host(host).segment_po2(po2).segments(take).hashing_threads(threads)).expect("it ends");
    segments
}

fn segments(criterion: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for (guest, input, po2, what) in RUNS {
        let path = format!("{}/guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
        let program = Program::from_risc0(&std::fs::read(path).expect("the guest is there")).expect("a program");
        let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("good settings");
        let mut group = criterion.benchmark_group(format!("hashing/segments/{guest}, {what}"));
        group.sample_size(10).throughput(Throughput::Elements(run(&executor, input, po2, cores)));
        let mut threads = vec![0, 1, cores];
        threads.dedup();
        for threads in threads {
            group.bench_function(format!("{threads} threads"), |bencher| {
                bencher.iter(|| run(&executor, input, po2, threads));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, hashing, segments);
criterion_main!(benches);
