//! Poseidon2 as R0VM uses it to commit to memory, with many hashes side by side in the lanes of a vector.
//!
//! Three kernels compute the same: a portable one, AVX2 with 8 lanes and AVX-512 with 16; [`Kernel::best`] picks one
//! for this processor. This module must not know what a Merkle tree or an image is: it hashes pages and pairs of
//! digests.
#![expect(clippy::indexing_slicing, reason = "cells, rounds and lanes, by numbers below those of the hash")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod constants;
mod field;
mod permutation;
mod portable;

use std::array;

use crate::memory::PageContent;
pub use constants::CELLS;
use constants::RATE;

/// Elements of a digest.
const DIGEST_WORDS: usize = 8;

/// A digest: eight canonical elements of BabyBear.
pub type PoseidonDigest = [u32; DIGEST_WORDS];

/// One block of input for each lane, cell by cell.
type Block<const LANES: usize> = [[u32; LANES]; RATE];

/// One digest for each lane, word by word.
type Output<const LANES: usize> = [[u32; LANES]; DIGEST_WORDS];

/// Applies the Poseidon2 permutation of R0VM. Elements are canonical, below the prime 15 * 2^27 + 1, before and after;
/// larger ones count modulo the prime.
pub fn permute(state: &mut [u32; CELLS]) {
    portable::permute_canonical(state);
}

/// An implementation of the hash; all of them compute the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// One hash at a time, on any processor.
    pub const PORTABLE: Kernel = Kernel(Kind::Portable);

    /// Returns the kernels that this processor can run, the best one last. A `Kernel` exists only if the processor can
    /// run it.
    pub fn available() -> Vec<Kernel> {
        #[allow(unused_mut, reason = "other processors have no others")]
        let mut kernels = vec![Kernel::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(Kernel(Kind::Avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                kernels.push(Kernel(Kind::Avx512));
            }
        }
        kernels
    }

    /// Returns the kernel with the most lanes that this processor can run.
    pub fn best() -> Kernel {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Kernel(Kind::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Kernel(Kind::Avx2);
            }
        }
        Kernel::PORTABLE
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "AVX-512",
        }
    }

    /// Returns the digest of each page: its half-words in order, 16 to a block.
    pub fn hash_pages(self, pages: &[&PageContent]) -> Vec<PoseidonDigest> {
        self.hash_all(pages)
    }

    /// Returns the digest of each inner node of a tree, given its left and right children.
    ///
    /// A node's block is the right child first, then the left one. Words count modulo the prime.
    pub fn hash_pairs(self, children: &[[PoseidonDigest; 2]]) -> Vec<PoseidonDigest> {
        self.hash_all(&children.iter().collect::<Vec<_>>())
    }

    fn hash_all<T: Input + ?Sized>(self, inputs: &[&T]) -> Vec<PoseidonDigest> {
        let mut digests = Vec::with_capacity(inputs.len());
        #[allow(unused_mut)]
        let mut rest = inputs;
        #[cfg(target_arch = "x86_64")]
        match self.0 {
            Kind::Portable => {}
            Kind::Avx2 => in_lanes(&mut rest, &mut digests, avx2_hash),
            Kind::Avx512 => in_lanes(&mut rest, &mut digests, avx512_hash),
        }
        in_lanes(&mut rest, &mut digests, portable::hash);
        digests
    }
}

/// The input of a hash.
trait Input {
    const BLOCKS: usize;

    /// Returns the cells of a block.
    fn block(&self, index: usize) -> [u32; RATE];
}

impl Input for PageContent {
    const BLOCKS: usize = size_of::<PageContent>() / (2 * RATE);

    #[inline]
    fn block(&self, index: usize) -> [u32; RATE] {
        let halves = self.as_chunks::<2>().0.as_chunks::<RATE>().0;
        halves[index].map(|half| u16::from_le_bytes(half).into())
    }
}

impl Input for [PoseidonDigest; 2] {
    const BLOCKS: usize = 1;

    #[inline]
    fn block(&self, _: usize) -> [u32; RATE] {
        let [left, right] = self;
        array::from_fn(|cell| if cell < DIGEST_WORDS { right[cell] } else { left[cell - DIGEST_WORDS] })
    }
}

/// Hashes with a kernel of this many lanes as long as filling them pays, and leaves the rest of the inputs.
fn in_lanes<const LANES: usize, T: Input + ?Sized>(
    inputs: &mut &[&T],
    digests: &mut Vec<PoseidonDigest>,
    hash: impl Fn(&mut dyn FnMut(&mut Block<LANES>) -> bool) -> Output<LANES>,
) {
    // Measured: a round of 8 or 16 lanes takes about as long as two states one after the other.
    while inputs.len() > LANES / 8 {
        let (now, later) = inputs.split_at(inputs.len().min(LANES));
        *inputs = later;
        let mut blocks = 0..T::BLOCKS;
        let output = hash(&mut |block| {
            let Some(index) = blocks.next() else { return false };
            for (lane, input) in now.iter().enumerate() {
                for (cells, value) in block.iter_mut().zip(input.block(index)) {
                    cells[lane] = value;
                }
            }
            true
        });
        digests.extend((0..now.len()).map(|lane| output.map(|word| word[lane])));
    }
}

#[cfg(target_arch = "x86_64")]
fn avx2_hash(blocks: &mut dyn FnMut(&mut Block<8>) -> bool) -> Output<8> {
    // SAFETY: reached only through a `Kernel` of kind Avx2, which exists only if the processor has AVX2.
    unsafe { avx2::hash(blocks) }
}

#[cfg(target_arch = "x86_64")]
fn avx512_hash(blocks: &mut dyn FnMut(&mut Block<16>) -> bool) -> Output<16> {
    // SAFETY: reached only through a `Kernel` of kind Avx512, which exists only if the processor has AVX-512F.
    unsafe { avx512::hash(blocks) }
}
