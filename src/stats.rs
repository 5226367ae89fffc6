//! Counters of a session. Plain data; it must not know who counts.

use std::time::Duration;

/// Counters of a session that tell how it ran, never what it computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Steps that the interpreter did.
    pub interpreted_steps: u64,
    /// Times native code was entered.
    pub entries: u64,
    /// Transfers from one region to another within native code, the first of each entry included.
    pub transfers: u64,
    /// Times native code left in the middle of a region, for the interpreter to go on.
    pub deopts: u64,
    /// Times native code asked about an access.
    pub access_assists: u64,
    /// Times native code asked for more steps or an empty row buffer.
    pub refill_assists: u64,
    /// Regions translated for the session.
    pub regions: u64,
    /// Those among them that merged others, since control went from region to region too often.
    pub regions_merged: u64,
    /// Guest instructions translated.
    pub translated_instructions: u64,
    /// Bytes of machine code made.
    pub code_bytes: u64,
    /// Pages of the system that they take: each is sealed once, whatever it holds then.
    pub code_pages: u64,
    /// Regions that could not be compiled, since the code generator refused them or an invariant did not hold; the
    /// interpreter runs them. 0, unless Tachy or the code generator has a bug.
    pub regions_refused: u64,
    /// Time that the session spent on translation: all of it, or without waiting for the background thread's.
    pub compile_time: Duration,
    /// Time that the background thread spent translating for the session.
    pub background_time: Duration,
    /// Times code memory was full and was started empty.
    pub code_flushes: u64,
    /// Times translated code was written over.
    pub invalidations: u64,
    /// System calls carried out.
    pub ecalls: u64,
    /// Those among them that the machine does not know.
    pub ecalls_unknown: u64,
    /// Distinct guest pages mapped at load or touched.
    pub pages: u64,
}
