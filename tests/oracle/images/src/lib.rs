//! What the comparisons of this package share: RISC Zero's types from ours, random memory, random ELFs.
//!
//! It must not know what is compared.

pub mod elf;
#[path = "../../../common/rng.rs"]
pub mod rng;

use risc0_zkp::core::digest::Digest;
use rng::Rng;
use tachy::risc0::PageContent;

/// The reference's digest of the same value.
pub fn digest(ours: tachy::risc0::Digest) -> Digest {
    Digest::new(ours.0)
}

/// Ours of the same value as the reference's.
pub fn our_digest(theirs: &Digest) -> tachy::risc0::Digest {
    tachy::risc0::Digest(theirs.as_words().try_into().expect("a digest has 8 words"))
}

/// A page of zeros, of small words, or of anything.
pub fn random_page(rng: &mut Rng) -> Box<PageContent> {
    let kind = rng.below(4);
    let mut page = Box::new([0; 1024]);
    for word in page.as_chunks_mut::<4>().0 {
        let any = rng.bits() as u32;
        *word = match kind {
            0 => 0,
            1 => any % 256,
            _ => any,
        }
        .to_le_bytes();
    }
    page
}

/// Page numbers as programs have them: runs here and there, the last page often.
pub fn random_pages(rng: &mut Rng) -> Vec<u32> {
    let mut pages = Vec::new();
    for _ in 0..rng.between(1, 6) {
        let start = rng.below(1 << 22) as u32;
        let count = rng.between(1, 20);
        pages.extend((start..start + count).filter(|page| *page < 1 << 22 && !rng.one_in(4)));
    }
    if rng.one_in(2) || pages.is_empty() {
        pages.push((1 << 22) - 1);
    }
    pages.sort_unstable();
    pages.dedup();
    pages
}
