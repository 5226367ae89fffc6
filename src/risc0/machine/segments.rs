//! Segments: when one ends, what happens between two, and the record of each for a prover.
//!
//! A segment begins with *resume*, which gives the program eight input words. It ends with *suspend*, which stores pc,
//! mode and registers in memory. Before each instruction, the session's limit is checked, then the segment's.
//!
//! This file must not know how records are hashed or proven.

use tachy_runtime::{HartState, PageContent};

use super::R0vm;
use super::memory::{KeptPages, copy_page};
use crate::error::Error;
use crate::invariant::broken;
use crate::machine::{Context, SliceGrant, StepError};
use crate::risc0::MachineError;
use crate::risc0::error::illegal;
use crate::risc0::layout::*;
use crate::risc0::surroundings::SegmentRules;
use crate::risc0::{Digest, PovwJob, SegmentCycles, SegmentRecord, TouchedPage};

/// Cycles of all finished segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) segments: u64,
    pub(crate) each: Vec<SegmentCycles>,
    pub(crate) paging_cycles: u64,
    pub(crate) reserved_cycles: u64,
    pub(crate) total_cycles: u64,
}

/// The current segment.
pub(super) struct Segment {
    po2: u32,
    input: [u32; 8],
    povw: Option<PovwJob>,
    /// Whether to keep records for a prover.
    records: bool,
    /// Whether the segment has begun; a limit may stop even its beginning.
    resumed: bool,
    /// Steps and extra cycles of the session at its start.
    first_step: u64,
    first_extra: u64,
    pub(super) paging_cycles: u64,
    kept: KeptPages,
    pub(super) reads: Vec<Vec<u8>>,
    pub(super) writes: Vec<u32>,
}

impl Segment {
    /// Makes the first segment of a session.
    pub(super) fn new(rules: &SegmentRules) -> Result<Segment, Error> {
        Ok(Segment {
            po2: rules.check_po2()?,
            input: rules.input.0,
            povw: rules.povw,
            records: rules.records,
            resumed: false,
            first_step: 0,
            first_extra: 0,
            paging_cycles: PAGING_START_CYCLES as u64,
            kept: KeptPages::new(),
            reads: Vec::new(),
            writes: Vec::new(),
        })
    }

    /// Keeps the content of a page before its first write, if records are kept.
    pub(super) fn keep(&mut self, page: u32, copy: impl FnOnce() -> Box<PageContent>) {
        if self.records {
            self.kept.entry(page).or_insert_with(copy);
        }
    }

    /// Returns whether paging alone has used up the segment. The current instruction is then the last one: the check
    /// before the next one fails, whichever further pages this one touches.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.paging_cycles >> self.po2 != 0
    }

    /// Returns the number of cycles beyond which the segment ends.
    fn threshold(&self) -> u64 {
        let margin = if self.po2 >= 15 { MARGIN_CYCLES } else { MARGIN_SMALL_CYCLES };
        (1 << self.po2) - margin
    }
}

impl R0vm {
    /// Returns the user cycles of the session so far.
    pub(super) fn user_cycles(&self, vm: &HartState<'_>) -> u64 {
        vm.steps() - self.first_step + self.extra_cycles
    }

    /// Returns the user cycles of the segment so far.
    fn segment_user_cycles(&self, vm: &HartState<'_>) -> u64 {
        (vm.steps() - self.segment.first_step) + (self.extra_cycles - self.segment.first_extra)
    }

    /// Returns all cycles of the segment so far, including those reserved for its end.
    fn segment_cycles(&self, vm: &HartState<'_>) -> u64 {
        self.segment_user_cycles(vm) + self.segment.paging_cycles + RESERVED_CYCLES
    }

    /// Charges an instruction's cycles beyond its step.
    pub(super) fn charge(&mut self, vm: &mut HartState<'_>, cycles: u64) {
        self.extra_cycles += cycles;
        vm.charge(cycles);
    }

    /// Implements [`crate::machine::Machine::between`].
    pub(super) fn between_steps(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<SliceGrant, StepError> {
        let mut acted = false;
        if !self.segment.resumed {
            self.resume(vm, context)?;
            acted = true;
        }
        let used = self.user_cycles(vm);
        let limit = context.budget.limit_cycles.unwrap_or(u64::MAX);
        if used >= limit {
            return Err(StepError::CycleLimit { used, limit });
        }
        let threshold = self.segment.threshold();
        if self.segment_cycles(vm) > threshold {
            if self.segment_cycles(vm) >= 1 << self.segment.po2 {
                return Err(MachineError::SegmentTooSmall { po2: self.segment.po2 }.into());
            }
            self.suspend(vm, context)?;
            let po2 = self.segment.po2;
            self.finish(vm, context, po2, threshold as u32)?;
            self.resume(vm, context)?;
            acted = true;
        }
        // An instruction may begin until the threshold is exceeded. One instruction may always run after a split.
        let steps = (threshold + 1).saturating_sub(self.segment_cycles(vm)).max(1);
        Ok(SliceGrant { steps: steps.min(limit - used), acted })
    }

    /// Continues after a pause as a new session: segments and cycles are counted from 0.
    pub(super) fn begin_part(&mut self, vm: &HartState<'_>) {
        self.first_step = vm.steps();
        self.extra_cycles = 0;
        self.totals = Totals::default();
        self.calls = Default::default();
        (self.terminated, self.output, self.left) = (None, None, None);
    }

    /// Begins a segment.
    fn resume(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<(), StepError> {
        self.segment.first_step = vm.steps();
        self.segment.first_extra = self.extra_cycles;
        let [pc, mode] = [SUSPEND_PC, SUSPEND_MODE].map(|address| self.load_word(vm, context, address));
        let (pc, mode) = (pc?, mode?);
        if pc < LOWEST {
            return Err(illegal("a start of a segment at pc", pc));
        }
        vm.set_pc(pc);
        self.mode = mode;
        self.banks.switch(vm, mode != 0);
        for (index, word) in self.segment.input.into_iter().enumerate() {
            self.store_word(vm, context, GLOBAL_INPUT + 4 * index as u32, word)?;
        }
        self.segment.resumed = true;
        Ok(())
    }

    /// Stores pc, mode and registers in memory.
    fn suspend(&mut self, vm: &mut HartState<'_>, context: &mut Context<'_, R0vm>) -> Result<(), StepError> {
        let pc = vm.pc();
        self.store_word(vm, context, SUSPEND_PC, pc)?;
        self.store_word(vm, context, SUSPEND_MODE, self.mode)?;
        self.banks.write_out(vm);
        self.page_out(vm, context, vm.steps(), SYSTEM_PAGE)
    }

    /// Ends the last segment after the program has terminated. This segment is as small as possible.
    pub(super) fn last_segment(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
    ) -> Result<(), StepError> {
        self.suspend(vm, context)?;
        let po2 = self.segment_cycles(vm).next_power_of_two().ilog2();
        self.finish(vm, context, po2, 0)
    }

    /// Hands the segment over and prepares the next.
    fn finish(
        &mut self,
        vm: &mut HartState<'_>,
        context: &mut Context<'_, R0vm>,
        po2: u32,
        threshold: u32,
    ) -> Result<(), StepError> {
        let (user_cycles, paging_cycles) = (self.segment_user_cycles(vm), self.segment.paging_cycles);
        // The last check before an instruction has made sure that the segment is not full.
        let counted = |cycles| u32::try_from(cycles).map_err(|_| broken(format!("a segment of {cycles} cycles")));
        let (user, paging) = (counted(user_cycles)?, counted(paging_cycles)?);
        let pages = self.page_records(vm);
        let record = SegmentRecord {
            index: self.totals.segments,
            po2,
            threshold,
            user_cycles: user,
            paging_cycles: paging,
            pages,
            input: Digest(self.segment.input),
            output: self.output.map(Digest),
            terminate: self.terminated,
            reads: std::mem::take(&mut self.segment.reads),
            writes: std::mem::take(&mut self.segment.writes),
            povw_nonce: self.segment.povw.map(|job| job.nonce(self.totals.segments as u32)),
        };
        self.totals.segments += 1;
        self.totals.each.push(SegmentCycles { po2, user_cycles: user, paging_cycles: paging });
        self.totals.paging_cycles += paging_cycles;
        self.totals.total_cycles += 1 << po2;
        self.totals.reserved_cycles += (1u64 << po2).saturating_sub(user_cycles + paging_cycles);
        self.segment.paging_cycles = PAGING_START_CYCLES as u64;
        self.segment.resumed = false;
        self.close_pages(vm);
        context.surroundings.send(record)
    }

    /// Returns the pages that the segment touched, for a prover; empty if no records are kept.
    fn page_records(&mut self, vm: &HartState<'_>) -> Vec<TouchedPage> {
        if !self.segment.records {
            return Vec::new();
        }
        let mut kept = std::mem::take(&mut self.segment.kept);
        let mut pages: Vec<u32> = self.paging.touched().to_vec();
        pages.sort_unstable();
        let record = |page| match kept.remove(&page) {
            Some(before) => TouchedPage { page, before, after: Some(copy_page(vm, page)) },
            None => TouchedPage { page, before: copy_page(vm, page), after: None },
        };
        pages.into_iter().map(record).collect()
    }
}
