//! How native code is made; nothing here changes what a program does.

use super::analysis::merging::Purpose;
use crate::error::Error;

/// When code is translated, how much at once, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitOptions {
    /// Control must come to an address this often before the code there is translated, up to 32,768 times; 0 and 1 translate
    /// at first sight. Each time that code memory was full it doubles, up to the same.
    pub threshold: u16,
    /// Guest instructions in one region, at the most: 1 to 2,000. A merged region may have four times as many.
    pub region_instructions: usize,
    /// Steps between two looks at how often native code goes from region to region. Where that is often, the regions that it
    /// goes between are merged into one. 0: never; 1 to 1,023 count as 1,024, since each look interrupts native code.
    pub merge_interval_steps: u32,
    /// Bytes of machine code kept; when they are full, all code is dropped and recompiled as needed. At least 1 MiB.
    pub code_bytes: usize,
    /// Translate on a thread of the executor's own, while sessions interpret on. Otherwise each session translates what
    /// it needs and waits for it, and how it ran is as reproducible as what it computed.
    pub background: bool,
    /// Translate no more than the session's steps have paid for, so that no program takes much more processor time than
    /// the interpreter would, on all threads together. Otherwise everything that is hot is translated.
    pub paid_by_steps: bool,
    /// Name generated code for Linux's perf in `/tmp/perf-PID.map`.
    pub perf_map: bool,
    /// Leave native code after each block for the interpreter to go on to the next: slow, and a hard test of both acting
    /// on one state.
    pub alternate_engines: bool,
}

/// The fewest steps between two looks, each of which costs about as much as a hundred steps of native code.
const MERGE_INTERVAL_STEPS_MIN: u32 = 1 << 10;

/// The largest threshold: counts that go on behind their largest do so from here.
const THRESHOLD_MAX: u16 = 1 << 15;

impl Default for JitOptions {
    fn default() -> Self {
        JitOptions {
            threshold: 200,
            region_instructions: 256,
            merge_interval_steps: 1 << 20,
            code_bytes: 64 << 20,
            background: true,
            paid_by_steps: true,
            perf_map: false,
            alternate_engines: false,
        }
    }
}

impl JitOptions {
    /// Everything translated at first sight, and waited for: for tests, and to see what translation costs.
    pub fn eager() -> JitOptions {
        JitOptions { threshold: 0, background: false, paid_by_steps: false, ..JitOptions::default() }
    }

    /// The threshold in the generation of code memory with this number. It doubles with each: what filled memory up was
    /// too much to translate, and translating it again and again would be worse than interpreting.
    pub(super) fn threshold_in(&self, generation: u32) -> u16 {
        match generation {
            0 => self.threshold,
            number => ((self.threshold.max(1) as u32) << number.min(15)).min(THRESHOLD_MAX.into()) as u16,
        }
    }

    /// Steps between two looks at how often native code goes from region to region; 0: never.
    pub(crate) fn steps_between_looks(&self) -> u32 {
        match self.merge_interval_steps {
            0 => 0,
            steps => steps.max(MERGE_INTERVAL_STEPS_MIN),
        }
    }

    /// Guest instructions in a region that is made for this reason, at the most.
    pub(super) fn cap_of(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::New => self.region_instructions,
            Purpose::Merge => 4 * self.region_instructions,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.threshold > THRESHOLD_MAX {
            let found = format!("{} times", self.threshold);
            return Err(Error::Configuration { what: "the threshold", found, expected: "0 to 32,768" });
        }
        if !(1..=2000).contains(&self.region_instructions) {
            let found = format!("{} instructions", self.region_instructions);
            return Err(Error::Configuration { what: "the region cap", found, expected: "1 to 2,000" });
        }
        if !(1 << 20..=1 << 31).contains(&self.code_bytes) {
            let found = format!("{} bytes", self.code_bytes);
            return Err(Error::Configuration { what: "the code budget", found, expected: "1 MiB to 2 GiB" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_double_up_to_the_largest() {
        let of = |threshold, generation| JitOptions { threshold, ..JitOptions::default() }.threshold_in(generation);
        assert_eq!(
            [0, 1, 2, 7, 8, 100, u32::MAX].map(|generation| of(200, generation)),
            [200, 400, 800, 25_600, 32_768, 32_768, 32_768]
        );
        assert_eq!([0, 1, 15, 16].map(|generation| of(0, generation)), [0, 2, 32_768, 32_768]);
    }
}
