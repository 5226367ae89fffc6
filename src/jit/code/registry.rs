//! The registry of a cache: which entries are published and which regions are in progress. It decides who may compile
//! what, and whether a compiled region may still be published. It is locked only briefly, never while Cranelift works.
//!
//! A region is *reserved* before it is compiled, so that it is not compiled twice. The reservation ends with its job,
//! whatever the outcome. *Page epochs* decide whether the region may be published: each overwrite of a page's compiled
//! code advances the page's epoch. A job publishes only if no page of its code has advanced since the job was created.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use tachy_runtime::{Entry, page_of};

use super::cache::Generation;
use super::stored::{StoredMode, StoredRegion};
use crate::jit::analysis::merging::{Merges, Purpose, joins_others};
use crate::jit::analysis::region::Region;

/// The result of an attempt to reserve a region.
pub(crate) enum Reserved {
    /// It is reserved.
    Yes(Reservation),
    /// Another thread holds the registry right now, and the caller must not block.
    Busy,
    /// It is already reserved or published, there is nothing to compile, or a new generation has begun.
    No,
}

/// A region that only its owner compiles.
pub(crate) struct Reservation {
    /// The only strong reference: the session's `Translations` use it to see whether the region is in progress.
    pub(crate) region: Arc<Region>,
    pub(crate) purpose: Purpose,
    /// The region's number in the dispatch table.
    pub(crate) number: u32,
    /// Number of the generation for which it is compiled.
    pub(crate) generation: u32,
    /// The pages of its code and their epochs.
    epochs: Vec<(u32, u64)>,
}

/// The registry.
pub(crate) struct Registry {
    /// The current generation.
    pub(crate) generation: Generation,
    /// Number of the next region; 0 means no region.
    next_region: u32,
    /// Entries of regions in progress, with the region's number.
    under_way: HashMap<u32, u32>,
    /// Entries of regions that Cranelift refused, so that they are not requested again.
    refused: HashSet<u32>,
    merges: Merges,
    /// How often compiled code of a page was overwritten. Entries are never removed, so that no job of an earlier
    /// generation mistakes its epoch.
    epochs: HashMap<u32, u64>,
    /// Copies of the published regions, if they are kept for other processes.
    kept: Option<Kept>,
}

/// Copies of published regions.
#[derive(Default)]
struct Kept {
    /// In ascending order of their numbers.
    regions: BTreeMap<u32, StoredRegion>,
    /// Whether some of them are not on disk.
    is_new: bool,
}

impl Registry {
    /// Creates the registry of an empty cache, which keeps copies of its regions if it `keeps`.
    pub(crate) fn new(generation: Generation, keeps: bool) -> Registry {
        let (under_way, refused, merges, epochs) = Default::default();
        let kept = keeps.then(Kept::default);
        Registry { generation, next_region: 1, under_way, refused, merges, epochs, kept }
    }

    /// Continues with an empty code memory.
    pub(crate) fn begin(&mut self, generation: Generation) {
        let epochs = std::mem::take(&mut self.epochs);
        *self = Registry { epochs, ..Registry::new(generation, self.kept.is_some()) };
    }

    /// Keeps a copy of a region that is being published, if copies are kept.
    pub(crate) fn keep(&mut self, region: impl FnOnce() -> StoredRegion) {
        if let Some(kept) = &mut self.kept {
            let region = region();
            kept.regions.insert(region.number, region);
            kept.is_new = true;
        }
    }

    /// Continues with the regions of another process, which are published already. Nothing was reserved before.
    pub(crate) fn resume(&mut self, mode: StoredMode) {
        self.next_region = mode.regions.last().map_or(1, |region| region.number + 1);
        self.merges.resume(&mode.merges);
        if let Some(kept) = &mut self.kept {
            kept.regions = mode.regions.into_iter().map(|region| (region.number, region)).collect();
        }
    }

    /// Returns whether there are regions that are not on disk.
    pub(crate) fn has_new(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.is_new)
    }

    /// Returns the regions that control can enter, each with the entries that lead to it, to be stored. From now on
    /// they count as stored.
    pub(crate) fn store(&mut self) -> StoredMode {
        let mut regions = Vec::new();
        if let Some(kept) = &mut self.kept {
            kept.is_new = false;
            for region in kept.regions.values() {
                let leads_here = |&(_, pc): &(u32, u32)| {
                    self.generation.code.entry(pc).is_some_and(|entry| entry.region() == region.number)
                };
                let entries: Vec<_> = region.entries.iter().copied().filter(leads_here).collect();
                if !entries.is_empty() {
                    regions.push(StoredRegion { entries, ..region.clone() });
                }
            }
        }
        StoredMode { regions, merges: self.merges.counts(), targets: Vec::new() }
    }

    /// Returns whether all numbers of regions are taken.
    pub(crate) fn is_out_of_numbers(&self) -> bool {
        self.next_region == Entry::REGIONS
    }

    /// Returns whether `pc` is an entry, is about to be one, or cannot be one.
    pub(crate) fn has_entry(&self, pc: u32) -> bool {
        self.is_published(pc) || self.under_way.contains_key(&pc) || self.refused.contains(&pc)
    }

    fn is_published(&self, pc: u32) -> bool {
        self.generation.code.entry(pc).is_some()
    }

    /// Returns whether the region at `pc` is published and may be merged with others.
    pub(crate) fn may_merge(&self, pc: u32) -> bool {
        self.is_published(pc) && !self.under_way.contains_key(&pc) && self.merges.may_merge(pc)
    }

    /// Returns whether a region at `pc` is wanted for this purpose.
    pub(crate) fn wants(&self, pc: u32, purpose: Purpose) -> bool {
        match purpose {
            Purpose::New => !self.has_entry(pc),
            Purpose::Merge => self.may_merge(pc),
        }
    }

    /// Reserves `region`, which was discovered at a wanted pc. Returns `None` for a merge that would merge nothing.
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
        pages.sort_unstable();
        pages.dedup();
        let epochs = pages.into_iter().map(|page| (page, self.epoch(page))).collect();
        Some(Reservation { region: Arc::new(region), purpose, number, generation: self.generation.number, epochs })
    }

    /// Returns whether `region` would replace more than the region at its own first entry.
    fn joins(&self, region: &Region) -> bool {
        joins_others(region, |pc| self.generation.code.entry(pc).map(Entry::region))
    }

    /// Counts an attempt to merge others into the region at `pc`.
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

    /// Remembers that a region cannot be compiled.
    pub(crate) fn refuse(&mut self, reservation: &Reservation) {
        if self.generation.number == reservation.generation {
            self.refused.extend(reservation.region.entry_pcs());
        }
    }

    /// Returns whether the region may be published: its generation is the current one, and its code was not
    /// overwritten.
    pub(crate) fn may_publish(&self, reservation: &Reservation) -> bool {
        let Reservation { generation, epochs, .. } = reservation;
        self.generation.number == *generation && epochs.iter().all(|&(page, epoch)| self.epoch(page) == epoch)
    }

    /// Returns the entries that the region takes. Entries of older regions stay, because these were compiled for them,
    /// unless this one merges them.
    pub(crate) fn entries_for<'a>(&'a self, reservation: &'a Reservation) -> impl Iterator<Item = (u32, u32)> + 'a {
        let entries = (0..Entry::ENTRIES).zip(reservation.region.entry_pcs());
        entries.filter(move |&(_, pc)| {
            let is_own = self.under_way.get(&pc) == Some(&reservation.number);
            is_own && (reservation.purpose == Purpose::Merge || !self.is_published(pc))
        })
    }

    /// Records that code in the page of `address` is overwritten: code in progress from that page will not be
    /// published.
    pub(crate) fn write_over(&mut self, address: u32) {
        *self.epochs.entry(page_of(address)).or_insert(0) += 1;
    }

    fn epoch(&self, page: u32) -> u64 {
        self.epochs.get(&page).copied().unwrap_or(0)
    }
}
