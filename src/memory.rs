//! The contents of guest memory, for digests and comparisons. It must not know who wrote them, nor why.

use tachy_runtime::{PAGE_BYTES, PageState, Vm};

/// Returns every page that has a nonzero byte, with its number, in ascending order.
pub(crate) fn pages(vm: &Vm) -> impl Iterator<Item = (u32, &[u8])> {
    // A page without any state was never touched and is zero. Reading it would make it resident. Nearly all of the four
    // million pages are untouched, so whole runs of them are skipped.
    const RUN: usize = 64;
    let runs = (0..).step_by(RUN).zip(vm.page_states().chunks(RUN)).filter(|(_, run)| *run != [0; RUN]);
    let states = runs.flat_map(|(first, run)| (first..).zip(run));
    let touched = states.filter(|(_, state)| PageState(**state) != PageState::default());
    touched.filter_map(|(page, _)| {
        let bytes = vm.bytes(page * PAGE_BYTES, PAGE_BYTES)?;
        (*bytes != [0; PAGE_BYTES as usize]).then_some((page, bytes))
    })
}

/// Returns the BLAKE3 hash over every nonzero page: its number (u32, little-endian) and its bytes, in ascending order.
pub(crate) fn digest(vm: &Vm) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (page, bytes) in pages(vm) {
        hasher.update(&page.to_le_bytes());
        hasher.update(bytes);
    }
    hasher.finalize()
}

/// Returns the address of the first word that differs between two memories.
pub(crate) fn first_difference(a: &Vm, b: &Vm) -> Option<u32> {
    if pages(a).eq(pages(b)) {
        return None;
    }
    let mut numbers: Vec<u32> = pages(a).chain(pages(b)).map(|(page, _)| page).collect();
    numbers.sort_unstable();
    let words = numbers.iter().flat_map(|page| (0..PAGE_BYTES / 4).map(move |word| page * PAGE_BYTES + 4 * word));
    words.into_iter().find(|&address| a.word(address) != b.word(address))
}
