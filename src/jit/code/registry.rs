//! The registry of a cache: which entries are published and which regions are under way. It decides who may compile what,
//! and whether a region that was compiled meanwhile may still be published. It is locked for moments only, never while
//! Cranelift works.
//!
//! A region is *reserved* before it is translated, so that nobody translates it a second time. The reservation ends with
//! its job, whatever becomes of that. Whether the region may be published is decided by *page epochs*: each time that
//! translated code of a page is written over, the page's epoch moves, and a job publishes only if no page of its code has
//! moved since it was made.

use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use tachy_runtime::{Entry, page_of};

use super::cache::Generation;
use crate::jit::analysis::merging::{Merges, Purpose, joins_others};
use crate::jit::analysis::region::Region;

/// What was found when a region was to be reserved.
pub(crate) enum Reserved {
    /// It is reserved.
    Yes(Reservation),
    /// Another thread is at the registry just now, and nobody waits to translate.
    Busy,
    /// Someone has it already, there is nothing to translate, or a new generation has begun.
    No,
}

/// A region that nobody else will translate.
pub(crate) struct Reservation {
    /// Held by nobody else: the session's `Translations` see by that whether it is under way.
    pub(crate) region: Arc<Region>,
    pub(crate) purpose: Purpose,
    /// What the dispatch table calls it.
    pub(crate) number: u32,
    /// Number of the generation that it is made for.
    pub(crate) generation: u32,
    /// The pages of its code and their epochs.
    epochs: Vec<(u32, u64)>,
}

/// The registry.
pub(crate) struct Registry {
    /// The code memory that is being filled.
    pub(crate) generation: Generation,
    /// Number of the next region; 0 is none.
    next_region: u32,
    /// Entries of regions under way, with the region's number.
    under_way: HashMap<u32, u32>,
    /// Entries of regions that Cranelift refused, so that nobody asks again.
    refused: HashSet<u32>,
    merges: Merges,
    /// How often translated code of a page was written over, as far as it was; never forgotten, so that no job of an
    /// earlier generation mistakes its epoch.
    epochs: HashMap<u32, u64>,
}

impl Registry {
    /// The registry of a cache with nothing in it.
    pub(crate) fn new(generation: Generation) -> Registry {
        let (under_way, refused, merges, epochs) = Default::default();
        Registry { generation, next_region: 1, under_way, refused, merges, epochs }
    }

    /// Goes on in an empty code memory.
    pub(crate) fn begin(&mut self, generation: Generation) {
        let epochs = std::mem::take(&mut self.epochs);
        *self = Registry { epochs, ..Registry::new(generation) };
    }

    /// Whether all numbers of regions are taken.
    pub(crate) fn is_out_of_numbers(&self) -> bool {
        self.next_region == Entry::REGIONS
    }

    /// Whether `pc` is an entry already, is about to be, or cannot be.
    pub(crate) fn has_entry(&self, pc: u32) -> bool {
        self.is_published(pc) || self.under_way.contains_key(&pc) || self.refused.contains(&pc)
    }

    fn is_published(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
    }

    /// Whether the region at `pc` is published and may be merged with others.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.is_published(pc) && !self.under_way.contains_key(&pc) && self.merges.may_merge(pc)
    }

    /// Whether a region at `pc` is wanted for this reason.
    pub(crate) fn wants(&self, pc: u32, purpose: Purpose) -> bool {
        match purpose {
            Purpose::New => !self.has_entry(pc),
            Purpose::Merge => self.may_merge(pc),
        }
    }

    /// Reserves `region`, which was discovered at a pc that is wanted; `None` where a merge would join nothing.
    pub(crate) fn reserve(&mut self, region: Region, purpose: Purpose) -> Option<Reservation> {
        if purpose == Purpose::Merge && !self.joins(&region) {
            self.count_merge(region.entry);
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
        Some(Reservation { region: Arc::new(region), purpose, number, generation: self.generation.number, epochs })
    }

    /// Whether `region` would take the place of more than the region at its own first entry.
    fn joins(&self, region: &Region) -> bool {
        joins_others(region, |pc| self.generation.code.entry(pc).map(Entry::region))
    }

    /// Counts that work is done to merge others into the region at `pc`.
    pub(crate) fn count_merge(&mut self, pc: u32) {
        self.merges.count(pc);
    }

    /// Ends a reservation.
    pub(crate) fn release(&mut self, reservation: &Reservation) {
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
    pub(crate) fn refuse(&mut self, reservation: &Reservation) {
        if self.generation.number == reservation.generation {
            self.refused.extend(reservation.region.entry_pcs());
        }
    }

    /// Whether the region may be published: its generation is the current one, and nobody has written over its code.
    pub(crate) fn may_publish(&self, reservation: &Reservation) -> bool {
        let Reservation { generation, epochs, .. } = reservation;
        self.generation.number == *generation && epochs.iter().all(|&(page, epoch)| self.epoch(page) == epoch)
    }

    /// The entries that the region takes: those of older regions stay, they were made for them, unless this one merges
    /// them.
    pub(crate) fn entries_for<'a>(&'a self, reservation: &'a Reservation) -> impl Iterator<Item = (u32, u32)> + 'a {
        let entries = (0..Entry::ENTRIES).zip(reservation.region.entry_pcs());
        entries.filter(move |&(_, pc)| {
            let is_own = self.under_way.get(&pc) == Some(&reservation.number);
            is_own && (reservation.purpose == Purpose::Merge || !self.is_published(pc))
        })
    }

    /// Code of the page of `address` is written over: what is being translated of it will not be published.
    pub(crate) fn write_over(&mut self, address: u32) {
        *self.epochs.entry(page_of(address)).or_insert(0) += 1;
    }

    fn epoch(&self, page: u32) -> u64 {
        self.epochs.get(&page).copied().unwrap_or(0)
    }
}
