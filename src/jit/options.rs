//! How native code is made; nothing here changes what a program does.

use crate::error::Error;

/// When code is translated, how much at once, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitOptions {
    /// Control must come to an address this often before the code there is translated; 0 and 1 translate at first sight.
    pub threshold: u16,
    /// Guest instructions in one region, at the most: 1 to 2,000.
    pub region_instructions: usize,
    /// Bytes of machine code kept; when they are full, all is dropped and made anew as needed. At least 1 MiB.
    pub code_bytes: usize,
    /// Name generated code for Linux's perf in `/tmp/perf-PID.map`.
    pub perf_map: bool,
    /// Leave native code after each block for the interpreter to go on to the next: slow, and a hard test of both acting
    /// on one state.
    pub take_turns: bool,
}

impl Default for JitOptions {
    fn default() -> Self {
        JitOptions {
            threshold: 2000,
            region_instructions: 256,
            code_bytes: 64 << 20,
            perf_map: false,
            take_turns: false,
        }
    }
}

impl JitOptions {
    /// Everything translated at first sight: for tests, and to see what translation costs.
    pub fn eager() -> JitOptions {
        JitOptions { threshold: 0, ..JitOptions::default() }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
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
