//! Native code of one mode as one session sees it: when to translate, where indirect jumps went, what was written over.

use std::sync::Arc;
use std::time::Instant;

use tachy_runtime::{CodeMemory, HartState};

use super::Translations;
use super::background::{Background, Unsent};
use super::cache::{Book, CodeCache, Compiler, Generation, Growth, Job, Targets};
use super::common_code::CommonCode;
use super::counters::Counters;
use super::discover::Code;
use super::region::Region;
use crate::interpreter::{DecodedPages, Tier};
use crate::rules::Rules;

/// Targets kept of one indirect jump, and jumps kept: what a large `switch` needs.
const TARGETS: usize = 64;
const JUMPS: usize = 4096;

/// A session's view of a [`CodeCache`].
pub(super) struct Native {
    cache: Arc<CodeCache>,
    /// The words that regions may be made of, where the cache is shared.
    common: Option<Arc<CommonCode>>,
    /// What is run from: the cache's current generation, or one from before it moved on.
    generation: Generation,
    /// How often control must come to an address of this generation before it is translated.
    threshold: u16,
    translations: Translations,
    /// Where indirect jumps went while they were interpreted.
    targets: Targets,
    /// Who translates; none: this session itself.
    background: Option<Arc<Background>>,
    /// With what this session translates, once it does.
    compiler: Option<Box<Compiler>>,
    /// Whether it did since this was last asked.
    took_a_while: bool,
    counters: Arc<Counters>,
}

impl Native {
    /// A view of `cache`.
    pub(super) fn new(
        cache: Arc<CodeCache>,
        common: Option<Arc<CommonCode>>,
        background: Option<Arc<Background>>,
        counters: Arc<Counters>,
    ) -> Native {
        let generation = cache.generation();
        let threshold = cache.options().threshold_in(generation.number);
        let targets = cache.targets().clone();
        let (translations, compiler, took_a_while) = Default::default();
        Native {
            cache,
            common,
            generation,
            threshold,
            translations,
            targets,
            background,
            compiler,
            took_a_while,
            counters,
        }
    }

    /// Whether control came to `pc` often enough for it to be translated.
    pub(super) fn is_hot(&self, pages: &DecodedPages, pc: u32) -> bool {
        pages.heat_so_far(pc) >= self.threshold
    }

    /// Whether native code can be entered at the context's pc, after translating it or asking for that if it is hot.
    pub(super) fn prepare(&mut self, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> bool {
        self.follow();
        let pc = vm.pc();
        if self.has_entry(pc) {
            return true;
        }
        if !pc.is_multiple_of(4) || pages.heat(pc) < self.threshold {
            return false;
        }
        let started = Instant::now();
        self.translate(pc, Growth::New, vm, pages);
        Counters::add_time(&self.counters.own_nanos, started.elapsed());
        // Unless it is translated now, it may take a while: not asked again at each arrival.
        pages.set_heat(pc, self.threshold / 2);
        self.has_entry(pc)
    }

    /// Whether the region at `pc` may be grown anew.
    pub(super) fn may_regrow(&self, pc: u32) -> bool {
        self.cache.may_regrow(pc)
    }

    /// Has the region at `pc` grown anew, now or some time; how many instructions that takes.
    pub(super) fn regrow(&mut self, pc: u32, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> usize {
        let started = Instant::now();
        let instructions = self.translate(pc, Growth::Anew, vm, pages);
        Counters::add_time(&self.counters.own_nanos, started.elapsed());
        instructions
    }

    /// Whether this session has translated something itself since it was last asked, so that time is to be looked at.
    pub(super) fn took_a_while(&mut self) -> bool {
        std::mem::take(&mut self.took_a_while)
    }

    /// What is entered.
    pub(super) fn code(&self) -> &CodeMemory {
        &self.generation.code
    }

    /// Whether the word at `address` is part of a translated region.
    pub(super) fn contains(&self, address: u32) -> bool {
        self.translations.contains(address)
    }

    #[inline]
    fn has_entry(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
    }

    /// Moves over to the cache's current generation; whether there was a new one. All that was translated before stays
    /// behind, and nothing of the new one can be this session's, since a claim is for one generation.
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

    /// Has the region at `pc` translated, now or some time; how many instructions that takes.
    fn translate(&mut self, pc: u32, growth: Growth, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> usize {
        // What is in the middle of a region under way waits for it: the same code from elsewhere on would only keep others
        // from being translated.
        if self.background.as_ref().is_some_and(|background| {
            !background.has_room() || self.cache.are_under_way(self.translations.entries_around(pc))
        }) || !self.translations.may_translate(pc)
        {
            return 0;
        }
        if growth == Growth::New && self.translations.is_repeat(pc) && !self.translations.may_repeat(vm.steps()) {
            return 0;
        }
        let mut instructions = 0;
        // A region that finds code memory full is tried once more, in the next generation.
        for _ in 0..2 {
            let Some(job) = self.claim(pc, growth, vm, pages) else { break };
            instructions += job.region.instructions();
            let job = match &self.background {
                None => job,
                Some(background) => match background.send(job) {
                    Ok(()) => break,
                    Err(Unsent::Full(job)) => {
                        job.release();
                        break;
                    }
                    Err(Unsent::NoThread(job)) => job,
                },
            };
            job.run(self.compiler.get_or_insert_with(|| Box::new(Compiler::new())));
            self.took_a_while = true;
            if self.has_entry(pc) || !self.follow() {
                break;
            }
        }
        instructions
    }

    /// Claims the region at `pc`. From here on stores into it are seen, long before it is published.
    fn claim(&mut self, pc: u32, growth: Growth, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> Option<Job> {
        let Native { cache, common, generation, threshold, translations, targets, counters, .. } = self;
        let (rules, cap) = (cache.rules(), cache.options().cap_of(growth));
        let job = cache.claim(pc, growth, generation, counters, |book| {
            let (threshold, common) = (*threshold, common.as_deref());
            let may_repeat = growth == Growth::Anew || translations.may_repeat(vm.steps());
            let site =
                Site { pc, growth, threshold, may_repeat, rules, common, vm, pages, book, translations, targets };
            Region::discover(pc, rules.variant, cap, &site)
        })?;
        for pc in translations.add(&job.region, growth == Growth::Anew) {
            pages.mark_code(vm, pc);
        }
        for &cut in &job.region.cuts {
            pages.set_heat(cut, *threshold);
        }
        Some(job)
    }
}

/// What a region is grown from: code that ran, as far as it is warm.
///
/// Code that never ran is left out, and so are jumps that were rarely taken: what is hot says what is worth compiling.
/// Where everything is translated at first sight, nothing has run yet, and everything is followed.
struct Site<'a, 'vm> {
    /// The pc that is hot.
    pc: u32,
    growth: Growth,
    threshold: u16,
    /// Whether it may have words that other regions have or had.
    may_repeat: bool,
    rules: &'static Rules,
    common: Option<&'a CommonCode>,
    vm: &'a HartState<'vm>,
    pages: &'a DecodedPages,
    book: &'a Book,
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
            && self.common.is_none_or(|common| common.contains(pc))
            && self.translations.is_settled(pc)
            && (self.may_repeat || !self.translations.is_repeat(pc))
            && (self.at_first_sight() || pc == self.pc || self.pages.was_run(pc));
        usable.then(|| self.vm.word(pc))
    }

    fn is_warm(&self, pc: u32) -> bool {
        self.at_first_sight() || self.pages.heat_so_far(pc) >= self.threshold / 32 || self.book.has_entry(pc)
    }

    fn stops_at(&self, pc: u32) -> bool {
        self.growth == Growth::New && self.book.has_entry(pc)
    }

    fn targets(&self, pc: u32) -> &[u32] {
        self.targets.get(&pc).map_or(&[], Vec::as_slice)
    }
}

impl Tier for Native {
    #[inline]
    fn arrive(&mut self, pages: &mut DecodedPages, pc: u32) -> bool {
        self.has_entry(pc) || pages.heat(pc) >= self.threshold
    }

    fn jumped(&mut self, from: u32, to: u32) {
        add_target(&mut self.targets, from, to);
    }

    fn code_written(&mut self, address: u32) {
        if self.translations.contains(address) {
            Counters::add(&self.counters.invalidations, 1);
            self.cache.take_back(&self.generation, &self.translations.rewrite(address));
        }
    }
}

impl Drop for Native {
    /// Leaves to later sessions where indirect jumps went.
    fn drop(&mut self) {
        let mut kept = self.cache.targets();
        for (&from, targets) in &self.targets {
            targets.iter().for_each(|&to| add_target(&mut kept, from, to));
        }
    }
}

/// Takes down that the indirect jump at `from` went to `to`, as far as there is room.
pub(super) fn add_target(targets: &mut Targets, from: u32, to: u32) {
    if targets.len() < JUMPS || targets.contains_key(&from) {
        let targets = targets.entry(from).or_default();
        if targets.len() < TARGETS && !targets.contains(&to) {
            targets.push(to);
        }
    }
}
