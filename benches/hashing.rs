//! Measures the cost of hashing memory: time per Poseidon2 permutation for each kernel, and for a segment's tree.
//!
//! A page takes 32 permutations, an inner node of the tree takes one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tachy::risc0::poseidon2::{Kernel, permute};
use tachy::risc0::{PageContent, Tree};

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

criterion_group!(benches, hashing);
criterion_main!(benches);
