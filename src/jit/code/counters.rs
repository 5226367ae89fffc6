//! Counters of a session's compilations. The thread that compiles counts: the session's own, or the background thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stats::Stats;

/// The counters. They order nothing.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) regions: AtomicU64,
    pub(crate) regions_merged: AtomicU64,
    /// Regions that were read from disk.
    pub(crate) regions_loaded: AtomicU64,
    pub(crate) instructions: AtomicU64,
    pub(crate) code_bytes: AtomicU64,
    /// System pages in which code was published.
    pub(crate) code_pages: AtomicU64,
    /// Regions that could not be compiled.
    pub(crate) regions_refused: AtomicU64,
    /// Time that the session spent on compilation.
    pub(crate) own_nanos: AtomicU64,
    /// Time that the background thread spent on it.
    pub(crate) background_nanos: AtomicU64,
    /// The part of the regions' price that was not paid in advance, in units of `payback`.
    pub(crate) beyond_price: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) invalidations: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn add_time(counter: &AtomicU64, time: Duration) {
        Counters::add(counter, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all counters to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.regions += get(&self.regions);
        stats.regions_merged += get(&self.regions_merged);
        stats.regions_loaded += get(&self.regions_loaded);
        stats.translated_instructions += get(&self.instructions);
        stats.code_bytes += get(&self.code_bytes);
        stats.code_pages += get(&self.code_pages);
        stats.regions_refused += get(&self.regions_refused);
        stats.compile_time += Duration::from_nanos(get(&self.own_nanos));
        stats.background_time += Duration::from_nanos(get(&self.background_nanos));
        stats.code_flushes += get(&self.flushes);
        stats.invalidations += get(&self.invalidations);
    }
}
