//! Counters of a session. Plain data; it must not know who counts.

use std::time::Duration;

/// Counters of a session. They describe how it ran, never what it computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Steps that the interpreter executed. A system instruction that native code hands to the machine does not count.
    pub interpreted_steps: u64,
    /// Times native code was entered.
    pub entries: u64,
    /// Transfers between regions within native code, including the first of each entry.
    pub transfers: u64,
    /// Exits from native code in the middle of a region, after which the interpreter continues.
    pub deopts: u64,
    /// Assists for memory accesses.
    pub access_assists: u64,
    /// Assists for more steps or an empty row buffer.
    pub refill_assists: u64,
    /// Regions compiled for the session.
    pub regions: u64,
    /// Regions among them that merge others, because control moved between these too often.
    pub regions_merged: u64,
    /// Regions that the session read from disk: the code that earlier processes compiled.
    pub regions_loaded: u64,
    /// Guest instructions compiled.
    pub translated_instructions: u64,
    /// Bytes of machine code generated.
    pub code_bytes: u64,
    /// System pages that the code takes. Each page is sealed once, however full it is then.
    pub code_pages: u64,
    /// Regions that could not be compiled, because the code generator rejected them or an invariant did not hold. The
    /// interpreter runs them. The count is 0 unless Tachy or the code generator has a bug.
    pub regions_refused: u64,
    /// Time that the session's own thread spent on compilation. If a background thread compiles, this is only the
    /// preparation of its work.
    pub compile_time: Duration,
    /// Time that the background thread spent compiling for the session.
    pub background_time: Duration,
    /// Times that code memory was full and was emptied.
    pub code_flushes: u64,
    /// Times that the guest overwrote compiled code.
    pub invalidations: u64,
    /// System calls executed.
    pub ecalls: u64,
    /// System calls among them that the machine does not know.
    pub ecalls_unknown: u64,
    /// Distinct guest pages mapped at load or touched.
    pub pages: u64,
}
