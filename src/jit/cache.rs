//! Compiled code of a program for one level: translated once, run by any number of sessions on any thread.
//!
//! Code lives in *generations*. When one is full, a new one is begun; sessions move over when they next look, and the
//! last to leave frees the old one. Who is about to translate a region *claims* its entries first and publishes only
//! what is still claimed: taking a claim back is how code that was written over meanwhile never comes to be. The book
//! of both is held for moments, never while Cranelift works.
//!
//! What a session must know of its own, which of its words are translated and what it wrote over, is in `native`. Shared
//! caches are of the program as it began: a session that writes over its code goes on with caches of its own.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use cranelift_codegen::Context;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use rustc_hash::FxBuildHasher;
use tachy_runtime::{CodeError, CodeMemory, Entry, Function, ProgressUnit, StubCode};

use super::abi::{compile, host_isa};
use super::background::Background;
use super::common_code::CommonCode;
use super::counters::Counters;
use super::lower::lower;
use super::perf_map::PerfMap;
use super::region::Region;
use super::stubs::Stubs;
use super::{JitOptions, Native};
use crate::interpreter::Past;
use crate::program::Program;
use crate::rules::Rules;
use crate::trace::Level;

/// Times that a region is grown anew, at the most: a program may do one thing after the other, and must not keep the
/// translator busy for ever.
const REGROWTHS: u8 = 4;

/// Compiled code, shared.
pub(crate) struct CodeCache {
    options: JitOptions,
    rules: &'static Rules,
    level: Level,
    isa: OwnedTargetIsa,
    stubs: &'static Stubs,
    perf_map: Option<PerfMap>,
    /// The number of the book's generation, for sessions to see at a glance that there is a new one.
    current: AtomicU32,
    book: Mutex<Book>,
    /// Where indirect jumps went in sessions that ended.
    targets: Mutex<Targets>,
}

/// Targets by the pc of the jump.
pub(super) type Targets = HashMap<u32, Vec<u32>, FxBuildHasher>;

/// The caches of a program on one machine, one for each mode and level, made when they are first needed.
pub(crate) struct Caches {
    options: JitOptions,
    rules: &'static [Rules],
    program: Program,
    /// What sessions share translations of.
    common: Option<Arc<CommonCode>>,
    /// The shared ones, by mode, then level.
    caches: Vec<[OnceLock<Option<Arc<CodeCache>>>; 2]>,
    /// What sessions that ended know about the program; kept where they share code.
    past: Option<Arc<Past>>,
    /// Who translates for all sessions, shared code or not; without one each session does it itself.
    background: Option<Arc<Background>>,
}

impl Caches {
    pub(crate) fn new(options: &JitOptions, rules: &'static [Rules], program: &Program) -> Caches {
        let (options, program) = (options.clone(), program.clone());
        let common = CommonCode::new(program.code()).map(Arc::new);
        let (past, background) = (common.is_some().then(Default::default), options.background.then(Default::default));
        let caches = rules.iter().map(|_| Default::default()).collect();
        Caches { options, rules, program, common, caches, past, background }
    }

    /// What earlier sessions leave to a new one.
    pub(crate) fn past(&self) -> Option<Arc<Past>> {
        self.past.clone()
    }

    /// What sessions share translations of, if they do.
    pub(super) fn common(&self) -> Option<Arc<CommonCode>> {
        self.common.clone()
    }

    /// Whether there are shared caches for `level` already.
    pub(super) fn has_shared(&self, level: Level) -> bool {
        self.caches.iter().any(|[off, rows]| match level {
            Level::Off => off.get().is_some(),
            Level::Rows => rows.get().is_some(),
        })
    }

    /// How often control must come to an address before anything is translated.
    pub(super) fn threshold(&self) -> u16 {
        self.options.threshold
    }

    /// A session's views of the caches for `level`, by mode: the shared ones while it has `common` with all others, then
    /// new ones. `None` where there is no native code on this host.
    pub(super) fn natives(
        &self,
        level: Level,
        common: Option<&Arc<CommonCode>>,
        counters: &Arc<Counters>,
    ) -> Option<Vec<Native>> {
        let native = |(rules, caches): (&'static Rules, &[OnceLock<Option<Arc<CodeCache>>>; 2])| {
            let [off, rows] = caches;
            let new = || CodeCache::new(&self.options, level, rules, &self.program);
            let cache = match (common, level) {
                (None, _) => new(),
                (Some(_), Level::Off) => off.get_or_init(new).clone(),
                (Some(_), Level::Rows) => rows.get_or_init(new).clone(),
            };
            Some(Native::new(cache?, common.cloned(), self.background.clone(), counters.clone()))
        };
        self.rules.iter().zip(&self.caches).map(native).collect()
    }
}

/// Code memory and its number: how many there were before it.
#[derive(Clone)]
pub(super) struct Generation {
    pub(super) code: Arc<CodeMemory>,
    pub(super) number: u32,
}

/// What is published, and what is under way.
pub(super) struct Book {
    /// The one that is being filled.
    generation: Generation,
    /// Number of the next region; 0 is none.
    next_region: u32,
    /// Entries of regions under way, with the region's number. Where Cranelift refuses a region its claim stays, so that
    /// nobody asks again.
    claims: HashMap<u32, u32, FxBuildHasher>,
    /// How often regions were grown anew, by their entries.
    regrown: HashMap<u32, u8, FxBuildHasher>,
}

impl Book {
    /// What is known of `generation` when nothing is.
    fn new(generation: Generation) -> Book {
        Book { generation, next_region: 1, claims: HashMap::default(), regrown: HashMap::default() }
    }

    /// Whether `region` has what can be entered in another region, but for the one at its own first entry.
    fn joins(&self, region: &Region) -> bool {
        let region_at = |pc: u32| self.generation.code.entry(pc).map(Entry::region);
        let own = region.entry_pcs().next().and_then(region_at);
        region.blocks.iter().any(|block| region_at(block.pc).is_some_and(|other| Some(other) != own))
    }

    /// Whether the region at `pc` is there and may be grown anew.
    fn may_regrow(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
            && !self.claims.contains_key(&pc)
            && self.regrown.get(&pc).is_none_or(|&times| times < REGROWTHS)
    }

    /// Whether `pc` is an entry already, or is about to be.
    pub(super) fn has_entry(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some() || self.claims.contains_key(&pc)
    }
}

/// Why a region is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// There is none at its entry.
    New,
    /// In place of the one at its entry, which control often comes to from others: over what is in those, too, so that
    /// indirect jumps to any of its entries stay inside.
    Anew,
}

/// A region that is claimed, to be translated by anyone who has a [`Compiler`].
pub(super) struct Job {
    cache: Arc<CodeCache>,
    pub(super) region: Region,
    /// The region's number.
    number: u32,
    /// The generation that it is made for.
    generation: u32,
    growth: Growth,
    /// Of the session that asked.
    pub(super) counters: Arc<Counters>,
}

/// What one translation at a time uses.
pub(super) struct Compiler {
    context: Context,
    frontend: FunctionBuilderContext,
}

/// This host's instruction set and stubs: the same for every cache, and made once, since three functions to compile
/// are a lot for a session that translates a few blocks.
fn host() -> Option<&'static (OwnedTargetIsa, Stubs)> {
    static HOST: OnceLock<Option<(OwnedTargetIsa, Stubs)>> = OnceLock::new();
    let made = HOST.get_or_init(|| {
        let isa = host_isa()?;
        let stubs = Stubs::new(&isa)?;
        Some((isa, stubs))
    });
    made.as_ref()
}

impl CodeCache {
    /// A cache for this host, with nothing translated yet. `None` where there is no code generator for the host or it
    /// gives no executable memory: the interpreter then does everything, with the same results.
    fn new(options: &JitOptions, level: Level, rules: &'static Rules, program: &Program) -> Option<Arc<CodeCache>> {
        let (isa, stubs) = host()?;
        let isa = isa.clone();
        let code = new_generation(&isa, stubs, options.code_bytes, level)?;
        let book = Book::new(Generation { code, number: 0 });
        let perf_map = options.perf_map.then(|| PerfMap::new(program.clone()));
        let (options, current, book) = (options.clone(), AtomicU32::new(0), Mutex::new(book));
        let targets = Mutex::default();
        Some(Arc::new(CodeCache { options, rules, level, isa, stubs, perf_map, current, book, targets }))
    }

    pub(super) fn options(&self) -> &JitOptions {
        &self.options
    }

    pub(super) fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// Where indirect jumps went in sessions that ended.
    pub(super) fn targets(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that is being filled.
    pub(super) fn generation(&self) -> Generation {
        self.book().generation.clone()
    }

    /// Whether `generation` is not the one that is being filled.
    #[inline]
    pub(super) fn has_moved_on(&self, generation: &Generation) -> bool {
        self.current.load(Ordering::Relaxed) != generation.number
    }

    /// Claims the region at `pc` that `discover` finds, to be made for `generation`. What it is found in must be the
    /// code of every session that shares this cache. `None` if someone has it already, if a new generation was begun,
    /// if there is nothing to translate, or if another thread is at the book just now: nobody waits to translate.
    pub(super) fn claim(
        self: &Arc<Self>,
        pc: u32,
        growth: Growth,
        generation: &Generation,
        counters: &Arc<Counters>,
        discover: impl FnOnce(&Book) -> Option<Region>,
    ) -> Option<Job> {
        let mut book = match self.book.try_lock() {
            Ok(book) => book,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let is_wanted = match growth {
            Growth::New => !book.has_entry(pc),
            Growth::Anew => book.may_regrow(pc),
        };
        if !is_wanted || book.generation.number != generation.number {
            return None;
        }
        if book.next_region == Entry::REGIONS {
            self.begin_generation(&mut book);
            return None;
        }
        let region = discover(&book)?;
        if growth == Growth::Anew {
            *book.regrown.entry(pc).or_insert(0) += 1;
            if !book.joins(&region) {
                return None;
            }
        }
        let number = book.next_region;
        book.next_region += 1;
        for pc in region.entry_pcs() {
            book.claims.entry(pc).or_insert(number);
        }
        let (cache, counters) = (self.clone(), counters.clone());
        Some(Job { cache, region, number, generation: generation.number, growth, counters })
    }

    /// Whether the region at `pc` may be grown anew; not if another thread is at the book just now.
    pub(super) fn may_regrow(&self, pc: u32) -> bool {
        self.book.try_lock().is_ok_and(|book| book.may_regrow(pc))
    }

    /// Whether any of these entries is claimed, and so under way; not if another thread is at the book just now.
    pub(super) fn are_under_way(&self, pcs: &[u32]) -> bool {
        let book = self.book.try_lock();
        book.is_ok_and(|book| pcs.iter().any(|pc| book.claims.contains_key(pc)))
    }

    /// Takes back entries of `generation`, published or claimed, the code of which has been written over.
    pub(super) fn take_back(&self, generation: &Generation, pcs: &[u32]) {
        let mut book = self.book();
        for pc in pcs {
            generation.code.clear_entry(*pc);
            book.claims.remove(pc);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a new generation, as far as the system gives memory; whether it does.
    fn begin_generation(&self, book: &mut Book) -> bool {
        let Some(code) = new_generation(&self.isa, self.stubs, self.options.code_bytes, self.level) else {
            return false;
        };
        let number = book.generation.number.wrapping_add(1);
        *book = Book::new(Generation { code, number });
        self.current.store(number, Ordering::Relaxed);
        true
    }
}

impl Job {
    /// Translates the region and publishes it, if it is still claimed. Where it does not fit any more, a new generation
    /// is begun instead: the session must see that first.
    pub(super) fn run(self, compiler: &mut Compiler) {
        let Some(code) = compiler.compile(&self) else { return };
        let Job { cache, region, number, generation, growth, counters } = self;
        let memory = cache.generation();
        if memory.number != generation {
            return;
        }
        // Without the book, for this takes the longest. If the claim is gone by then, the code is never entered.
        let published = publish_code(&memory.code, &code);
        let mut book = cache.book();
        if !book.is_claimed(&region, number, generation) {
            return;
        }
        let is_full = !memory.code.has_room_for_entries(region.entries.len());
        let Some(function) = published.ok().filter(|_| !is_full) else {
            Counters::add(&counters.flushes, cache.begin_generation(&mut book) as u64);
            return;
        };
        for (entry, pc) in (0..Entry::ENTRIES).zip(region.entry_pcs()) {
            // An older region keeps its entries, it was made for them, unless this one has grown over it.
            let is_free = growth == Growth::Anew || book.generation.code.entry(pc).is_none();
            if book.claims.get(&pc) == Some(&number) && is_free {
                book.generation.code.set_entry(pc, function, number, entry);
            }
        }
        book.release(&region, number);
        drop(book);
        if let Some(perf_map) = &cache.perf_map {
            perf_map.add(function, code.len(), &region);
        }
        Counters::add(&counters.regions, 1);
        Counters::add(&counters.regions_anew, (growth == Growth::Anew) as u64);
        Counters::add(&counters.instructions, region.instructions() as u64);
        Counters::add(&counters.code_bytes, code.len() as u64);
    }

    /// Gives the claim back, for another time.
    pub(super) fn release(self) {
        let mut book = self.cache.book();
        if book.generation.number == self.generation {
            book.release(&self.region, self.number);
            if self.growth == Growth::Anew {
                book.regrown.retain(|&pc, _| Some(pc) != self.region.entry_pcs().next());
            }
        }
    }

    /// Whether nobody would run it: the session that asked is gone and shared its cache with none.
    pub(super) fn is_orphan(&self) -> bool {
        Arc::strong_count(&self.cache) == 1
    }
}

impl Book {
    fn is_claimed(&self, region: &Region, number: u32, generation: u32) -> bool {
        let first = region.entry_pcs().next();
        self.generation.number == generation && first.is_some_and(|pc| self.claims.get(&pc) == Some(&number))
    }

    fn release(&mut self, region: &Region, number: u32) {
        for pc in region.entry_pcs() {
            if self.claims.get(&pc) == Some(&number) {
                self.claims.remove(&pc);
            }
        }
    }
}

impl Compiler {
    pub(super) fn new() -> Compiler {
        Compiler { context: Context::new(), frontend: FunctionBuilderContext::new() }
    }

    /// The machine code of a region; `None` where Cranelift refuses.
    fn compile(&mut self, job: &Job) -> Option<Vec<u8>> {
        let Job { cache, region, number, .. } = job;
        let Compiler { context, frontend } = self;
        // Cranelift panics where it has a bug. The guest chose the code, so that must not be the end of its host.
        let code = catch_unwind(AssertUnwindSafe(|| {
            context.clear();
            lower(region, *number, cache.level, cache.rules, &cache.isa, &mut context.func, frontend);
            compile(context, &cache.isa)
        }));
        let code = code.unwrap_or_else(|_| {
            *self = Compiler::new();
            None
        });
        debug_assert!(code.is_some(), "Cranelift refused the region at {:x?}", region.entry_pcs().next());
        code
    }
}

/// The documented crossing: here the translator vouches for its code.
#[allow(unsafe_code)]
fn publish_code(generation: &CodeMemory, code: &[u8]) -> Result<Function, CodeError> {
    // SAFETY: `lower` made this function: it keeps to the region ABI, reaches memory only as base + u32, page states by
    // a 24-bit index, the context at constants of `layout` and rows below the limit it checked; it goes on only where
    // the dispatch table says; it takes any entry number, since unknown ones go to the first; and `compile` refused
    // relocations.
    let mut functions = unsafe { generation.publish(&[code]) }?;
    functions.pop().ok_or(CodeError::Full { used_bytes: 0, capacity_bytes: 0 })
}

/// Code memory with its stubs. The other half of the crossing.
#[allow(unsafe_code)]
fn new_generation(isa: &OwnedTargetIsa, stubs: &Stubs, code_bytes: usize, level: Level) -> Option<Arc<CodeMemory>> {
    let unit = match level {
        Level::Off => ProgressUnit::Step,
        Level::Rows => ProgressUnit::Row,
    };
    let code = StubCode { dispatcher: &stubs.dispatcher, access: &stubs.access, refill: &stubs.refill };
    // SAFETY: `Stubs` makes exactly the functions that `StubCode` describes, and `compile` refused relocations.
    unsafe { CodeMemory::new(isa.clone(), code_bytes, unit, code) }.ok().map(Arc::new)
}
