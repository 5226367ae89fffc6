//! Regions on their way from a reservation to code memory. They are compiled one by one and published in batches.
//!
//! Published code is sealed in whole pages of the system, so regions that are ready together share one. It must not
//! know who requested them, nor on which thread it runs.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;

use super::cache::{CodeCache, Generation, publish_code};
use super::counters::Counters;
use super::price::beyond_price;
use super::registry::Reservation;
use super::stored::StoredRegion;
use crate::jit::analysis::access_groups::Reached;
use crate::jit::analysis::merging::Purpose;
use crate::jit::lowering::abi::compile;
use crate::jit::lowering::refused::Refused;
use crate::jit::lowering::{Marks, Settings, lower};

/// Bytes of code that fill a page of most systems: a batch with this much is published.
const PAGE_BYTES: usize = 4096;
/// Maximum age of a batch before it is published, because some session is interpreting its code.
const BATCH_TIME: Duration = Duration::from_millis(2);

/// A reserved region, to be compiled by any owner of a [`Compiler`]. However it ends, its reservation ends with it.
pub(crate) struct Job {
    /// Gone with the last session if the cache is not shared: then nothing would run the code.
    cache: Weak<CodeCache>,
    reservation: Reservation,
    /// The counters of the session that requested it.
    pub(crate) counters: Arc<Counters>,
    /// For the test of a panic.
    #[cfg(test)]
    pub(crate) panics: bool,
}

impl Job {
    pub(crate) fn new(cache: &Arc<CodeCache>, reservation: Reservation, counters: Arc<Counters>) -> Job {
        Job {
            cache: Arc::downgrade(cache),
            reservation,
            counters,
            #[cfg(test)]
            panics: false,
        }
    }

    pub(crate) fn region(&self) -> &crate::jit::analysis::region::Region {
        &self.reservation.region
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.registry().release(&self.reservation);
        }
    }
}

/// The state of one compilation at a time.
pub(crate) struct Compiler {
    context: Context,
    frontend: FunctionBuilderContext,
}

/// A region's machine code, and the accesses of its groups.
struct Code {
    bytes: Vec<u8>,
    groups: Vec<Vec<Reached>>,
}

impl Compiler {
    pub(crate) fn new() -> Compiler {
        Compiler { context: Context::new(), frontend: FunctionBuilderContext::new() }
    }

    /// Compiles a region.
    fn compile(&mut self, cache: &CodeCache, reservation: &Reservation) -> Result<Code, Refused> {
        let Compiler { context, frontend } = self;
        let Reservation { region, number, .. } = reservation;
        let isa = cache.isa();
        let settings = Settings { level: cache.level(), rules: cache.rules(), isa, marks: Marks::None };
        // Cranelift panics where it has a bug. The guest chose the code, so this must not end the host process.
        let code = catch_unwind(AssertUnwindSafe(|| {
            context.clear();
            let groups = lower(region, *number, settings, &mut context.func, frontend)?;
            Ok(Code { bytes: compile(context, isa)?, groups })
        }));
        let code = code.unwrap_or_else(|_| Err(Refused::Generator("it panicked".to_owned())));
        if code.is_err() {
            // A half-finished state cannot be cleared.
            *self = Compiler::new();
        }
        code
    }
}

/// A region that is ready for code memory. It keeps its cache alive until it is published.
struct Ready {
    job: Job,
    cache: Arc<CodeCache>,
    code: Code,
}

/// Regions that are published together.
pub(crate) struct Batch {
    ready: Vec<Ready>,
    bytes: usize,
    started: Instant,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        Batch { ready: Vec::new(), bytes: 0, started: Instant::now() }
    }

    /// Returns whether the batch should wait for no further region.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes >= PAGE_BYTES || self.started.elapsed() >= BATCH_TIME
    }

    /// Compiles one more region, if it is still wanted.
    pub(crate) fn translate(&mut self, job: Job, compiler: &mut Compiler) {
        #[cfg(test)]
        assert!(!job.panics, "a panic for a test");
        let Some(cache) = job.cache.upgrade() else { return };
        {
            let mut registry = cache.registry();
            if !registry.may_publish(&job.reservation) {
                return;
            }
            if job.reservation.purpose == Purpose::Merge {
                registry.count_merge(job.reservation.region.entry);
            }
        }
        match compiler.compile(&cache, &job.reservation) {
            Ok(code) => {
                let beyond = beyond_price(job.region().size(), code.bytes.len(), cache.level());
                Counters::add(&job.counters.beyond_price, beyond);
                self.bytes += code.bytes.len().next_multiple_of(32);
                self.ready.push(Ready { job, cache, code });
            }
            Err(_) => {
                Counters::add(&job.counters.regions_refused, 1);
                cache.registry().refuse(&job.reservation);
            }
        }
    }

    /// Publishes the regions that are ready and may still be published.
    pub(crate) fn publish(mut self) {
        while let Some(first) = self.ready.first() {
            let cache = first.cache.clone();
            let (own, others) = self.ready.into_iter().partition(|ready| Arc::ptr_eq(&ready.cache, &cache));
            publish(&cache, own);
            self.ready = others;
        }
    }
}

/// Publishes regions of one cache. If they no longer fit, a new generation is begun instead, which sessions must see
/// first.
fn publish(cache: &CodeCache, mut ready: Vec<Ready>) {
    let memory: Generation = cache.generation();
    // Regions that were overwritten meanwhile need no room.
    ready.retain(|ready| cache.registry().may_publish(&ready.job.reservation));
    // Jobs end their reservations when dropped, and need the registry for that: they have to outlive it here.
    let (jobs, mut codes): (Vec<Job>, Vec<Code>) = ready.into_iter().map(|ready| (ready.job, ready.code)).unzip();
    let Some(first) = jobs.first() else { return };
    let before = memory.code.used_pages();
    let functions: Vec<&[u8]> = codes.iter().map(|code| &code.bytes[..]).collect();
    // This takes longest, so the registry is not locked. Code that may no longer be published by then is never entered.
    let published = publish_code(&memory.code, &functions);
    Counters::add(&first.counters.code_pages, (memory.code.used_pages() - before) as u64);
    let entries = jobs.iter().map(|job| job.region().entries.len()).sum();
    let mut registry = cache.registry();
    if registry.generation.number != memory.number {
        return;
    }
    let is_full = !memory.code.has_room_for_entries(entries);
    let Some(functions) = published.ok().filter(|_| !is_full) else {
        Counters::add(&first.counters.flushes, cache.begin_generation(&mut registry) as u64);
        return;
    };
    let published = jobs.iter().zip(&mut codes).zip(functions);
    let mut published: Vec<_> = published.filter(|((job, _), _)| registry.may_publish(&job.reservation)).collect();
    for ((Job { reservation, .. }, code), function) in &mut published {
        registry.keep(|| StoredRegion::new(reservation, &code.groups, &code.bytes));
        memory.groups.publish(reservation.number, std::mem::take(&mut code.groups));
        for (entry, pc) in registry.entries_for(reservation) {
            memory.code.set_entry(pc, *function, reservation.number, entry);
        }
    }
    drop(registry);
    for ((Job { reservation, counters, .. }, code), function) in published {
        cache.name(function, code.bytes.len(), reservation.region.entry);
        Counters::add(&counters.regions, 1);
        Counters::add(&counters.regions_merged, (reservation.purpose == Purpose::Merge) as u64);
        Counters::add(&counters.instructions, reservation.region.instructions() as u64);
        Counters::add(&counters.code_bytes, code.bytes.len() as u64);
    }
}
