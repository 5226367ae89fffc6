//! Native code of a session: one view for each mode of its machine, one of which is current. The code is shared with
//! other sessions until this one writes to the program's code.
//!
//! Shared code is compiled from the program's initial state. So every session watches all pages that hold code. The
//! first store to a word of code makes the session switch to caches of its own for good. So does code that gets hot
//! elsewhere, because other sessions may have something else there. It must not know how regions are found and
//! compiled.

use std::sync::Arc;

use tachy_runtime::{CodeMemory, HartState, PAGE_BYTES, ProcessNumber};

use super::backoff::Backoff;
use super::mode_code::{ModeCode, add_targets, in_order};
use super::payback::Payback;
use crate::interpreter::{DecodedPages, Held, Tier};
use crate::jit::code::cache::{Caches, Sharing, Targets};
use crate::jit::code::counters::Counters;
use crate::jit::code::published_groups::RegionGroups;
use crate::jit::code::shared_code::SharedCode;
use crate::stats::Stats;
use crate::trace::Level;

/// The native code of a session; see the module.
pub(crate) struct SessionCode {
    caches: Arc<Caches>,
    level: Level,
    /// A view for each mode. Empty if the host provides no executable memory, and while the session waits.
    modes: Vec<ModeCode>,
    /// Whether nothing is hot yet and no other session has code to share. Many runs end before a first region is worth
    /// the cost of preparing for it.
    waiting: bool,
    /// Targets of indirect jumps while it waits.
    early: Targets,
    current: usize,
    /// The session's budget for compilation.
    payback: Payback,
    backoff: Backoff,
    /// The shared code, while it is shared.
    shared: Option<Arc<SharedCode>>,
    counters: Arc<Counters>,
    /// The process that compiled the code.
    process: ProcessNumber,
}

impl SessionCode {
    /// Creates native code for a session that records what `level` requires. The session watches its code from now on.
    pub(crate) fn new(caches: Arc<Caches>, level: Level, vm: &mut HartState<'_>, pages: &DecodedPages) -> SessionCode {
        let shared = caches.shared();
        for page in shared.iter().flat_map(|shared| shared.pages()) {
            pages.mark_code(vm, page * PAGE_BYTES);
        }
        let (modes, early, backoff, counters) = Default::default();
        let payback = if caches.paid_by_steps() { Payback::earning() } else { Payback::unlimited() };
        let process = ProcessNumber::current();
        SessionCode {
            caches,
            level,
            modes,
            waiting: true,
            early,
            current: 0,
            payback,
            backoff,
            shared,
            counters,
            process,
        }
    }

    /// Creates native code in a child of a fork. It shares nothing with the parent: nothing is compiled yet. A session
    /// that has overwritten its code still shares none.
    pub(crate) fn for_child(&self, caches: Arc<Caches>, vm: &mut HartState<'_>, pages: &DecodedPages) -> SessionCode {
        let mut session = SessionCode::new(caches, self.level, vm, pages);
        if self.shared.is_none() {
            session.leave();
        }
        session.current = self.current;
        session
    }

    /// Records what `level` requires from the next step on. Each run begins with this, so no code is looked for that the
    /// run does not need.
    pub(crate) fn set_level(&mut self, level: Level) {
        if level != self.level {
            // Code of another level is never entered, even if the switch to this level fails.
            self.modes.clear();
            self.level = level;
            if !self.waiting {
                self.renew();
            }
        }
        if self.waiting {
            self.look();
        }
    }

    /// Stops waiting if there is code to share, of other sessions or on disk.
    fn look(&mut self) {
        let is_there = || self.caches.load(self.level, &self.counters) || self.caches.has_shared(self.level);
        if self.shared.is_some() && is_there() {
            self.renew();
        }
    }

    /// Replaces the views with new ones.
    fn renew(&mut self) {
        self.waiting = false;
        let sharing = if self.shared.is_some() { Sharing::Shared } else { Sharing::Own };
        let caches = self.caches.for_session(self.level, sharing, &self.counters).unwrap_or_default();
        let view = |cache| ModeCode::new(cache, self.shared.clone(), self.caches.background(), self.counters.clone());
        let modes = caches.into_iter().map(view).collect();
        let before = std::mem::replace(&mut self.modes, modes);
        self.modes.iter_mut().zip(before).for_each(|(mode, before)| mode.take_candidates(before));
        let early = in_order(std::mem::take(&mut self.early));
        self.modes.iter_mut().for_each(|mode| mode.jumped_before(&early));
    }

    /// Makes the mode with this index the current one.
    #[inline]
    pub(crate) fn set_mode(&mut self, mode: usize) {
        self.current = mode;
    }

    /// Records that the machine has worked for as long as this many steps take so far, beside the steps.
    #[inline]
    pub(crate) fn set_machine_work(&mut self, steps: u64) {
        self.payback.set_machine_work(steps);
    }

    #[inline]
    fn current(&mut self) -> Option<&mut ModeCode> {
        self.modes.get_mut(self.current)
    }

    /// Returns whether the interpreter continues alone for a while: [`Resting`] observes it then.
    #[inline]
    pub(crate) fn rests(&mut self, step: u64) -> bool {
        if self.payback.is_unlimited() || self.waiting {
            return false;
        }
        if !self.backoff.is_rest(step) {
            let SessionCode { modes, current, payback, backoff, .. } = self;
            let has_credit = || modes.get(*current).is_some_and(|mode| mode.can_translate(step, payback));
            backoff.look(step, payback.native_steps(), has_credit);
        }
        self.backoff.is_rest(step)
    }

    /// Does [`ModeCode::prepare`] in the current mode.
    pub(crate) fn prepare(&mut self, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> bool {
        let pc = vm.pc();
        if self.waiting {
            if pages.hotness(pc).max(1) < self.caches.threshold() {
                return false;
            }
            self.renew();
        }
        let strange = self.shared.as_ref().is_some_and(|shared| !shared.contains(pc));
        if strange && self.current().is_some_and(|mode| mode.is_hot(pages, pc)) {
            self.leave();
        }
        let mode = self.modes.get_mut(self.current);
        mode.is_some_and(|mode| mode.prepare(vm, pages, &mut self.payback))
    }

    /// Records that native code was entered at `pc` in the current mode and ran for `steps` steps, up to mode `left_in`,
    /// which is the current one from now on.
    #[inline]
    pub(crate) fn ran(&mut self, pc: u32, steps: u64, left_in: usize) {
        self.payback.earn(steps);
        if let Some(mode) = self.current() {
            mode.ran(pc, steps);
        }
        self.set_mode(left_in);
        if let Some(mode) = self.current() {
            mode.left();
        }
    }

    /// Records that the machine led control to `pc`, in the current mode, which the interpreter does not count.
    pub(crate) fn arrived(&mut self, pages: &mut DecodedPages, pc: u32) {
        match self.modes.get_mut(self.current) {
            Some(mode) => mode.left(),
            None if self.waiting => {
                pages.count_at(pc);
            }
            None => {}
        }
    }

    /// Returns [`ModeCode::can_translate`] of the mode with this index.
    pub(crate) fn can_translate(&self, mode: usize, steps: u64) -> bool {
        self.modes.get(mode).is_some_and(|mode| mode.can_translate(steps, &self.payback))
    }

    /// Returns [`ModeCode::may_merge`] of the mode with this index.
    pub(crate) fn may_merge(&self, mode: usize, pc: u32) -> bool {
        self.modes.get(mode).is_some_and(|mode| mode.may_merge(pc))
    }

    /// Does [`ModeCode::merge`] in the current mode.
    pub(crate) fn merge(&mut self, pc: u32, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> usize {
        let mode = self.modes.get_mut(self.current);
        mode.map_or(0, |mode| mode.merge(pc, vm, pages, &mut self.payback))
    }

    /// Returns [`ModeCode::took_a_while`] of the current mode.
    pub(crate) fn took_a_while(&mut self) -> bool {
        self.current().is_some_and(ModeCode::took_a_while)
    }

    /// Returns the code of the mode with this index, once it is prepared.
    pub(crate) fn code(&self, mode: usize) -> Option<&CodeMemory> {
        self.modes.get(mode).map(ModeCode::code)
    }

    /// Returns the access groups of the region with this number in the code of the mode with this index.
    pub(crate) fn groups(&self, mode: usize, region: u32) -> Option<RegionGroups> {
        self.modes.get(mode)?.groups(region)
    }

    /// Returns whether the word at `address` may be compiled already, in any mode.
    pub(crate) fn contains(&self, address: u32) -> bool {
        match &self.shared {
            Some(shared) => shared.contains(address),
            None => self.modes.iter().any(|mode| mode.contains(address)),
        }
    }

    /// Adds the counters of this session's compilations to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        self.counters.report(stats);
    }

    /// Stops sharing for good.
    fn leave(&mut self) {
        self.shared = None;
        if !self.waiting {
            self.renew();
        }
    }
}

/// The tier of a resting session: it notices overwritten code, and nothing else.
pub(crate) struct Resting<'a>(pub(crate) &'a mut SessionCode);

impl Tier for Resting<'_> {
    #[inline(always)]
    fn block_entered(&mut self, _: &mut DecodedPages, _: Held, _: u32) -> bool {
        false
    }

    #[inline(always)]
    fn jumped(&mut self, _: u32, _: u32) {}

    fn code_written(&mut self, pages: &mut DecodedPages, address: u32) {
        self.0.code_written(pages, address);
    }
}

impl Tier for SessionCode {
    #[inline(always)]
    fn block_entered(&mut self, pages: &mut DecodedPages, held: Held, pc: u32) -> bool {
        match self.modes.get_mut(self.current) {
            Some(mode) => mode.block_entered(pages, held, pc),
            None => self.waiting && pages.count(held, pc) >= self.caches.threshold(),
        }
    }

    fn jumped(&mut self, from: u32, to: u32) {
        match self.modes.get_mut(self.current) {
            Some(mode) => mode.jumped(from, to),
            None => {
                add_targets(&mut self.early, from, &[to]);
            }
        }
    }

    fn code_written(&mut self, pages: &mut DecodedPages, address: u32) {
        if self.process != ProcessNumber::current() {
            // A host's answer has forked. The child is about to begin with no code, and a lock may be held for good here.
            return;
        }
        match &self.shared {
            Some(shared) if shared.contains(address) => {
                Counters::add(&self.counters.invalidations, 1);
                self.leave();
            }
            Some(_) => {}
            None => self.modes.iter_mut().for_each(|mode| mode.code_written(pages, address)),
        }
    }
}
