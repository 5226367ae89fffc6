//! Native code of one session: translates what gets hot, publishes it, takes it back when its words are written.

use std::time::{Duration, Instant};

use cranelift_codegen::Context;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use tachy_runtime::{CodeError, CodeMemory, Entry, PageState, StubCode, Vm};

use super::abi::{compile, host_isa};
use super::lower::lower;
use super::region::Region;
use super::stubs::Stubs;
use super::{JitOptions, Translations};
use crate::engine::Stats;
use crate::interpreter::{DecodedPages, Tier, mark_code};
use crate::isa::Variant;
use crate::trace::Level;

/// Native code for one variant and level.
pub(crate) struct Native {
    options: JitOptions,
    level: Level,
    variant: Variant,
    isa: OwnedTargetIsa,
    context: Context,
    frontend: FunctionBuilderContext,
    code: CodeMemory,
    translations: Translations,
    /// Number of the next region; 0 is none.
    next_region: u32,
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
    /// Native code for this host, with nothing translated yet. `None` where there is no code generator for the host or
    /// it gives no executable memory: the interpreter then does everything, with the same results.
    pub(crate) fn new(options: &JitOptions, level: Level, variant: Variant) -> Option<Native> {
        let isa = host_isa()?;
        let code = new_code(&isa, options.code_bytes)?;
        Some(Native {
            options: options.clone(),
            level,
            variant,
            isa,
            context: Context::new(),
            frontend: FunctionBuilderContext::new(),
            code,
            translations: Translations::default(),
            next_region: 1,
            counters: Counters::default(),
        })
    }

    /// Whether native code can be entered at the context's pc, translating it now if it is hot.
    pub(crate) fn prepare(&mut self, vm: &mut Vm, pages: &mut DecodedPages) -> bool {
        let pc = vm.pc();
        if self.code.entry(pc).is_some() {
            return true;
        }
        if pages.heat(pc) < self.options.threshold {
            return false;
        }
        let translated = self.translate(pc, vm, pages);
        if !translated {
            pages.cool(pc);
        }
        translated
    }

    /// What `enter` needs, apart from each other.
    pub(crate) fn parts(&self) -> (&CodeMemory, &Translations) {
        (&self.code, &self.translations)
    }

    /// Adds what was translated to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        stats.regions += self.counters.regions;
        stats.translated_instructions += self.counters.instructions;
        stats.code_bytes += self.counters.code_bytes;
        stats.compile_time += self.counters.compile_time;
        stats.code_flushes += self.counters.flushes;
        stats.invalidations += self.counters.invalidations;
    }

    fn translate(&mut self, pc: u32, vm: &mut Vm, pages: &DecodedPages) -> bool {
        let started = Instant::now();
        let translations = &self.translations;
        // Code that never ran is left out: what is hot says what is worth compiling. At first sight nothing has run.
        let eager = self.options.threshold <= 1;
        let fetch = |at: u32| {
            let usable = vm.page_state(at).contains(PageState::FETCH)
                && !translations.is_unstable(at)
                && (eager || at == pc || pages.was_run(at));
            usable.then(|| vm.word(at))
        };
        let region = Region::discover(pc, self.variant, self.options.region_instructions, fetch);
        let done =
            region.is_some_and(|region| self.publish(&region, vm) || (self.flush() && self.publish(&region, vm)));
        self.counters.compile_time += started.elapsed();
        done
    }

    /// Translates and publishes. False when numbers or code memory are used up, or Cranelift refuses.
    fn publish(&mut self, region: &Region, vm: &mut Vm) -> bool {
        if self.next_region == Entry::REGIONS {
            return false;
        }
        self.context.clear();
        lower(region, self.next_region, self.level, &self.isa, &mut self.context.func, &mut self.frontend);
        let Some(code) = compile(&mut self.context, &self.isa) else { return false };
        let Ok(function) = self.publish_code(&code) else { return false };
        let number = self.next_region;
        self.next_region += 1;
        for (entry, &block) in region.entries.iter().enumerate() {
            let pc = region.blocks[block].pc;
            // An older region keeps its entries; it was made for them.
            if self.code.entry(pc).is_none() && entry < Entry::ENTRIES as usize {
                self.code.set_entry(pc, function, number, entry as u32);
            }
        }
        for pc in self.translations.add(region) {
            mark_code(vm, pc);
        }
        self.counters.regions += 1;
        self.counters.instructions += region.instructions() as u64;
        self.counters.code_bytes += code.len() as u64;
        true
    }

    /// The documented crossing: here the translator vouches for its code.
    #[allow(unsafe_code)]
    fn publish_code(&mut self, code: &[u8]) -> Result<tachy_runtime::Function, CodeError> {
        // SAFETY: `lower` made this function: it keeps to the region ABI, reaches memory only as base + u32, page
        // states by a 22-bit index, the context at constants of `layout` and rows below the limit it checked; it takes
        // any entry number, since a jump table sends unknown ones to the first; and `compile` refused relocations.
        let mut functions = unsafe { self.code.publish(&[code]) }?;
        functions.pop().ok_or(CodeError::Full { used_bytes: 0, capacity_bytes: 0 })
    }

    /// Drops all code and starts anew. Native code is not running: translation happens between two entries.
    fn flush(&mut self) -> bool {
        let Some(code) = new_code(&self.isa, self.options.code_bytes) else { return false };
        self.code = code;
        self.translations.clear();
        self.next_region = 1;
        self.counters.flushes += 1;
        true
    }
}

/// Code memory with its stubs. The other half of the crossing.
#[allow(unsafe_code)]
fn new_code(isa: &OwnedTargetIsa, code_bytes: usize) -> Option<CodeMemory> {
    let stubs = Stubs::new(isa)?;
    let code = StubCode { dispatcher: &stubs.dispatcher, access: &stubs.access, refill: &stubs.refill };
    // SAFETY: `Stubs` makes exactly the functions that `StubCode` describes, and `compile` refused relocations.
    unsafe { CodeMemory::new(isa.clone(), code_bytes, code) }.ok()
}

impl Tier for Native {
    #[inline]
    fn arrive(&mut self, pages: &mut DecodedPages, pc: u32) -> bool {
        self.code.entry(pc).is_some() || pages.heat(pc) >= self.options.threshold
    }

    fn code_written(&mut self, address: u32) {
        if self.translations.contains(address) {
            self.counters.invalidations += 1;
            for pc in self.translations.rewrite(address) {
                self.code.clear_entry(pc);
            }
        }
    }
}
