//! Options of the JIT. None of them changes what a program computes.

use super::analysis::merging::Purpose;
use crate::error::Error;

/// Options of the JIT: when it compiles code, how much at once, and how much it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitOptions {
    /// How often control must enter an address before the code there is compiled: 0 to 32,768. 0 and 1 compile code
    /// when it first runs. The threshold doubles each time that code memory is full, up to 32,768.
    pub threshold: u16,
    /// Maximum number of guest instructions in one region: 1 to 2,000. A merged region may have four times as many.
    pub region_instructions: usize,
    /// Steps between two checks of how often native code moves between regions. Regions between which it moves often
    /// are merged into one. 0 turns merging off; 1 to 1,023 count as 1,024, because each check interrupts native code.
    pub merge_interval_steps: u32,
    /// Bytes of machine code to keep, 1 MiB to 2 GiB. When they are full, all code is dropped and recompiled as needed.
    pub code_bytes: usize,
    /// Compile on a background thread of the executor while sessions keep interpreting. If this is off, each session
    /// compiles what it needs and waits for it, so that its counters are as reproducible as its results.
    pub background: bool,
    /// Compile only as much as the session's steps have paid for, so that no program takes much more processor time, on
    /// all threads together, than the interpreter would. If this is off, everything hot is compiled.
    pub paid_by_steps: bool,
    /// Write the names of generated functions to `/tmp/perf-PID.map` for Linux's perf.
    pub perf_map: bool,
    /// Alternate between native code and the interpreter at every block. This is slow, and tests that both engines act
    /// on one state.
    pub alternate_engines: bool,
}

/// Minimum number of steps between two checks, each of which costs about as much as a hundred steps of native code.
const MERGE_INTERVAL_STEPS_MIN: u32 = 1 << 10;

/// The largest threshold. A count that overflows continues from here.
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
    /// Compiles all code when it first runs, and waits for it: for tests, and to measure what compilation costs.
    pub fn eager() -> JitOptions {
        JitOptions { threshold: 0, background: false, paid_by_steps: false, ..JitOptions::default() }
    }

    /// Returns the threshold in the generation of code memory with this number. It doubles with each generation: code
    /// that filled the memory was too much to compile, and recompiling it repeatedly would be slower than interpreting.
    pub(super) fn threshold_in(&self, generation: u32) -> u16 {
        match generation {
            0 => self.threshold,
            number => ((self.threshold.max(1) as u32) << number.min(15)).min(THRESHOLD_MAX.into()) as u16,
        }
    }

    /// Returns the steps between two checks of how often native code moves between regions; 0 for never.
    pub(crate) fn steps_between_looks(&self) -> u32 {
        match self.merge_interval_steps {
            0 => 0,
            steps => steps.max(MERGE_INTERVAL_STEPS_MIN),
        }
    }

    /// Returns the maximum number of guest instructions in a region that is compiled for this purpose.
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
