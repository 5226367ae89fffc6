//! Page digests per second, RISC Zero's and each of Tachy's kernels in turn, in one process and on one thread.
//!
//! `cargo run --release -p oracle-images --example hashing` prints a table of medians.

use std::hint::black_box;
use std::time::Instant;

use risc0_binfmt::{Page, WordAddr};
use tachy::risc0::{PageContent, poseidon2::Kernel};

const PAGES: usize = 256;
const ROUNDS: usize = 9;

fn main() {
    let contents: Vec<PageContent> =
        (0..PAGES).map(|page| std::array::from_fn(|byte| (page * 31 + byte * 7) as u8)).collect();
    let page = |content: &PageContent| {
        let mut page = Page::default();
        for (word, bytes) in content.chunks_exact(4).enumerate() {
            page.store(WordAddr(word as u32), u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        page
    };
    let pages: Vec<Page> = contents.iter().map(page).collect();
    let references: Vec<&PageContent> = contents.iter().collect();
    let kernels = Kernel::available();
    let mut micros = vec![Vec::new(); kernels.len() + 1];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        pages.iter().for_each(|page| {
            black_box(page.digest());
        });
        micros[0].push(started.elapsed().as_secs_f64() * 1e6 / PAGES as f64);
        for (kernel, micros) in kernels.iter().zip(&mut micros[1..]) {
            let started = Instant::now();
            black_box(kernel.hash_pages(black_box(&references)));
            micros.push(started.elapsed().as_secs_f64() * 1e6 / PAGES as f64);
        }
    }
    let medians: Vec<f64> = micros
        .into_iter()
        .map(|mut micros| {
            micros.sort_by(f64::total_cmp);
            micros[ROUNDS / 2]
        })
        .collect();
    println!("| kernel | us a page | |\n|---|---|---|");
    let names = std::iter::once("RISC Zero").chain(kernels.iter().map(|kernel| kernel.name()));
    for (name, median) in names.zip(&medians) {
        println!("| {name} | {median:.1} | x {:.1} |", medians[0] / median);
    }
}
