//! Decoded instructions by page: the interpreter runs on them. Writes to code invalidate them word by word.
//!
//! It must not know what instructions do. Each page also counts how often control entered each of its instructions, for
//! code that needs to know what is hot.
#![expect(
    clippy::indexing_slicing,
    reason = "slots of pages that are held, by parts of an address; once a step, and never by what a page holds"
)]

use std::sync::Arc;

use tachy_runtime::{HartState, PAGES, PageState, Slot, page_of};

use super::profile::{PAGE_SLOTS, Profile, Ran};
use crate::decode::decode;
use crate::isa::{Class, Op, Variant};
use crate::rules::Rules;

/// Maximum number of pages held; one more, and all are dropped. Each takes 2.5 KiB with counts, so at most 30 MiB.
const PAGES_HELD: usize = 12 * 1024;

/// Replaces a count: the tier has found something to run at the address, and that is entered instead.
pub(crate) const ENTERED: u16 = u16::MAX;
const LARGEST: u16 = ENTERED - 1;

/// Pages that one chunk of the index covers: a megabyte of guest memory.
const CHUNK_PAGES: usize = 1024;

/// An instruction ready to run: register numbers and absent operands are resolved to slots, the immediate is extended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoded {
    pub(super) code: Code,
    pub(super) rd: Slot,
    pub(super) rs1: Slot,
    pub(super) rs2: Slot,
    pub(super) imm: u32,
}

/// The contents of a slot of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Not decoded since it was last written.
    Unknown,
    /// Not an instruction.
    Illegal,
    /// A decoded operation.
    Op(Op),
}

const UNKNOWN: Decoded = Decoded { code: Code::Unknown, rd: Slot::NOWHERE, rs1: Slot::ZERO, rs2: Slot::ZERO, imm: 0 };

/// The cache.
pub(crate) struct DecodedPages {
    variant: Variant,
    /// The bits of a page's state that allow stores, in all modes.
    writes: PageState,
    /// For each guest page, 1 + the index of its slots and counts, or 0.
    ///
    /// The index consists of chunks, which are allocated when their first page is held. One flat table would be 16 MiB,
    /// and a recycling allocator would have to clear it for each session.
    index: Vec<Option<Box<[u32; CHUNK_PAGES]>>>,
    slots: Vec<[Decoded; PAGE_SLOTS]>,
    hotness: Vec<[u16; PAGE_SLOTS]>,
    /// Number of pages held.
    held: usize,
    /// The profile of earlier sessions; `ran` holds what ran in them, for each held page.
    profile: Option<Arc<Profile>>,
    /// From this count on, the tier waits for powers of two. A count that earlier sessions brought this far resumes
    /// just before a power of two.
    threshold: u16,
    ran: Vec<Ran>,
}

/// Index of a held page's slots and counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held(usize);

impl DecodedPages {
    /// Creates an empty cache. When dropped, it adds what it learned to `profile`. From `threshold` on, the tier looks
    /// at counts that are powers of two.
    pub(crate) fn new(
        variant: Variant,
        rules: &[Rules],
        profile: Option<Arc<Profile>>,
        threshold: u16,
    ) -> DecodedPages {
        let index = (0..PAGES as usize / CHUNK_PAGES).map(|_| None).collect();
        let writes = rules.iter().fold(PageState::default(), |writes, rules| writes.with(rules.write));
        let (slots, hotness, held, ran) = Default::default();
        DecodedPages { variant, writes, index, slots, hotness, held, profile, threshold, ran }
    }

    /// Returns the page of `pc`, and holds it from now on.
    #[inline]
    pub(super) fn hold(&mut self, pc: u32) -> Held {
        self.find(pc).unwrap_or_else(|| self.hold_new(page_of(pc)))
    }

    /// Returns the page's entry in the index.
    #[inline]
    fn place(&self, page: u32) -> u32 {
        let (chunk, entry) = split(page);
        self.index[chunk].as_ref().map_or(0, |places| places[entry])
    }

    #[cold]
    fn hold_new(&mut self, page: u32) -> Held {
        if self.held == PAGES_HELD {
            self.remember();
            self.index.fill(None);
            self.held = 0;
            self.ran.clear();
            self.slots.clear();
            self.hotness.clear();
        }
        let mut hotness = [0; PAGE_SLOTS];
        if let Some(profile) = &self.profile {
            self.ran.push(profile.recall(page, &mut hotness));
            for hotness in hotness.iter_mut().filter(|hotness| **hotness >= self.threshold.max(1)) {
                *hotness = u16::MAX >> 1 >> (*hotness).min(u16::MAX >> 1).leading_zeros().saturating_sub(1);
            }
        }
        self.slots.push([UNKNOWN; PAGE_SLOTS]);
        self.hotness.push(hotness);
        self.held += 1;
        let (chunk, entry) = split(page);
        self.index[chunk].get_or_insert_with(|| Box::new([0; CHUNK_PAGES]))[entry] = self.held as u32;
        Held(self.held - 1)
    }

    /// Returns the instruction at `pc`, which lies in the page `held`.
    #[inline(always)]
    pub(super) fn get(&self, held: Held, pc: u32) -> Decoded {
        self.page(held)[slot_of(pc)]
    }

    /// Returns the instructions of the page `held`.
    #[inline(always)]
    pub(super) fn page(&self, held: Held) -> &[Decoded; PAGE_SLOTS] {
        &self.slots[held.0]
    }

    /// Decodes the word at `pc` and marks its page as holding code.
    #[cold]
    pub(super) fn decode(&mut self, held: Held, pc: u32, vm: &mut HartState<'_>) -> Decoded {
        self.mark_code(vm, pc);
        let decoded = match decode(vm.word(pc), self.variant) {
            None => Decoded { code: Code::Illegal, ..UNKNOWN },
            Some(instruction) => {
                let line = instruction.op.line();
                let source = |present, number| if present { Slot::x(number) } else { Slot::ZERO };
                let rd = match instruction.rd {
                    // Branches set x0 to 0.
                    0 if line.format.has_rd() || line.class == Class::Branch => Slot::SHUNT,
                    0 => Slot::NOWHERE,
                    number => Slot::x(number),
                };
                let [rs1, rs2] =
                    [source(line.format.has_rs1(), instruction.rs1), source(line.format.has_rs2(), instruction.rs2)];
                Decoded { code: Code::Op(instruction.op), rd, rs1, rs2, imm: instruction.imm }
            }
        };
        self.slots[held.0][slot_of(pc)] = decoded;
        decoded
    }

    /// Makes stores into the page of `address` ask from now on.
    pub(crate) fn mark_code(&self, vm: &mut HartState<'_>, address: u32) {
        let state = vm.page_state(address);
        if !state.contains(PageState::CODE) {
            vm.set_page_state(address, state.with(PageState::CODE).without(self.writes));
        }
    }

    /// Forgets the word at `address`, which is about to be written.
    pub(crate) fn forget(&mut self, address: u32) {
        if let Some(Held(page)) = self.find(address) {
            self.slots[page][slot_of(address)].code = Code::Unknown;
        }
    }

    /// Returns whether the instruction at `pc` has run since it was last written, in this session or an earlier one.
    pub(crate) fn was_run(&self, pc: u32) -> bool {
        let slot = slot_of(pc);
        self.find(pc).is_some_and(|Held(page)| {
            let ran_before = || self.ran.get(page).is_some_and(|ran| ran[slot / 64] >> (slot % 64) & 1 != 0);
            self.slots[page][slot].code != Code::Unknown || ran_before()
        })
    }

    /// Passes what is known about the held pages on to later sessions.
    fn remember(&self) {
        let Some(profile) = &self.profile else { return };
        let mut pages = vec![0; self.held];
        for (chunk, places) in self.index.iter().enumerate() {
            for (entry, place) in places.iter().flat_map(|places| places.iter().enumerate()) {
                if *place != 0 {
                    pages[*place as usize - 1] = (chunk * CHUNK_PAGES + entry) as u32;
                }
            }
        }
        let slots = self.slots.iter().zip(&self.hotness).zip(&self.ran);
        profile.keep(pages.into_iter().zip(slots).map(|(page, ((slots, hotness), ran))| {
            let mut ran = *ran;
            for (slot, decoded) in slots.iter().enumerate() {
                ran[slot / 64] |= ((decoded.code != Code::Unknown) as u64) << (slot % 64);
            }
            (page, hotness, ran)
        }));
    }

    /// Counts that control entered `pc`, which lies in the page `held`. Returns the count so far, or [`ENTERED`].
    ///
    /// The largest count is followed by 32,768, so that code that looks at powers of two looks again.
    #[inline(always)]
    pub(crate) fn count(&mut self, held: Held, pc: u32) -> u16 {
        let hotness = &mut self.hotness[held.0][slot_of(pc)];
        *hotness = match *hotness {
            ENTERED => ENTERED,
            LARGEST => 1 << 15,
            less => less + 1,
        };
        *hotness
    }

    /// Counts like [`DecodedPages::count`]; the page need not be held.
    pub(crate) fn count_at(&mut self, pc: u32) -> u16 {
        let held = self.hold(pc);
        self.count(held, pc)
    }

    /// Returns how often control entered `pc`; 0 if its page is not held.
    pub(crate) fn hotness(&self, pc: u32) -> u16 {
        self.find(pc).map_or(0, |Held(page)| self.hotness[page][slot_of(pc)])
    }

    /// Sets how often control entered `pc`, if its page is held.
    pub(crate) fn set_hotness(&mut self, pc: u32, hotness: u16) {
        if let Some(Held(page)) = self.find(pc) {
            self.hotness[page][slot_of(pc)] = hotness;
        }
    }

    /// Returns the page of `address`, if it is held.
    #[inline]
    fn find(&self, address: u32) -> Option<Held> {
        (self.place(page_of(address)) as usize).checked_sub(1).map(Held)
    }
}

impl Drop for DecodedPages {
    fn drop(&mut self) {
        self.remember();
    }
}

/// Returns where a page's entry of the index is: its chunk, and its place in the chunk.
fn split(page: u32) -> (usize, usize) {
    (page as usize / CHUNK_PAGES, page as usize % CHUNK_PAGES)
}

fn slot_of(address: u32) -> usize {
    (address as usize / 4) % PAGE_SLOTS
}
