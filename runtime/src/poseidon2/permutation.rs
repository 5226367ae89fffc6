//! The permutation, written once for every kind of lane. A kernel names its vector type and five functions; this file
//! turns them into the step that all hashing consists of.
//!
//! It is a macro and not a trait: the functions of a kernel are safe only inside others with the same target features,
//! and methods of a trait cannot have these.

use super::constants::{CELLS, DIAGONAL, FULL, HALF_FULL_ROUNDS, PARTIAL, PARTIAL_ROUNDS};
use super::field::{Factor, TO_MONTGOMERY, montgomery};

/// [`FULL`] in Montgomery form.
pub(super) const FULL_CONSTANTS: [[u32; CELLS]; 2 * HALF_FULL_ROUNDS] = {
    let mut constants = FULL;
    let mut round = 0;
    while round < constants.len() {
        let mut cell = 0;
        while cell < CELLS {
            constants[round][cell] = montgomery(FULL[round][cell]);
            cell += 1;
        }
        round += 1;
    }
    constants
};

/// [`PARTIAL`] in Montgomery form.
pub(super) const PARTIAL_CONSTANTS: [u32; PARTIAL_ROUNDS] = {
    let mut constants = PARTIAL;
    let mut round = 0;
    while round < constants.len() {
        constants[round] = montgomery(PARTIAL[round]);
        round += 1;
    }
    constants
};

/// [`DIAGONAL`] as factors.
pub(super) const DIAGONAL_FACTORS: [Factor; CELLS] = {
    let mut factors = [Factor::of_montgomery(0); CELLS];
    let mut cell = 0;
    while cell < CELLS {
        factors[cell] = Factor::of_montgomery(montgomery(DIAGONAL[cell]));
        cell += 1;
    }
    factors
};

/// Converts canonical elements to Montgomery form.
pub(super) const INTO_MONTGOMERY: Factor = Factor::of_montgomery(TO_MONTGOMERY);

/// Converts elements in Montgomery form back to canonical ones.
pub(super) const OUT_OF_MONTGOMERY: Factor = Factor::of_montgomery(1);

/// Defines `permute` and `hash` for a kernel with vectors `$vector` of `$lanes` elements in Montgomery form.
///
/// The kernel must have in scope: `add`, `multiply`, `scale` (by a `Factor`), `splat` (a `u32`), `load` and `store`
/// (arrays of lanes). `$features` are the attributes that all of these functions carry.
macro_rules! kernel {
    ($vector:ty, $lanes:expr, $(#[$features:meta])*) => {
        /// Returns x^7.
        $(#[$features])*
        #[inline]
        fn sbox(x: $vector) -> $vector {
            let square = multiply(x, x);
            multiply(multiply(square, x), multiply(square, square))
        }

        /// Applies the outer linear layer: the 4x4 matrix of the Poseidon2 paper on each group of four cells, by the
        /// chain of additions in its appendix B. Then adds the sum of all groups to each group.
        $(#[$features])*
        #[inline]
        fn outer_layer(state: &mut [$vector; CELLS]) {
            let mut sums = [splat(0); 4];
            for group in state.as_chunks_mut::<4>().0 {
                let [a, b, c, d] = *group;
                let (ab, cd) = (add(a, b), add(c, d));
                let abbcd = add(add(b, b), cd);
                let abcdd = add(add(d, d), ab);
                let (twice_ab, twice_cd) = (add(ab, ab), add(cd, cd));
                let fourth = add(add(twice_cd, twice_cd), abcdd);
                let second = add(add(twice_ab, twice_ab), abbcd);
                *group = [add(abcdd, second), second, add(abbcd, fourth), fourth];
                for (sum, cell) in sums.iter_mut().zip(group) {
                    *sum = add(*sum, *cell);
                }
            }
            for group in state.as_chunks_mut::<4>().0 {
                for (cell, sum) in group.iter_mut().zip(&sums) {
                    *cell = add(*cell, *sum);
                }
            }
        }

        /// Applies the inner linear layer, given the sum of all cells but the first.
        $(#[$features])*
        #[inline]
        fn inner_layer(state: &mut [$vector; CELLS], rest: $vector) {
            let sum = add(rest, state[0]);
            for (cell, factor) in state.iter_mut().zip(&DIAGONAL_FACTORS) {
                *cell = add(sum, scale(*cell, *factor));
            }
        }

        /// Returns the sum of all cells but the first, added as a tree: it is on the critical path of every partial
        /// round.
        $(#[$features])*
        #[inline]
        fn sum_of_rest(state: &[$vector; CELLS]) -> $vector {
            let mut sums = *state;
            sums[0] = splat(0);
            for half in [12, 6, 3] {
                for cell in 0..half {
                    sums[cell] = add(sums[cell], sums[cell + half]);
                }
            }
            add(add(sums[0], sums[1]), sums[2])
        }

        $(#[$features])*
        #[inline]
        fn full_round(state: &mut [$vector; CELLS], constants: &[u32; CELLS]) {
            for (cell, constant) in state.iter_mut().zip(constants) {
                *cell = sbox(add(*cell, splat(*constant)));
            }
            outer_layer(state);
        }

        $(#[$features])*
        fn permute(state: &mut [$vector; CELLS]) {
            outer_layer(state);
            let (before, after) = FULL_CONSTANTS.split_at(HALF_FULL_ROUNDS);
            for constants in before {
                full_round(state, constants);
            }
            for constant in &PARTIAL_CONSTANTS {
                let rest = sum_of_rest(state);
                state[0] = sbox(add(state[0], splat(*constant)));
                inner_layer(state, rest);
            }
            for constants in after {
                full_round(state, constants);
            }
        }

        /// Hashes blocks of canonical elements, each lane on its own, until `blocks` has no next block. Returns the
        /// cells of the digest.
        $(#[$features])*
        pub(super) fn hash(blocks: &mut dyn FnMut(&mut Block<{ $lanes }>) -> bool) -> Output<{ $lanes }> {
            let mut state = [splat(0); CELLS];
            let mut block = [[0; $lanes]; RATE];
            while blocks(&mut block) {
                for (cell, input) in state.iter_mut().zip(&block) {
                    *cell = scale(load(*input), INTO_MONTGOMERY);
                }
                permute(&mut state);
            }
            let mut output = [[0; $lanes]; DIGEST_WORDS];
            for (lanes, cell) in output.iter_mut().zip(&state) {
                *lanes = store(scale(*cell, OUT_OF_MONTGOMERY));
            }
            output
        }
    };
}

pub(super) use kernel;
