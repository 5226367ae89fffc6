//! Compiled code of a program for one level. It is compiled once, and any number of sessions on any thread run it.
//!
//! Code lives in *generations*. When one is full, a new one is begun; sessions move over when they next look, and the
//! last to leave frees the old one. Who translates what, and what may be published, is in `registry`; how regions come
//! here, in `job`.
//!
//! What a session must know of its own, which of its words are translated and what it wrote over, is in `native`. Shared
//! caches are of the program as it began: a session that writes over its code goes on with caches of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use cranelift_codegen::isa::OwnedTargetIsa;
use foldhash::HashMap;
use once_cell::race::OnceBox;
use tachy_runtime::{CodeError, CodeMemory, Function, ProcessLocal, ProgressUnit, StubCode};

use super::background::Background;
use super::perf_map::PerfMap;
use super::published_groups::PublishedGroups;
use super::registry::{Registry, Reserved};
use super::shared_code::SharedCode;
use crate::interpreter::Profile;
use crate::jit::JitOptions;
use crate::jit::analysis::merging::Purpose;
use crate::jit::analysis::region::Region;
use crate::jit::lowering::abi::host_isa;
use crate::jit::lowering::stubs::Stubs;
use crate::program::Program;
use crate::rules::Rules;
use crate::trace::Level;

/// Compiled code of one mode and level.
pub(crate) struct CodeCache {
    options: JitOptions,
    rules: &'static Rules,
    level: Level,
    isa: OwnedTargetIsa,
    stubs: &'static Stubs,
    perf_map: Option<PerfMap>,
    /// The number of the registry's generation, for sessions to see at a glance that there is a new one.
    current: AtomicU32,
    registry: Mutex<Registry>,
    /// Where indirect jumps went in sessions that ended.
    targets: Mutex<Targets>,
}

/// Targets by the pc of the jump.
pub(crate) type Targets = HashMap<u32, Vec<u32>>;

/// The caches of a program on one machine, one for each mode and level, made when they are first needed.
pub(crate) struct Caches {
    options: JitOptions,
    rules: &'static [Rules],
    program: Program,
    /// What sessions share translations of.
    shared: Option<Arc<SharedCode>>,
    /// The shared ones, by mode, then level.
    caches: Vec<[OnceLock<Option<Arc<CodeCache>>>; 2]>,
    /// What sessions that ended know about the program; kept where they share code.
    profile: Option<Arc<Profile>>,
    /// Who translates for all sessions, shared code or not; without one each session does it itself.
    background: Option<Arc<Background>>,
}

/// The caches of an executor: in a child of a fork others than in the process that made it, of which nobody knows what
/// its threads were changing.
pub(crate) struct SharedCaches {
    caches: ProcessLocal<Arc<Caches>>,
    /// Those of this process, where it is a child.
    child: Mutex<Option<ProcessLocal<Arc<Caches>>>>,
}

impl SharedCaches {
    pub(crate) fn new(caches: Caches) -> SharedCaches {
        SharedCaches { caches: ProcessLocal::new(Arc::new(caches)), child: Mutex::new(None) }
    }

    /// The caches of this process.
    pub(crate) fn get(&self) -> Arc<Caches> {
        if !self.caches.is_foreign() {
            return self.caches.clone();
        }
        let mut child = match self.child.try_lock() {
            Ok(child) => child,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Perhaps by a thread that is in this process's own parent alone. Nobody waits to find out.
            Err(TryLockError::WouldBlock) => return Arc::new(self.caches.for_child()),
        };
        match &*child {
            Some(caches) if !caches.is_foreign() => Arc::clone(caches),
            _ => Arc::clone(child.insert(ProcessLocal::new(Arc::new(self.caches.for_child())))),
        }
    }
}

impl Caches {
    /// Caches of the same program with nothing in them. Looks at nothing that changes.
    pub(crate) fn for_child(&self) -> Caches {
        Caches::new(&self.options, self.rules, &self.program)
    }

    pub(crate) fn new(options: &JitOptions, rules: &'static [Rules], program: &Program) -> Caches {
        let (options, program) = (options.clone(), program.clone());
        let shared = SharedCode::new(program.code()).map(Arc::new);
        let (profile, background) =
            (shared.is_some().then(Default::default), options.background.then(Default::default));
        let caches = rules.iter().map(|_| Default::default()).collect();
        Caches { options, rules, program, shared, caches, profile, background }
    }

    /// What earlier sessions leave to a new one.
    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        self.profile.clone()
    }

    /// What sessions share translations of, if they do.
    pub(crate) fn shared(&self) -> Option<Arc<SharedCode>> {
        self.shared.clone()
    }

    /// Whether there are shared caches for `level` already.
    pub(crate) fn has_shared(&self, level: Level) -> bool {
        self.caches.iter().any(|[off, rows]| match level {
            Level::Off => off.get().is_some(),
            Level::Rows => rows.get().is_some(),
        })
    }

    /// How often control must come to an address before anything is translated.
    pub(crate) fn threshold(&self) -> u16 {
        self.options.threshold
    }

    /// The caches for `level`, by mode: the shared ones for a session that shares, otherwise new ones. `None` where there is
    /// no native code on this host.
    pub(crate) fn for_session(&self, level: Level, sharing: Sharing) -> Option<Vec<Arc<CodeCache>>> {
        let of_mode = |(rules, [off, rows]): (&'static Rules, &[OnceLock<Option<Arc<CodeCache>>>; 2])| {
            let new = || CodeCache::new(&self.options, level, rules, &self.program);
            match (sharing, level) {
                (Sharing::Own, _) => new(),
                (Sharing::Shared, Level::Off) => off.get_or_init(new).clone(),
                (Sharing::Shared, Level::Rows) => rows.get_or_init(new).clone(),
            }
        };
        self.rules.iter().zip(&self.caches).map(of_mode).collect()
    }

    /// Whether sessions pay for translations with their steps.
    pub(crate) fn paid_by_steps(&self) -> bool {
        self.options.paid_by_steps
    }

    /// Who translates for all sessions; none: each session itself.
    pub(crate) fn background(&self) -> Option<Arc<Background>> {
        self.background.clone()
    }
}

/// Whether a session runs code that other sessions run as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It does.
    Shared,
    /// It has caches of its own.
    Own,
}

/// Code memory and its number: how many there were before it.
#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) code: Arc<CodeMemory>,
    /// The access groups of the regions in it.
    pub(crate) groups: Arc<PublishedGroups>,
    pub(crate) number: u32,
}

/// This host's instruction set and stubs: the same for every cache, and made once, since three functions to compile
/// are a lot for a session that translates a few blocks.
fn host() -> Option<&'static (OwnedTargetIsa, Stubs)> {
    // Never locked: a fork while another thread makes them would leave a lock locked in the child.
    static HOST: OnceBox<Option<(OwnedTargetIsa, Stubs)>> = OnceBox::new();
    let made = HOST.get_or_init(|| {
        let make = || {
            let isa = host_isa()?;
            let stubs = Stubs::new(&isa)?;
            Some((isa, stubs))
        };
        Box::new(make())
    });
    made.as_ref()
}

impl CodeCache {
    /// A cache for this host, with nothing translated yet. `None` where there is no code generator for the host or it
    /// gives no executable memory: the interpreter then does everything, with the same results.
    pub(crate) fn new(
        options: &JitOptions,
        level: Level,
        rules: &'static Rules,
        program: &Program,
    ) -> Option<Arc<CodeCache>> {
        let (isa, stubs) = host()?;
        let isa = isa.clone();
        let code = new_generation(&isa, stubs, options.code_bytes, level)?;
        let registry = Registry::new(Generation { code, groups: Arc::default(), number: 0 });
        let perf_map = options.perf_map.then(|| PerfMap::new(program.clone()));
        let (options, current, registry) = (options.clone(), AtomicU32::new(0), Mutex::new(registry));
        let targets = Mutex::default();
        Some(Arc::new(CodeCache { options, rules, level, isa, stubs, perf_map, current, registry, targets }))
    }

    pub(crate) fn options(&self) -> &JitOptions {
        &self.options
    }

    pub(crate) fn rules(&self) -> &'static Rules {
        self.rules
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn isa(&self) -> &OwnedTargetIsa {
        &self.isa
    }

    /// Where indirect jumps went in sessions that ended.
    pub(crate) fn targets(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that is being filled.
    pub(crate) fn generation(&self) -> Generation {
        self.registry().generation.clone()
    }

    /// Whether `generation` is not the one that is being filled.
    #[inline]
    pub(crate) fn has_moved_on(&self, generation: &Generation) -> bool {
        self.current.load(Ordering::Relaxed) != generation.number
    }

    /// Reserves the region at `pc` that `discover` finds, to be made for `generation`. What it is found in must be the
    /// code of every session that shares this cache.
    pub(crate) fn reserve(
        &self,
        pc: u32,
        purpose: Purpose,
        generation: &Generation,
        discover: impl FnOnce(&Registry) -> Option<Region>,
    ) -> Reserved {
        let Some(mut registry) = self.try_registry() else { return Reserved::Busy };
        if !registry.wants(pc, purpose) || registry.generation.number != generation.number {
            return Reserved::No;
        }
        if registry.is_out_of_numbers() {
            self.begin_generation(&mut registry);
            return Reserved::No;
        }
        let reservation = discover(&registry).and_then(|region| registry.reserve(region, purpose));
        reservation.map_or(Reserved::No, Reserved::Yes)
    }

    /// Whether the region at `pc` may be merged with others; not while another thread holds the registry.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.try_registry().is_some_and(|registry| registry.may_merge(pc))
    }

    /// Takes back these entries of `generation`, since code in the page of `address` that they lead to is written over, and
    /// sees to it that nothing is published any more that is being made of that page.
    pub(crate) fn write_over(&self, address: u32, generation: &Generation, pcs: &[u32]) {
        self.registry().write_over(address);
        pcs.iter().for_each(|&pc| generation.code.clear_entry(pc));
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry, unless another thread is at it.
    fn try_registry(&self) -> Option<MutexGuard<'_, Registry>> {
        match self.registry.try_lock() {
            Ok(registry) => Some(registry),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Begins a new generation, as far as the system gives memory; whether it does.
    pub(crate) fn begin_generation(&self, registry: &mut Registry) -> bool {
        let Some(code) = new_generation(&self.isa, self.stubs, self.options.code_bytes, self.level) else {
            return false;
        };
        let number = registry.generation.number.wrapping_add(1);
        registry.begin(Generation { code, groups: Arc::default(), number });
        self.current.store(number, Ordering::Relaxed);
        true
    }

    /// Names a function for a profiler, if names are wanted.
    pub(crate) fn name(&self, function: Function, code_bytes: usize, region: &Region) {
        if let Some(perf_map) = &self.perf_map {
            perf_map.add(function, code_bytes, region);
        }
    }
}

/// The documented crossing: here the translator vouches for its code.
#[allow(unsafe_code)]
pub(crate) fn publish_code(generation: &CodeMemory, functions: &[&[u8]]) -> Result<Vec<Function>, CodeError> {
    // SAFETY: `lower` made these functions: each keeps to the region ABI, reaches memory only as base + u32, page states by
    // a 24-bit index, the context at constants of `layout` and rows below the limit it checked; it goes on only where
    // the dispatch table says; it takes any entry number, since unknown ones go to the first; and `compile` refused
    // relocations.
    unsafe { generation.publish(functions) }
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
