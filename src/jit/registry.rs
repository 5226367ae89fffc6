//! What is published in a cache's code memory and what is under way: who may translate what, and whether a region that
//! was translated meanwhile may still be published. Held for moments, never while Cranelift works.
//!
//! A region is *reserved* before it is translated, so that nobody translates it a second time. The reservation ends with
//! its job, whatever becomes of that. Whether the region may be published is decided by *page epochs*: each time that
//! translated code of a page is written over, the page's epoch moves, and a job publishes only if no page of its code has
//! moved since it was made.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use tachy_runtime::{Entry, page_of};

use super::cache::Generation;
use super::region::Region;

/// Times that a region is grown anew, at the most: a program may do one thing after the other, and must not keep the
/// translator busy for ever.
const REGROWTHS: u8 = 4;

/// Why a region is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// There is none at its entry.
    New,
    /// In place of the one at its entry, which control often comes to from others: over what is in those, too, so that
    /// indirect jumps to any of its entries stay inside.
    Anew,
}

/// What was found when a region was to be reserved.
pub(super) enum Reserved {
    /// It is reserved.
    Yes(Reservation),
    /// Another thread is at the registry just now, and nobody waits to translate.
    Busy,
    /// Someone has it already, there is nothing to translate, or a new generation has begun.
    No,
}

/// A region that nobody else will translate.
pub(super) struct Reservation {
    /// Held by nobody else: the session's book of translations sees by that whether it is under way.
    pub(super) region: Arc<Region>,
    pub(super) growth: Growth,
    /// What the dispatch table calls it.
    pub(super) number: u32,
    /// Number of the generation that it is made for.
    pub(super) generation: u32,
    /// The pages of its code and their epochs.
    epochs: Vec<(u32, u64)>,
}

/// The registry.
pub(super) struct Registry {
    /// The code memory that is being filled.
    pub(super) generation: Generation,
    /// Number of the next region; 0 is none.
    next_region: u32,
    /// Entries of regions under way, with the region's number.
    under_way: HashMap<u32, u32>,
    /// Entries of regions that Cranelift refused, so that nobody asks again.
    refused: HashSet<u32>,
    /// How often regions were grown anew, by their entries.
    regrown: HashMap<u32, u8>,
    /// How often translated code of a page was written over, as far as it was; never forgotten, so that no job of an
    /// earlier generation mistakes its epoch.
    epochs: HashMap<u32, u64>,
}

impl Registry {
    /// The registry of a cache with nothing in it.
    pub(super) fn new(generation: Generation) -> Registry {
        let (under_way, refused, regrown, epochs) = Default::default();
        Registry { generation, next_region: 1, under_way, refused, regrown, epochs }
    }

    /// Goes on in an empty code memory.
    pub(super) fn begin(&mut self, generation: Generation) {
        let epochs = std::mem::take(&mut self.epochs);
        *self = Registry { epochs, ..Registry::new(generation) };
    }

    /// Whether all numbers of regions are taken.
    pub(super) fn is_out_of_numbers(&self) -> bool {
        self.next_region == Entry::REGIONS
    }

    /// Whether `pc` is an entry already, is about to be, or cannot be.
    pub(super) fn has_entry(&self, pc: u32) -> bool {
        self.is_published(pc) || self.under_way.contains_key(&pc) || self.refused.contains(&pc)
    }

    fn is_published(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
    }

    /// Whether the region at `pc` is there and may be grown anew.
    pub(super) fn may_regrow(&self, pc: u32) -> bool {
        self.is_published(pc)
            && !self.under_way.contains_key(&pc)
            && self.regrown.get(&pc).is_none_or(|&times| times < REGROWTHS)
    }

    /// Whether a region at `pc` is wanted for this reason.
    pub(super) fn wants(&self, pc: u32, growth: Growth) -> bool {
        match growth {
            Growth::New => !self.has_entry(pc),
            Growth::Anew => self.may_regrow(pc),
        }
    }

    /// Reserves `region`, which was grown for a pc that is wanted; `None` where growing it anew would join nothing.
    pub(super) fn reserve(&mut self, region: Region, growth: Growth) -> Option<Reservation> {
        if growth == Growth::Anew && !self.joins(&region) {
            self.count_regrowth(&region);
            return None;
        }
        let number = self.next_region;
        self.next_region += 1;
        for pc in region.entry_pcs() {
            self.under_way.entry(pc).or_insert(number);
        }
        let mut pages: Vec<u32> = region.pcs().map(page_of).collect();
        pages.dedup();
        let epochs = pages.into_iter().map(|page| (page, self.epoch(page))).collect();
        Some(Reservation { region: Arc::new(region), growth, number, generation: self.generation.number, epochs })
    }

    /// Whether `region` has what can be entered in another region, but for the one at its own first entry.
    fn joins(&self, region: &Region) -> bool {
        let region_at = |pc: u32| self.generation.code.entry(pc).map(Entry::region);
        let own = region.entry_pcs().next().and_then(region_at);
        region.blocks.iter().any(|block| region_at(block.pc).is_some_and(|other| Some(other) != own))
    }

    /// Counts that work is done to grow `region` anew.
    pub(super) fn count_regrowth(&mut self, region: &Region) {
        if let Some(pc) = region.entry_pcs().next() {
            let times = self.regrown.entry(pc).or_insert(0);
            *times = times.saturating_add(1);
        }
    }

    /// Ends a reservation.
    pub(super) fn release(&mut self, reservation: &Reservation) {
        if self.generation.number != reservation.generation {
            return;
        }
        for pc in reservation.region.entry_pcs() {
            if self.under_way.get(&pc) == Some(&reservation.number) {
                self.under_way.remove(&pc);
            }
        }
    }

    /// Remembers that a region cannot be translated.
    pub(super) fn refuse(&mut self, reservation: &Reservation) {
        if self.generation.number == reservation.generation {
            self.refused.extend(reservation.region.entry_pcs());
        }
    }

    /// Whether the region may be published: its generation is the current one, and nobody has written over its code.
    pub(super) fn may_publish(&self, reservation: &Reservation) -> bool {
        let Reservation { generation, epochs, .. } = reservation;
        self.generation.number == *generation && epochs.iter().all(|&(page, epoch)| self.epoch(page) == epoch)
    }

    /// The entries that the region takes: those of older regions stay, they were made for them, unless this one has grown
    /// over them.
    pub(super) fn entries_for<'a>(&'a self, reservation: &'a Reservation) -> impl Iterator<Item = (u32, u32)> + 'a {
        let entries = (0..Entry::ENTRIES).zip(reservation.region.entry_pcs());
        entries.filter(move |&(_, pc)| {
            let is_own = self.under_way.get(&pc) == Some(&reservation.number);
            is_own && (reservation.growth == Growth::Anew || !self.is_published(pc))
        })
    }

    /// Code of the page of `address` is written over: what is being translated of it will not be published.
    pub(super) fn write_over(&mut self, address: u32) {
        *self.epochs.entry(page_of(address)).or_insert(0) += 1;
    }

    fn epoch(&self, page: u32) -> u64 {
        self.epochs.get(&page).copied().unwrap_or(0)
    }
}
