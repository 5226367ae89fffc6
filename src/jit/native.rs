//! Native code as one session sees it: when to translate, where indirect jumps went, what was written over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxBuildHasher;
use tachy_runtime::{CodeMemory, Vm};

use super::Translations;
use super::cache::CodeCache;
use super::region::Code;
use crate::engine::Stats;
use crate::interpreter::{DecodedPages, Tier};
use crate::rules::Rules;

/// Targets kept of one indirect jump, and jumps kept: what a large `switch` needs.
const TARGETS: usize = 64;
const JUMPS: usize = 4096;

/// A session's view of a [`CodeCache`].
pub(crate) struct Native {
    cache: Arc<CodeCache>,
    /// What is run from: the cache's current generation, or one from before it moved on.
    generation: Arc<CodeMemory>,
    translations: Translations,
    /// Where indirect jumps went while they were interpreted.
    targets: HashMap<u32, Vec<u32>, FxBuildHasher>,
    counters: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    regions: u64,
    instructions: u64,
    code_bytes: u64,
    compile_time: Duration,
    flushes: u64,
    invalidations: u64,
}

impl Native {
    /// A view of `cache`.
    pub(super) fn new(cache: Arc<CodeCache>) -> Native {
        let generation = cache.generation();
        let (translations, targets) = Default::default();
        Native { cache, generation, translations, targets, counters: Counters::default() }
    }

    /// Whether native code can be entered at the context's pc, translating it now if it is hot.
    pub(crate) fn prepare(&mut self, vm: &mut Vm, pages: &mut DecodedPages) -> bool {
        let pc = vm.pc();
        if self.generation.entry(pc).is_some() {
            return true;
        }
        if pages.heat(pc) < self.cache.options().threshold {
            return false;
        }
        self.translate(pc, vm, pages);
        let translated = self.generation.entry(pc).is_some();
        if !translated {
            pages.set_heat(pc, 0);
        }
        translated
    }

    /// What `enter` needs, apart from each other.
    pub(crate) fn parts(&self) -> (&CodeMemory, &Translations) {
        (&self.generation, &self.translations)
    }

    /// Adds what this session translated to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        stats.regions += self.counters.regions;
        stats.translated_instructions += self.counters.instructions;
        stats.code_bytes += self.counters.code_bytes;
        stats.compile_time += self.counters.compile_time;
        stats.code_flushes += self.counters.flushes;
        stats.invalidations += self.counters.invalidations;
    }

    fn translate(&mut self, pc: u32, vm: &mut Vm, pages: &mut DecodedPages) {
        let Native { cache, generation, translations, targets, counters } = self;
        let threshold = cache.options().threshold;
        let rules = cache.rules();
        let site = |generation| Site { pc, threshold, rules, vm, pages, generation, translations, targets };
        let Some(translated) = cache.translate(pc, generation, site) else { return };
        if translated.flushed {
            translations.clear();
        }
        for pc in translations.add(&translated.region) {
            pages.mark_code(vm, pc);
        }
        for &cut in &translated.region.cuts {
            pages.set_heat(cut, threshold);
        }
        counters.regions += 1;
        counters.instructions += translated.region.instructions() as u64;
        counters.code_bytes += translated.code_bytes as u64;
        counters.compile_time += translated.time;
        counters.flushes += translated.flushed as u64;
    }
}

/// What a region is grown from: code that ran, as far as it is warm.
///
/// Code that never ran is left out, and so are jumps that were rarely taken: what is hot says what is worth compiling.
/// Where everything is translated at first sight, nothing has run yet, and everything is followed.
struct Site<'a> {
    /// The pc that is hot.
    pc: u32,
    threshold: u16,
    rules: &'static Rules,
    vm: &'a Vm,
    pages: &'a DecodedPages,
    generation: Arc<CodeMemory>,
    translations: &'a Translations,
    targets: &'a HashMap<u32, Vec<u32>, FxBuildHasher>,
}

impl Site<'_> {
    fn at_first_sight(&self) -> bool {
        self.threshold <= 1
    }
}

impl Code for Site<'_> {
    fn fetch(&self, pc: u32) -> Option<u32> {
        let usable = self.rules.may_fetch(pc, self.vm.page_state(pc))
            && !self.translations.is_unstable(pc)
            && (self.at_first_sight() || pc == self.pc || self.pages.was_run(pc));
        usable.then(|| self.vm.word(pc))
    }

    fn is_warm(&self, pc: u32) -> bool {
        self.at_first_sight() || self.pages.heat_so_far(pc) >= self.threshold / 32
    }

    fn has_entry(&self, pc: u32) -> bool {
        self.generation.entry(pc).is_some()
    }

    fn targets(&self, pc: u32) -> &[u32] {
        self.targets.get(&pc).map_or(&[], Vec::as_slice)
    }
}

impl Tier for Native {
    #[inline]
    fn arrive(&mut self, pages: &mut DecodedPages, pc: u32) -> bool {
        self.generation.entry(pc).is_some() || pages.heat(pc) >= self.cache.options().threshold
    }

    fn jumped(&mut self, from: u32, to: u32) {
        if self.targets.len() < JUMPS || self.targets.contains_key(&from) {
            let targets = self.targets.entry(from).or_default();
            if targets.len() < TARGETS && !targets.contains(&to) {
                targets.push(to);
            }
        }
    }

    fn code_written(&mut self, address: u32) {
        if self.translations.contains(address) {
            self.counters.invalidations += 1;
            for pc in self.translations.rewrite(address) {
                self.generation.clear_entry(pc);
            }
        }
    }
}
