//! Compiled code of a program for one level. It is compiled once, and any number of sessions on any thread run it.
//!
//! Code lives in *generations*. When one is full, a new one is begun. Sessions move over at their next check, and the
//! last to leave frees the old one. `registry` decides which code is compiled by which session and what may be
//! published; `job` brings regions here.
//!
//! `translations` records what a session must know about its own code: which of its words are compiled and which it
//! overwrote. Shared caches hold the program in its initial state: a session that overwrites its code continues with
//! caches of its own.

mod on_disk;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;

use cranelift_codegen::isa::OwnedTargetIsa;
use foldhash::{HashMap, HashSet};
use on_disk::OnDisk;
use once_cell::race::OnceBox;
use tachy_runtime::{CodeError, CodeMemory, Function, ProcessLocal, ProgressUnit, StubCode};

use super::background::Background;
use super::counters::Counters;
use super::perf_map::PerfMap;
use super::published_groups::PublishedGroups;
use super::registry::{Registry, Reserved};
use super::shared_code::SharedCode;
use super::stored::{StoredMode, StoredRegion, restored_targets, stored_targets};
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
    /// The number of the registry's generation, so that sessions can cheaply detect a new one.
    current: AtomicU32,
    registry: Mutex<Registry>,
    /// Targets of indirect jumps in sessions that ended.
    targets: Mutex<Targets>,
}

/// Targets by the pc of the jump.
pub(crate) type Targets = HashMap<u32, Vec<u32>>;

/// The caches of a program on one machine, one for each mode and level, created when they are first needed.
pub(crate) struct Caches {
    options: JitOptions,
    rules: &'static [Rules],
    program: Program,
    /// The code that sessions share.
    shared: Option<Arc<SharedCode>>,
    /// The shared caches, by mode, then level.
    caches: Vec<[OnceLock<Option<Arc<CodeCache>>>; 2]>,
    /// The profile from sessions that ended; kept if they share code.
    profile: Option<Arc<Profile>>,
    /// The background compiler for all sessions, with or without shared code. Without it each session compiles its own
    /// code.
    background: Option<Arc<Background>>,
    /// Where code of earlier processes is, and that of this one will be.
    disk: Option<OnDisk>,
}

/// The caches of an executor. A child of a fork uses others than the process that made them, because that process's
/// threads may have left them half changed.
pub(crate) struct SharedCaches {
    caches: ProcessLocal<Arc<Caches>>,
    /// The caches of this process, if it is a child.
    child: Mutex<Option<ProcessLocal<Arc<Caches>>>>,
}

impl SharedCaches {
    pub(crate) fn new(caches: Caches) -> SharedCaches {
        SharedCaches { caches: ProcessLocal::new(Arc::new(caches)), child: Mutex::new(None) }
    }

    /// Returns the caches of this process.
    pub(crate) fn get(&self) -> Arc<Caches> {
        if !self.caches.is_foreign() {
            return self.caches.clone();
        }
        let mut child = match self.child.try_lock() {
            Ok(child) => child,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // The lock may be held by a thread that exists only in this process's own parent, so nothing waits for it.
            Err(TryLockError::WouldBlock) => return Arc::new(self.caches.for_child()),
        };
        match &*child {
            Some(caches) if !caches.is_foreign() => Arc::clone(caches),
            _ => Arc::clone(child.insert(ProcessLocal::new(Arc::new(self.caches.for_child())))),
        }
    }
}

impl Caches {
    /// Creates empty caches of the same program. Reads nothing that changes.
    pub(crate) fn for_child(&self) -> Caches {
        Caches::new(&self.options, self.rules, &self.program)
    }

    pub(crate) fn new(options: &JitOptions, rules: &'static [Rules], program: &Program) -> Caches {
        let (options, program) = (options.clone(), program.clone());
        let shared = SharedCode::new(program.code()).map(Arc::new);
        let (profile, background) =
            (shared.is_some().then(Default::default), options.background.then(Default::default));
        let caches = rules.iter().map(|_| Default::default()).collect();
        Caches { options, rules, program, shared, caches, profile, background, disk: None }
    }

    /// Returns the profile that earlier sessions pass on to a new one.
    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        self.profile.clone()
    }

    /// Returns the code that sessions share, if they do.
    pub(crate) fn shared(&self) -> Option<Arc<SharedCode>> {
        self.shared.clone()
    }

    /// Returns whether there are shared caches for `level` already.
    pub(crate) fn has_shared(&self, level: Level) -> bool {
        self.caches.iter().any(|[off, rows]| match level {
            Level::Off => off.get().is_some(),
            Level::Rows => rows.get().is_some(),
        })
    }

    /// Returns how often control must enter an address before its code is compiled.
    pub(crate) fn threshold(&self) -> u16 {
        self.options.threshold
    }

    /// Returns the caches for `level`, by mode: the shared ones for a session that shares, otherwise new ones. Returns
    /// `None` if this host has no native code.
    pub(crate) fn for_session(
        &self,
        level: Level,
        sharing: Sharing,
        counters: &Counters,
    ) -> Option<Vec<Arc<CodeCache>>> {
        if sharing == Sharing::Shared {
            self.load(level, counters);
        }
        (0..self.rules.len()).map(|mode| self.of_mode(mode, level, sharing)).collect()
    }

    fn of_mode(&self, mode: usize, level: Level, sharing: Sharing) -> Option<Arc<CodeCache>> {
        let keeps = self.disk.is_some() && sharing == Sharing::Shared;
        let new = || CodeCache::new(&self.options, level, &self.rules[mode], &self.program, keeps);
        match sharing {
            Sharing::Own => new(),
            Sharing::Shared => self.caches[mode][level as usize].get_or_init(new).clone(),
        }
    }

    /// Returns whether sessions pay for compilation with their steps.
    pub(crate) fn paid_by_steps(&self) -> bool {
        self.options.paid_by_steps
    }

    /// Returns the background compiler; `None` if each session compiles its own code.
    pub(crate) fn background(&self) -> Option<Arc<Background>> {
        self.background.clone()
    }
}

impl Drop for Caches {
    /// Leaves code for the processes that follow. No session is left, so nothing more is requested.
    fn drop(&mut self) {
        if self.disk.is_some() && !thread::panicking() {
            // Waits for the region that is being compiled.
            self.background = None;
            self.store();
        }
    }
}

/// Whether a session runs code that other sessions also run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// It does.
    Shared,
    /// It has caches of its own.
    Own,
}

/// Code memory and its number, which counts the generations before it.
#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) code: Arc<CodeMemory>,
    /// The access groups of the regions in it.
    pub(crate) groups: Arc<PublishedGroups>,
    pub(crate) number: u32,
}

/// Returns this host's instruction set, which is the same for every cache.
fn host_isa_once() -> Option<&'static OwnedTargetIsa> {
    // It uses no lock: a fork while another thread fills it would leave the lock locked in the child.
    static ISA: OnceBox<Option<OwnedTargetIsa>> = OnceBox::new();
    ISA.get_or_init(|| Box::new(host_isa())).as_ref()
}

/// Returns this host's stubs. They are the same for every cache and compiled once: three functions are a lot for a
/// session that compiles a few blocks.
fn host_stubs() -> Option<&'static Stubs> {
    static STUBS: OnceBox<Option<Stubs>> = OnceBox::new();
    STUBS.get_or_init(|| Box::new(host_isa_once().and_then(Stubs::new))).as_ref()
}

impl CodeCache {
    /// Creates an empty cache for this host. Returns `None` if there is no code generator for the host or it provides
    /// no executable memory. The interpreter then does everything, with the same results. If it `keeps`, it has copies
    /// of its regions for the disk.
    pub(crate) fn new(
        options: &JitOptions,
        level: Level,
        rules: &'static Rules,
        program: &Program,
        keeps: bool,
    ) -> Option<Arc<CodeCache>> {
        let (isa, stubs) = (host_isa_once()?.clone(), host_stubs()?);
        let code = new_generation(&isa, stubs, options.code_bytes, level)?;
        let registry = Registry::new(Generation { code, groups: Arc::default(), number: 0 }, keeps);
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

    /// Returns the targets of indirect jumps in sessions that ended.
    pub(crate) fn targets(&self) -> MutexGuard<'_, Targets> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the current generation.
    pub(crate) fn generation(&self) -> Generation {
        self.registry().generation.clone()
    }

    /// Returns whether `generation` is not the current one.
    #[inline]
    pub(crate) fn has_moved_on(&self, generation: &Generation) -> bool {
        self.current.load(Ordering::Relaxed) != generation.number
    }

    /// Reserves the region at `pc` that `discover` finds, to be compiled for `generation`. `discover` must read code
    /// that every session of this cache has.
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

    /// Returns whether the region at `pc` may be merged with others; false while another thread holds the registry.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.try_registry().is_some_and(|registry| registry.may_merge(pc))
    }

    /// Removes these entries of `generation`, because the code that they lead to, in the page of `address`, is
    /// overwritten. Also prevents the publication of anything that is being compiled from that page.
    pub(crate) fn write_over(&self, address: u32, generation: &Generation, pcs: &[u32]) {
        self.registry().write_over(address);
        pcs.iter().for_each(|&pc| generation.code.clear_entry(pc));
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the registry, unless another thread holds it.
    fn try_registry(&self) -> Option<MutexGuard<'_, Registry>> {
        match self.registry.try_lock() {
            Ok(registry) => Some(registry),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Begins a new generation if the system provides the memory; returns whether it does.
    pub(crate) fn begin_generation(&self, registry: &mut Registry) -> bool {
        let Some(code) = new_generation(&self.isa, self.stubs, self.options.code_bytes, self.level) else {
            return false;
        };
        let number = registry.generation.number.wrapping_add(1);
        registry.begin(Generation { code, groups: Arc::default(), number });
        self.current.store(number, Ordering::Relaxed);
        true
    }

    /// Names a function for a profiler, if names are wanted. `pc` is the first entry.
    pub(crate) fn name(&self, function: Function, code_bytes: usize, pc: u32) {
        if let Some(perf_map) = &self.perf_map {
            perf_map.add(function, code_bytes, pc);
        }
    }

    /// Publishes the regions of another process, before any session has this cache. Returns how many, or `None` if they
    /// find no room.
    fn resume(&self, stored: StoredMode) -> Option<usize> {
        let StoredMode { regions, targets, .. } = &stored;
        let memory = self.generation();
        let functions = publish_stored_code(&memory.code, regions).ok()?;
        // The table has a part for each 64 KiB with entries.
        let parts: HashSet<u32> = regions.iter().flat_map(|region| &region.entries).map(|(_, pc)| pc >> 16).collect();
        if !memory.code.has_room_for_entries(parts.len()) {
            return None;
        }
        for (region, &function) in regions.iter().zip(&functions) {
            memory.groups.publish(region.number, region.groups.clone());
            for &(entry, pc) in &region.entries {
                memory.code.set_entry(pc, function, region.number, entry);
            }
            if let Some(&(_, pc)) = region.entries.first() {
                self.name(function, region.code.len(), pc);
            }
        }
        *self.targets() = restored_targets(targets);
        let count = regions.len();
        self.registry().resume(stored);
        Some(count)
    }

    /// Returns its code as another process continues with it.
    fn store(&self) -> StoredMode {
        StoredMode { targets: stored_targets(&self.targets()), ..self.registry().store() }
    }
}

/// Publishes functions. This is the documented crossing: here the compiler vouches for its code.
#[allow(unsafe_code)]
pub(crate) fn publish_code(generation: &CodeMemory, functions: &[&[u8]]) -> Result<Vec<Function>, CodeError> {
    // SAFETY: `lower` made these functions. Each follows the region ABI. Each reaches memory only as base + u32, page
    // states by a 24-bit index, the context at constants of `layout`, and rows below the limit that it checked. It
    // continues only where the dispatch table leads. It accepts any entry number, because unknown ones go to the first.
    // And `compile` rejected relocations.
    unsafe { generation.publish(functions) }
}

/// Publishes functions that an earlier process published. This is the same crossing, where the file vouches.
#[allow(unsafe_code)]
fn publish_stored_code(generation: &CodeMemory, regions: &[StoredRegion]) -> Result<Vec<Function>, CodeError> {
    let functions: Vec<&[u8]> = regions.iter().map(|region| &region.code[..]).collect();
    // SAFETY: `publish_code` has published these very bytes in an earlier process, so all of its argument holds. That
    // rests on three things. The file's key covers all that the argument depends on: both crates' sources, Cranelift,
    // its settings, the processor's features, the level and the rules. The checksum says that the bytes are those that
    // were written. And only a process of this user can have written them: `disk` reads no file, and none in a folder,
    // that belongs to somebody else or that somebody else may write. This user's other processes are trusted, because
    // they can have this process run any code anyway. The numbers of regions are unique and in range, as `stored` has
    // checked, but that is for right results: code accepts any entry number.
    unsafe { generation.publish(&functions) }
}

/// Creates code memory with its stubs. This is the other half of the crossing.
#[allow(unsafe_code)]
fn new_generation(isa: &OwnedTargetIsa, stubs: &Stubs, code_bytes: usize, level: Level) -> Option<Arc<CodeMemory>> {
    let unit = match level {
        Level::Off => ProgressUnit::Step,
        Level::Rows => ProgressUnit::Row,
    };
    let code = StubCode { dispatcher: &stubs.dispatcher, access: &stubs.access, refill: &stubs.refill };
    // SAFETY: `Stubs` makes exactly the functions that `StubCode` describes, and `compile` rejected relocations.
    unsafe { CodeMemory::new(isa.clone(), code_bytes, unit, code) }.ok().map(Arc::new)
}
