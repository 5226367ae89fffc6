//! Native code of a session: one view for each mode of its machine, one of which is current. The code is shared with other
//! sessions until this one writes where the program's code is.
//!
//! Shared code is compiled from the program as it began. So every session watches all pages that hold code. The first
//! store to a word of code makes the session switch to caches of its own for good. So does code that gets hot elsewhere,
//! because other sessions may have something else there. It must not know how regions are found and compiled.

use std::sync::Arc;

use tachy_runtime::{CodeMemory, HartState, PAGE_BYTES};

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

/// See the module.
pub(crate) struct SessionCode {
    caches: Arc<Caches>,
    level: Level,
    /// A view for each mode; none where the host gives no executable memory, and none while it waits.
    modes: Vec<ModeCode>,
    /// Whether nothing is hot yet and no other session has code to share: many a run ends before a first region is worth
    /// what preparing for it takes.
    waiting: bool,
    /// Where indirect jumps went meanwhile.
    early: Targets,
    current: usize,
    /// What translation may cost the session.
    payback: Payback,
    backoff: Backoff,
    /// What is shared, while it is.
    shared: Option<Arc<SharedCode>>,
    counters: Arc<Counters>,
}

impl SessionCode {
    /// Native code of a session that records what `level` says. The session watches its code from here on.
    pub(crate) fn new(caches: Arc<Caches>, level: Level, vm: &mut HartState<'_>, pages: &DecodedPages) -> SessionCode {
        let shared = caches.shared();
        for page in shared.iter().flat_map(|shared| shared.pages()) {
            pages.mark_code(vm, page * PAGE_BYTES);
        }
        let (modes, early, backoff, counters) = Default::default();
        let payback = if caches.paid_by_steps() { Payback::earning() } else { Payback::unlimited() };
        let mut session =
            SessionCode { caches, level, modes, waiting: true, early, current: 0, payback, backoff, shared, counters };
        session.look();
        session
    }

    /// The same in a child of a fork, which shares nothing with its parent: nothing is compiled yet. A session that has
    /// written over its code still shares none.
    pub(crate) fn for_child(&self, caches: Arc<Caches>, vm: &mut HartState<'_>, pages: &DecodedPages) -> SessionCode {
        let mut session = SessionCode::new(caches, self.level, vm, pages);
        if self.shared.is_none() {
            session.leave();
        }
        session.current = self.current;
        session
    }

    /// Records what `level` says from the next step on.
    pub(crate) fn set_level(&mut self, level: Level) {
        if level == self.level {
            return;
        }
        // Nothing of another level is entered, whatever happens on the way to code of this one.
        self.modes.clear();
        self.level = level;
        if self.waiting { self.look() } else { self.renew() }
    }

    /// Waits no longer if there is code to share.
    fn look(&mut self) {
        if self.shared.is_some() && self.caches.has_shared(self.level) {
            self.renew();
        }
    }

    /// Replaces the views by new ones.
    fn renew(&mut self) {
        self.waiting = false;
        let sharing = if self.shared.is_some() { Sharing::Shared } else { Sharing::Own };
        let caches = self.caches.for_session(self.level, sharing).unwrap_or_default();
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

    #[inline]
    fn current(&mut self) -> Option<&mut ModeCode> {
        self.modes.get_mut(self.current)
    }

    /// Whether the interpreter goes on alone for a while: [`Resting`] watches it then.
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

    /// As [`ModeCode::prepare`], in the current mode.
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

    /// Native code was entered at `pc` and did so many steps.
    #[inline]
    pub(crate) fn ran(&mut self, pc: u32, steps: u64) {
        self.payback.earn(steps);
        if let Some(mode) = self.current() {
            mode.ran(pc, steps);
        }
    }

    /// As [`ModeCode::can_translate`], in the current mode.
    pub(crate) fn can_translate(&self, steps: u64) -> bool {
        self.modes.get(self.current).is_some_and(|mode| mode.can_translate(steps, &self.payback))
    }

    /// As [`ModeCode::may_merge`], in the current mode.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.modes.get(self.current).is_some_and(|mode| mode.may_merge(pc))
    }

    /// As [`ModeCode::merge`], in the current mode.
    pub(crate) fn merge(&mut self, pc: u32, vm: &mut HartState<'_>, pages: &mut DecodedPages) -> usize {
        let mode = self.modes.get_mut(self.current);
        mode.map_or(0, |mode| mode.merge(pc, vm, pages, &mut self.payback))
    }

    /// As [`ModeCode::took_a_while`], in the current mode.
    pub(crate) fn took_a_while(&mut self) -> bool {
        self.current().is_some_and(ModeCode::took_a_while)
    }

    /// Code of the current mode, once it is prepared.
    pub(crate) fn code(&self) -> Option<&CodeMemory> {
        self.modes.get(self.current).map(ModeCode::code)
    }

    /// The access groups of the region with this number in the code of the current mode.
    pub(crate) fn groups(&self, region: u32) -> Option<RegionGroups> {
        self.modes.get(self.current)?.groups(region)
    }

    /// Whether the word at `address` may be translated already, in any mode.
    pub(crate) fn contains(&self, address: u32) -> bool {
        match &self.shared {
            Some(shared) => shared.contains(address),
            None => self.modes.iter().any(|mode| mode.contains(address)),
        }
    }

    /// Adds what was translated for this session to `stats`.
    pub(crate) fn report(&self, stats: &mut Stats) {
        self.counters.report(stats);
    }

    /// Shares nothing from here on.
    fn leave(&mut self) {
        self.shared = None;
        if !self.waiting {
            self.renew();
        }
    }
}

/// The tier of a session that rests: code that is written over is noticed, and nothing else.
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
