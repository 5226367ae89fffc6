//! Random numbers from a seed. It must not know what they are for.

/// SplitMix64: small, and good enough to pick instructions.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 16) as u32
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(bound)) >> 32) as u32
    }

    /// From `low` to below `high`.
    pub fn within(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low)
    }

    /// One in `count`.
    pub fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// A word with a liking for the ends of ranges.
    pub fn operand(&mut self) -> u32 {
        match self.below(6) {
            0 => self.pick(&[0, 1, 2, 4, 31, 32, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe]),
            1 => self.below(4096),
            _ => self.word(),
        }
    }
}
