//! The permutation, the digests of pages and nodes, and tagged structures, against risc0-zkp and risc0-binfmt.

use oracle_images::rng::Rng;
use oracle_images::{digest, our_digest, random_page, random_pages};
use risc0_binfmt::{MemoryImage, Page, tagged_struct};
use risc0_core::field::Elem as _;
use risc0_core::field::baby_bear::BabyBearElem;
use risc0_zkp::core::hash::poseidon2::poseidon2_mix;
use risc0_zkp::core::hash::sha::Impl;
use tachy::risc0::poseidon2::{Kernel, permute};
use tachy::risc0::{self, PageContent, Tree};

const PRIME: u64 = 0x7800_0001;

/// The reference's page with this content.
fn page(content: &PageContent) -> Page {
    let mut page = Page::default();
    for (index, word) in content.as_chunks().0.iter().enumerate() {
        page.store(risc0_binfmt::WordAddr(index as u32), u32::from_le_bytes(*word));
    }
    page
}

#[test]
fn permutations() {
    let mut rng = Rng::new(1);
    for round in 0..2000 {
        let mut ours: [u32; 24] = std::array::from_fn(|_| match rng.below(4) {
            0 => rng.pick(&[0, 1, 2, (PRIME - 1) as u32, (PRIME - 2) as u32]),
            _ => rng.below(PRIME) as u32,
        });
        let mut theirs = ours.map(BabyBearElem::new);
        let input = ours;
        permute(&mut ours);
        poseidon2_mix(&mut theirs);
        assert_eq!(ours, theirs.map(|element| element.as_u32()), "round {round}, input {input:x?}");
    }
    assert_eq!(BabyBearElem::ZERO.as_u32(), 0);
}

#[test]
fn page_digests() {
    let mut rng = Rng::new(2);
    let pages: Vec<_> = (0..100).map(|_| random_page(&mut rng)).collect();
    let inputs: Vec<&PageContent> = pages.iter().map(|page| &**page).collect();
    for kernel in Kernel::available() {
        for (index, ours) in kernel.hash_pages(&inputs).into_iter().enumerate() {
            let theirs = page(inputs[index]).digest();
            assert_eq!(digest(risc0::Digest(ours)), theirs, "{}, page {index}", kernel.name());
        }
    }
}

/// Trees updated again and again have the reference's roots.
#[test]
fn roots() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        for kernel in Kernel::available() {
            let mut ours = Tree::new(kernel);
            let mut theirs = MemoryImage::default();
            for update in 0..5 {
                let pages: Vec<_> =
                    random_pages(&mut rng).into_iter().map(|page| (page, random_page(&mut rng))).collect();
                ours.update(pages.iter().map(|(page, content)| (*page, &**content)));
                for (number, content) in &pages {
                    theirs.set_page(*number, page(content));
                }
                theirs.update_digests();
                let (ours, theirs) = (digest(ours.root()), theirs.image_id());
                assert_eq!(ours, theirs, "{}, seed {seed}, update {update}", kernel.name());
            }
        }
    }
}

#[test]
fn tagged_structures() {
    let mut rng = Rng::new(3);
    for round in 0..200 {
        let tag: String = (0..rng.below(40)).map(|_| rng.between(32, 127) as u8 as char).collect();
        let down: Vec<_> = (0..rng.below(5)).map(|_| risc0::Digest(std::array::from_fn(|_| rng.word()))).collect();
        let words: Vec<u32> = (0..rng.below(5)).map(|_| rng.word()).collect();
        let theirs: Vec<_> = down.iter().copied().map(digest).collect();
        let theirs = tagged_struct::<Impl>(&tag, &theirs, &words);
        assert_eq!(risc0::tagged_struct(&tag, &down, &words), our_digest(&theirs), "round {round}, tag {tag:?}");
        assert_eq!(risc0::tagged_struct(&tag, &down, &words).to_string(), theirs.to_string());
    }
}
