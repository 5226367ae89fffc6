//! Random numbers for tests: splitmix64, so that a seed gives the same programs everywhere and for ever.

/// Corner values of arithmetic: zero, signs, carries, and the ends of every width.
pub const CORNERS: [u32; 20] = [
    0,
    1,
    2,
    3,
    31,
    32,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x5555_5555,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xaaaa_aaaa,
    0xffff_fffe,
    0xffff_ffff,
];

/// A stream of numbers that a seed determines.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Returns a number in `start..end`.
    pub fn between(&mut self, start: u32, end: u32) -> u32 {
        start + self.below((end - start) as u64) as u32
    }

    /// Returns true once in `times`, on average.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Returns a word: a corner, a small number of either sign, a power of two or its neighbour, or anything.
    pub fn word(&mut self) -> u32 {
        let any = self.bits() as u32;
        match self.below(8) {
            0..2 => self.pick(&CORNERS),
            2 => (any % 64).wrapping_sub(32),
            3 => (1u32 << (any % 32)).wrapping_add(self.between(0, 3)).wrapping_sub(1),
            _ => any,
        }
    }
}
