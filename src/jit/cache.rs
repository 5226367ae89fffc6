//! Compiled code of a program for one level: translated once, run by any number of sessions on any thread.
//!
//! Code lives in *generations*. When one is full, a new one is begun; sessions move over when they next look, and the
//! last to leave frees the old one. What a session must know of its own, which of its words are translated and what it
//! wrote over, is in `native`: where a program can write over its code, a cache serves one session alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use cranelift_codegen::Context;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use tachy_runtime::{CodeError, CodeMemory, Entry, Function, StubCode};

use super::abi::{compile, host_isa};
use super::lower::lower;
use super::perf_map::PerfMap;
use super::region::{Code, Region};
use super::stubs::Stubs;
use super::{JitOptions, Native};
use crate::program::Program;
use crate::rules::Rules;
use crate::trace::Level;

/// Compiled code, shared.
pub(crate) struct CodeCache {
    options: JitOptions,
    rules: &'static Rules,
    level: Level,
    isa: OwnedTargetIsa,
    stubs: Stubs,
    perf_map: Option<PerfMap>,
    translator: Mutex<Translator>,
}

/// The caches of a program on one machine, a level each, made when they are first needed.
pub(crate) struct Caches {
    options: JitOptions,
    rules: &'static Rules,
    program: Program,
    /// Whether sessions share: not where a program can write over its code, which then is theirs alone.
    shared: bool,
    levels: [OnceLock<Option<Arc<CodeCache>>>; 2],
}

impl Caches {
    pub(crate) fn new(options: &JitOptions, rules: &'static Rules, program: &Program, shared: bool) -> Caches {
        Caches { options: options.clone(), rules, program: program.clone(), shared, levels: Default::default() }
    }

    /// A session's view of the cache for `level`; `None` where there is no native code on this host.
    pub(crate) fn native(&self, level: Level) -> Option<Native> {
        let new = || CodeCache::new(&self.options, level, self.rules, &self.program);
        let cache = match (self.shared, level) {
            (false, _) => new(),
            (true, Level::Off) => self.levels[0].get_or_init(new).clone(),
            (true, Level::Rows) => self.levels[1].get_or_init(new).clone(),
        };
        cache.map(Native::new)
    }
}

/// What one translation at a time uses.
struct Translator {
    context: Context,
    frontend: FunctionBuilderContext,
    generation: Arc<CodeMemory>,
    /// Number of the next region in this generation; 0 is none.
    next_region: u32,
}

/// Why a region was not published.
enum Unpublished {
    /// Numbers or code memory are used up, or the system gives no more.
    Full,
    /// Cranelift does not make code of it.
    Refused,
}

/// One translation: what it made and what that took.
pub(super) struct Translated {
    pub(super) region: Region,
    pub(super) code_bytes: usize,
    pub(super) time: Duration,
    /// Whether a new generation had to be begun for it.
    pub(super) flushed: bool,
}

impl CodeCache {
    /// A cache for this host, with nothing translated yet. `None` where there is no code generator for the host or it
    /// gives no executable memory: the interpreter then does everything, with the same results.
    fn new(options: &JitOptions, level: Level, rules: &'static Rules, program: &Program) -> Option<Arc<CodeCache>> {
        let isa = host_isa()?;
        let stubs = Stubs::new(&isa)?;
        let generation = new_generation(&isa, &stubs, options.code_bytes)?;
        let (context, frontend) = (Context::new(), FunctionBuilderContext::new());
        let translator = Mutex::new(Translator { context, frontend, generation, next_region: 1 });
        let perf_map = options.perf_map.then(|| PerfMap::new(program.clone()));
        Some(Arc::new(CodeCache { options: options.clone(), rules, level, isa, stubs, perf_map, translator }))
    }

    pub(super) fn rules(&self) -> &'static Rules {
        self.rules
    }

    pub(super) fn options(&self) -> &JitOptions {
        &self.options
    }

    /// The generation that is being filled. Waits for a translation under way.
    pub(super) fn generation(&self) -> Arc<CodeMemory> {
        self.translator.lock().unwrap_or_else(PoisonError::into_inner).generation.clone()
    }

    /// Translates the region at `pc`, out of `code`, which must be that of every session that shares this cache.
    /// `None` if another thread is translating just now, or nothing could be translated.
    ///
    /// `generation` becomes the current one; if that has an entry at `pc` already, nothing is left to do.
    pub(super) fn translate<C: Code>(
        &self,
        pc: u32,
        generation: &mut Arc<CodeMemory>,
        code: impl Fn(Arc<CodeMemory>) -> C,
    ) -> Option<Translated> {
        let mut translator = self.lock()?;
        generation.clone_from(&translator.generation);
        if generation.entry(pc).is_some() {
            return None;
        }
        let started = Instant::now();
        let region =
            Region::discover(pc, self.rules.variant, self.options.region_instructions, &code(generation.clone()))?;
        let mut flushed = false;
        let code_bytes = match self.publish(&mut translator, &region) {
            Ok(code_bytes) => code_bytes,
            Err(Unpublished::Refused) => return None,
            Err(Unpublished::Full) => {
                flushed = true;
                translator.generation = new_generation(&self.isa, &self.stubs, self.options.code_bytes)?;
                translator.next_region = 1;
                generation.clone_from(&translator.generation);
                self.publish(&mut translator, &region).ok()?
            }
        };
        Some(Translated { region, code_bytes, time: started.elapsed(), flushed })
    }

    /// Compiles and publishes; how many bytes it took.
    fn publish(&self, translator: &mut Translator, region: &Region) -> Result<usize, Unpublished> {
        let Translator { context, frontend, generation, next_region } = translator;
        let number = *next_region;
        if number == Entry::REGIONS {
            return Err(Unpublished::Full);
        }
        // Cranelift panics where it has a bug. The guest chose the code, so that must not be the end of its host.
        let code = catch_unwind(AssertUnwindSafe(|| {
            context.clear();
            lower(region, number, self.level, self.rules, &self.isa, &mut context.func, frontend);
            compile(context, &self.isa)
        }));
        let Ok(code) = code else {
            (*context, *frontend) = (Context::new(), FunctionBuilderContext::new());
            return Err(Unpublished::Refused);
        };
        let code = code.ok_or(Unpublished::Refused)?;
        let function = publish_code(generation, &code).map_err(|_| Unpublished::Full)?;
        *next_region += 1;
        if let Some(perf_map) = &self.perf_map {
            perf_map.add(function, code.len(), region);
        }
        for (entry, &block) in (0..Entry::ENTRIES).zip(&region.entries) {
            let pc = region.blocks[block].pc;
            // An older region keeps its entries; it was made for them.
            if generation.entry(pc).is_none() {
                generation.set_entry(pc, function, number, entry);
            }
        }
        Ok(code.len())
    }

    /// The translator, unless another thread has it: nobody waits for a compilation.
    fn lock(&self) -> Option<MutexGuard<'_, Translator>> {
        match self.translator.try_lock() {
            Ok(translator) => Some(translator),
            Err(TryLockError::WouldBlock) => None,
            // A panic in Cranelift: what it left behind is cleared before the next use.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        }
    }
}

/// The documented crossing: here the translator vouches for its code.
#[allow(unsafe_code)]
fn publish_code(generation: &CodeMemory, code: &[u8]) -> Result<Function, CodeError> {
    // SAFETY: `lower` made this function: it keeps to the region ABI, reaches memory only as base + u32, page states by
    // a 22-bit index, the context at constants of `layout` and rows below the limit it checked; it takes any entry
    // number, since a jump table sends unknown ones to the first; and `compile` refused relocations.
    let mut functions = unsafe { generation.publish(&[code]) }?;
    functions.pop().ok_or(CodeError::Full { used_bytes: 0, capacity_bytes: 0 })
}

/// Code memory with its stubs. The other half of the crossing.
#[allow(unsafe_code)]
fn new_generation(isa: &OwnedTargetIsa, stubs: &Stubs, code_bytes: usize) -> Option<Arc<CodeMemory>> {
    let code = StubCode { dispatcher: &stubs.dispatcher, access: &stubs.access, refill: &stubs.refill };
    // SAFETY: `Stubs` makes exactly the functions that `StubCode` describes, and `compile` refused relocations.
    unsafe { CodeMemory::new(isa.clone(), code_bytes, code) }.ok().map(Arc::new)
}
