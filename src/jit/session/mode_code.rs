//! One session's view of the native code of one mode: when to compile what, where indirect jumps went, and which code
//! was overwritten.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tachy_runtime::{CodeMemory, HartState};

use super::candidates::Candidates;
use super::payback::Payback;
use super::short_runs::ShortRuns;
use crate::interpreter::{DecodedPages, ENTERED, Held, Tier};
use crate::jit::analysis::discover::Code;
use crate::jit::analysis::merging::Purpose;
use crate::jit::analysis::region::Region;
use crate::jit::code::background::{Background, Slot};
use crate::jit::code::cache::{CodeCache, Generation, Targets};
use crate::jit::code::counters::Counters;
use crate::jit::code::job::{Batch, Compiler, Job};
use crate::jit::code::published_groups::RegionGroups;
use crate::jit::code::registry::{Registry, Reserved};
use crate::jit::code::shared_code::SharedCode;
use crate::jit::code::translations::Translations;
use crate::rules::Rules;

/// Maximum number of targets kept per indirect jump, and of jumps kept: as many as a large `switch` needs.
const TARGETS: usize = 64;
const JUMPS: usize = 4096;

/// Number of recent indirect jumps that are known to have no new target.
const RECENT_JUMPS: usize = 64;
/// An address that no jump can target.
const ANYWHERE: u32 = 1;

/// Mask of the counts between two look-ups of an entry, and the threshold below which each count causes a look-up.
const BETWEEN_LOOKS: u16 = 15;
const LOOK_EACH_TIME: u16 = 100;

/// A session's view of a [`CodeCache`].
pub(crate) struct ModeCode {
    cache: Arc<CodeCache>,
    /// The words that regions may consist of, if the cache is shared.
    shared: Option<Arc<SharedCode>>,
    /// The generation from which the session runs: the cache's current one, or an earlier one.
    generation: Generation,
    /// How often control must enter an address of this generation before its code is compiled.
    threshold: u16,
    /// Mask of such a count: if any of these bits is set, the table of entries need not be consulted.
    between_looks: u16,
    translations: Translations,
    /// Targets of indirect jumps while they were interpreted.
    targets: Targets,
    /// Targets of recent indirect jumps; [`ANYWHERE`] if no more targets of a jump are kept.
    recent_jumps: Box<[(u32, u32); RECENT_JUMPS]>,
    /// Hot code that waits for credit or for room in the background's queue.
    candidates: Candidates,
    short_runs: ShortRuns,
    /// Whether control got to a place since the last check that nobody has counted; see [`ModeCode::left`].
    has_left: bool,
    /// The background compiler; `None` if this session compiles itself.
    background: Option<Arc<Background>>,
    /// This session's compiler, once it compiles itself.
    compiler: Option<Box<Compiler>>,
    /// Whether it has compiled since the last call of `took_a_while`.
    took_a_while: bool,
    counters: Arc<Counters>,
}

impl ModeCode {
    /// Creates a view of `cache`.
    pub(crate) fn new(
        cache: Arc<CodeCache>,
        shared: Option<Arc<SharedCode>>,
        background: Option<Arc<Background>>,
        counters: Arc<Counters>,
    ) -> ModeCode {
        let generation = cache.generation();
        let threshold = cache.options().threshold_in(generation.number);
        let targets = cache.targets().clone();
        let (translations, candidates, short_runs, compiler, took_a_while) = Default::default();
        ModeCode {
            cache,
            shared,
            generation,
            threshold,
            between_looks: if threshold < LOOK_EACH_TIME { 0 } else { BETWEEN_LOOKS },
            translations,
            targets,
            recent_jumps: Box::new([(0, 0); RECENT_JUMPS]),
            candidates,
            short_runs,
            has_left: false,
            background,
            compiler,
            took_a_while,
            counters,
        }
    }

    /// Returns whether control has entered `pc` often enough to compile it.
    pub(crate) fn is_hot(&self, pages: &DecodedPages, pc: u32) -> bool {
        pages.hotness(pc) >= self.threshold
    }

    /// Returns whether native code can be entered at the context's pc. Hot code is compiled first, or requested.
    pub(crate) fn prepare(&mut self, vm: &mut HartState<'_>, pages: &mut DecodedPages, payback: &mut Payback) -> bool {
        self.follow();
        let pc = vm.pc();
        if self.has_entry(pc) {
            return !self.short_runs.pauses(pc);
        }
        let hotness = match std::mem::take(&mut self.has_left) {
            true => pages.count_at(pc),
            false => pages.hotness(pc).max(1),
        };
        if hotness == ENTERED {
            self.miss(pages, pc);
        } else if pc.is_multiple_of(4) && self.is_due(hotness) {
            if self.may_wait(pc, vm) {
                self.candidates.offer(pc, hotness);
            } else {
                // It gets another chance when it is hot again.
                pages.set_hotness(pc, self.threshold / 2);
            }
        }
        if !self.candidates.is_empty() && self.can_translate(vm.steps(), payback) {
            let started = Instant::now();
            self.translate_hottest(vm, pages, payback);
            Counters::add_time(&self.counters.own_nanos, started.elapsed());
        }
        self.has_entry(pc)
    }

    /// Returns whether it is time to request a compilation after this many block entries: at the threshold, and again
    /// each time that the count has doubled.
    #[inline]
    fn is_due(&self, hotness: u16) -> bool {
        hotness >= self.threshold && (hotness.is_power_of_two() || hotness == self.threshold || self.threshold <= 1)
    }

    /// Returns whether the hot code at `pc` may be compiled some time soon.
    fn may_wait(&mut self, pc: u32, vm: &HartState<'_>) -> bool {
        // Code in the middle of a region in progress waits for that region. Compiling the same code from another start
        // would only delay others.
        !self.translations.is_under_way(pc)
            && self.translations.may_translate(pc)
            && (!self.translations.is_repeat(pc) || self.translations.may_repeat(vm.steps()))
    }

    /// Returns where a region may be compiled now, if there is room and credit for it.
    fn place(&self, steps: u64, payback: &Payback) -> Option<Place> {
        match &self.background {
            _ if !self.has_credit(steps, payback) => None,
            Some(background) => background.take_slot().map(Place::Queue),
            None => Some(Place::Here),
        }
    }

    /// Returns whether a region may be compiled now: there is room in the queue, and credit for it.
    pub(crate) fn can_translate(&self, steps: u64, payback: &Payback) -> bool {
        self.has_credit(steps, payback) && self.background.as_ref().is_none_or(|background| background.has_room())
    }

    fn has_credit(&self, steps: u64, payback: &Payback) -> bool {
        payback.has_credit(steps, self.counters.beyond_price.load(Ordering::Relaxed))
    }

    /// Compiles or sends the hottest code, as much as credit and room allow; in batches, if this session compiles
    /// itself.
    fn translate_hottest(&mut self, vm: &mut HartState<'_>, pages: &mut DecodedPages, payback: &mut Payback) {
        // A region that finds code memory full is tried once more, in the next generation.
        for _ in 0..2 {
            let mut batch = Batch::new();
            let mut tried = Vec::new();
            while let Some(place) = self.place(vm.steps(), payback)
                && let Some((pc, hotness)) = self.candidates.take_hottest()
            {
                if self.has_entry(pc) {
                    continue;
                }
                match self.reserve(pc, Purpose::New, vm, pages, payback) {
                    Ok(Some(job)) => {
                        tried.push((pc, hotness));
                        if let Some(job) = self.send(job, place) {
                            self.translate(job, &mut batch);
                        }
                    }
                    // It gets another chance when it is hot again.
                    Ok(None) => pages.set_hotness(pc, self.threshold / 2),
                    Err(Busy) => {
                        self.candidates.offer(pc, hotness);
                        break;
                    }
                }
            }
            batch.publish();
            if !self.follow() {
                break;
            }
            tried.into_iter().for_each(|(pc, hotness)| self.candidates.offer(pc, hotness));
        }
    }

    /// Returns whether the region at `pc` may be merged with others.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.cache.may_merge(pc)
    }

    /// Recompiles the region at `pc` merged with others, now or on the background thread. Returns how many instructions
    /// that takes.
    pub(crate) fn merge(
        &mut self,
        pc: u32,
        vm: &mut HartState<'_>,
        pages: &mut DecodedPages,
        payback: &mut Payback,
    ) -> usize {
        let started = Instant::now();
        let mut instructions = 0;
        if self.translations.may_translate(pc)
            && let Some(place) = self.place(vm.steps(), payback)
            && let Ok(Some(job)) = self.reserve(pc, Purpose::Merge, vm, pages, payback)
        {
            instructions = job.region().size();
            if let Some(job) = self.send(job, place) {
                let mut batch = Batch::new();
                self.translate(job, &mut batch);
                batch.publish();
            }
        }
        Counters::add_time(&self.counters.own_nanos, started.elapsed());
        instructions
    }

    /// Sends `job` to its place; returns it if this session has to compile it.
    fn send(&self, job: Job, place: Place) -> Option<Job> {
        match (&self.background, place) {
            (Some(background), Place::Queue(slot)) => background.send(job, slot).err().map(|job| *job),
            (None, _) | (_, Place::Here) => Some(job),
        }
    }

    fn translate(&mut self, job: Job, batch: &mut Batch) {
        batch.translate(job, self.compiler.get_or_insert_with(|| Box::new(Compiler::new())));
        self.took_a_while = true;
        if batch.is_due() {
            std::mem::replace(batch, Batch::new()).publish();
        }
    }

    /// Returns whether the interpretation ends at `pc`, which control has entered this often.
    #[inline(never)]
    fn look(&mut self, pages: &mut DecodedPages, pc: u32, hotness: u16) -> bool {
        if hotness == ENTERED && self.short_runs.pauses(pc) {
            return false;
        }
        match (self.has_entry(pc), hotness) {
            (true, ENTERED) => true,
            (true, _) => {
                pages.set_hotness(pc, ENTERED);
                true
            }
            (false, ENTERED) => {
                self.miss(pages, pc);
                false
            }
            (false, _) => self.is_due(hotness),
        }
    }

    /// Handles a missing entry where one was expected. If none is in progress either, block entries are counted again:
    /// the code was overwritten, or was never published, for example because the system refused code memory.
    fn miss(&mut self, pages: &mut DecodedPages, pc: u32) {
        if !self.translations.is_under_way(pc) {
            pages.set_hotness(pc, self.threshold / 2);
        }
    }

    /// Records that native code was entered at `pc` and ran for `steps` steps.
    pub(crate) fn ran(&mut self, pc: u32, steps: u64) {
        if self.cache.options().paid_by_steps {
            self.short_runs.ran(pc, steps);
        }
    }

    /// Records that control got to the context's pc in a way that the interpreter does not count: native code was left
    /// there, or the machine led there.
    pub(crate) fn left(&mut self) {
        self.has_left = true;
    }

    /// Adds the targets of indirect jumps from before this view existed.
    pub(crate) fn jumped_before(&mut self, jumps: &[(u32, Vec<u32>)]) {
        for (from, targets) in jumps {
            add_targets(&mut self.targets, *from, targets);
        }
    }

    /// Takes over the candidates of `other`, which this view replaces.
    pub(crate) fn take_candidates(&mut self, other: ModeCode) {
        self.candidates = other.into_candidates();
    }

    fn into_candidates(mut self) -> Candidates {
        std::mem::take(&mut self.candidates)
    }

    /// Returns whether this session has compiled something itself since the last call, so that the deadline must be
    /// checked.
    pub(crate) fn took_a_while(&mut self) -> bool {
        std::mem::take(&mut self.took_a_while)
    }

    /// Returns the code memory to enter.
    pub(crate) fn code(&self) -> &CodeMemory {
        &self.generation.code
    }

    /// Returns the access groups of the region with this number.
    pub(crate) fn groups(&self, region: u32) -> Option<RegionGroups> {
        self.generation.groups.of_region(region)
    }

    /// Returns whether the word at `address` is part of a compiled region.
    pub(crate) fn contains(&self, address: u32) -> bool {
        self.translations.contains(address)
    }

    #[inline]
    fn has_entry(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
    }

    /// Moves over to the cache's current generation; returns whether it was a new one. All earlier code stays behind,
    /// and none of the new one can belong to this session, because a reservation is for one generation.
    #[inline]
    fn follow(&mut self) -> bool {
        let behind = self.cache.has_moved_on(&self.generation);
        if behind {
            self.generation = self.cache.generation();
            self.threshold = self.cache.options().threshold_in(self.generation.number);
            self.translations.clear();
        }
        behind
    }

    /// Reserves and pays for the region at `pc`. From now on stores into it are noticed, long before it is published.
    fn reserve(
        &mut self,
        pc: u32,
        purpose: Purpose,
        vm: &mut HartState<'_>,
        pages: &mut DecodedPages,
        payback: &mut Payback,
    ) -> Result<Option<Job>, Busy> {
        let ModeCode { cache, shared, generation, threshold, translations, targets, counters, .. } = self;
        let (rules, cap) = (cache.rules(), cache.options().cap_of(purpose));
        let reserved = cache.reserve(pc, purpose, generation, |registry| {
            let (threshold, shared) = (*threshold, shared.as_deref());
            let may_repeat = purpose == Purpose::Merge || translations.may_repeat(vm.steps());
            let site =
                Site { pc, purpose, threshold, may_repeat, rules, shared, vm, pages, registry, translations, targets };
            Region::discover(pc, rules.variant, cap, &site)
        });
        let reservation = match reserved {
            Reserved::Yes(reservation) => reservation,
            Reserved::Busy => return Err(Busy),
            Reserved::No => return Ok(None),
        };
        let region = &reservation.region;
        payback.spend(region.size(), cache.level());
        for pc in translations.add(reservation.number, region, purpose) {
            pages.mark_code(vm, pc);
        }
        for &cut in &region.cuts {
            pages.set_hotness(cut, threshold.saturating_sub(1));
        }
        // From now on the entries are looked up each time that control enters them.
        region.entry_pcs().for_each(|pc| pages.set_hotness(pc, ENTERED));
        Ok(Some(Job::new(cache, reservation, counters.clone())))
    }
}

/// Another thread holds the registry right now.
struct Busy;

/// Where a job is done.
enum Place {
    /// On the background thread.
    Queue(Slot),
    /// In this session itself.
    Here,
}

/// The code in which a region is discovered: code that ran and is warm enough.
///
/// Code that never ran is left out, and so are jumps that were rarely taken: hotness shows what is worth compiling. If
/// everything is compiled at first sight, nothing has run yet, and everything is followed.
struct Site<'a, 'vm> {
    /// The hot pc.
    pc: u32,
    purpose: Purpose,
    threshold: u16,
    /// Whether the region may contain words that other regions contain or contained.
    may_repeat: bool,
    rules: &'static Rules,
    shared: Option<&'a SharedCode>,
    vm: &'a HartState<'vm>,
    pages: &'a DecodedPages,
    registry: &'a Registry,
    translations: &'a Translations,
    targets: &'a Targets,
}

impl Site<'_, '_> {
    fn at_first_sight(&self) -> bool {
        self.threshold <= 1
    }
}

impl Code for Site<'_, '_> {
    fn fetch(&self, pc: u32) -> Option<u32> {
        let usable = self.rules.may_fetch(pc, self.vm.page_state(pc))
            && self.shared.is_none_or(|shared| shared.contains(pc))
            && self.translations.is_settled(pc)
            && (self.may_repeat || !self.translations.is_repeat(pc))
            && (self.at_first_sight() || pc == self.pc || self.pages.was_run(pc));
        usable.then(|| self.vm.word(pc))
    }

    fn is_warm(&self, pc: u32) -> bool {
        self.at_first_sight() || self.pages.hotness(pc) >= self.threshold / 32 || self.registry.has_entry(pc)
    }

    fn stops_at(&self, pc: u32) -> bool {
        self.purpose == Purpose::New && self.registry.has_entry(pc)
    }

    fn targets(&self, pc: u32) -> &[u32] {
        self.targets.get(&pc).map_or(&[], Vec::as_slice)
    }
}

impl Tier for ModeCode {
    #[inline(always)]
    fn block_entered(&mut self, pages: &mut DecodedPages, held: Held, pc: u32) -> bool {
        let hotness = pages.count(held, pc);
        // A due count is a power of two or the threshold. The table of entries is large, so it is consulted only then
        // and occasionally, until an entry is found.
        (hotness & self.between_looks == 0 || hotness == self.threshold || hotness == ENTERED)
            && self.look(pages, pc, hotness)
    }

    fn jumped(&mut self, from: u32, to: u32) {
        let recent = &mut self.recent_jumps[from as usize / 4 % RECENT_JUMPS];
        if *recent != (from, to) && *recent != (from, ANYWHERE) {
            let is_full = add_targets(&mut self.targets, from, &[to]);
            *recent = (from, if is_full { ANYWHERE } else { to });
        }
    }

    fn code_written(&mut self, pages: &mut DecodedPages, address: u32) {
        if self.translations.contains(address) {
            Counters::add(&self.counters.invalidations, 1);
            let entries = self.translations.rewrite(address);
            self.cache.write_over(address, &self.generation, &entries);
            // They are requested again soon, however hot they were before.
            entries.into_iter().for_each(|pc| pages.set_hotness(pc, self.threshold / 2));
        }
    }
}

impl Drop for ModeCode {
    /// Passes the targets of indirect jumps on to later sessions.
    fn drop(&mut self) {
        let found = in_order(std::mem::take(&mut self.targets));
        let mut kept = self.cache.targets();
        for (from, targets) in found {
            add_targets(&mut kept, from, &targets);
        }
    }
}

/// Records that the indirect jump at `from` went to all of `new`, if there is room. Returns whether there is no room
/// for more.
pub(crate) fn add_targets(known: &mut Targets, from: u32, new: &[u32]) -> bool {
    let has_room = known.len() < JUMPS;
    let targets = match known.entry(from) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) if has_room => entry.insert(Vec::new()),
        Entry::Vacant(_) => return true,
    };
    // The targets that a session began with come first among those that it found.
    let same = targets.iter().zip(new).take_while(|(old, new)| old == new).count();
    for to in &new[same..] {
        if targets.len() < TARGETS && !targets.contains(to) {
            targets.push(*to);
        }
    }
    targets.len() >= TARGETS
}

/// Sorts jumps by their pcs, so that the choice of those that find room does not depend on a map's order.
pub(crate) fn in_order(targets: Targets) -> Vec<(u32, Vec<u32>)> {
    let mut jumps: Vec<_> = targets.into_iter().collect();
    jumps.sort_unstable_by_key(|(from, _)| *from);
    jumps
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::{Hash, Hasher};

    use super::*;

    #[test]
    fn targets_are_kept_as_far_as_there_is_room() {
        let mut known = Targets::default();
        assert!(!add_targets(&mut known, 8, &[16, 12]));
        assert!(!add_targets(&mut known, 8, &[16, 20, 12, 24]));
        assert_eq!(known[&8], [16, 12, 20, 24]);
        let many: Vec<u32> = (0..2 * TARGETS as u32).collect();
        assert!(add_targets(&mut known, 12, &many));
        assert_eq!(known[&12], many[..TARGETS]);
        let full: Targets = (1..=2 * JUMPS as u32).map(|from| (4 * from, vec![from])).collect();
        for (from, targets) in in_order(full) {
            assert_eq!(add_targets(&mut known, from, &targets), from > 4 * JUMPS as u32 || from == 12);
        }
        assert!(known.len() == JUMPS && (1..=JUMPS as u32).all(|from| known.contains_key(&(4 * from))));
    }

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// An address that counts its comparisons.
    #[derive(Debug, Clone, Copy, Eq)]
    struct Address(u32);

    impl PartialEq for Address {
        fn eq(&self, other: &Address) -> bool {
            COMPARED.with(|compared| compared.set(compared.get() + 1));
            self.0 == other.0
        }
    }

    impl Hash for Address {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    /// Addresses that collide under a well-known multiplication, as a guest may choose them.
    #[test]
    fn no_addresses_collide_on_purpose() {
        const FACTOR: u64 = 0xf135_7aea_2e62_a9c5;
        let collides = |pc: u32| u64::from(pc).wrapping_mul(FACTOR) >> 38 & 0x1fff == 0xaaa;
        let addresses: Vec<u32> =
            (0x1000_0000..0xe000_0000).step_by(4).filter(|&pc| collides(pc)).take(JUMPS).collect();
        assert_eq!(addresses.len(), JUMPS);
        let mut map: foldhash::HashMap<Address, u32> = foldhash::HashMap::default();
        let before = COMPARED.with(Cell::get);
        for &pc in &addresses {
            map.insert(Address(pc), pc);
        }
        assert!(addresses.iter().all(|&pc| map.contains_key(&Address(pc))));
        let compared = COMPARED.with(Cell::get) - before;
        assert!(compared < 4 * JUMPS as u64, "{compared} comparisons");
    }
}
