//! The shared caches of an executor on disk: they begin with the code that earlier processes left, and leave theirs.
//!
//! Code from disk is like code that another session compiled before. What is used must have been compiled from the
//! program's own words, in places where sessions share code. It must not know how files are laid out or checked.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use tachy_runtime::{Entry, page_of};

use super::{Caches, CodeCache, Sharing, host_isa_once};
use crate::interpreter::{PAGE_SLOTS, PageProfile};
use crate::jit::code::counters::Counters;
use crate::jit::code::disk::DiskCache;
use crate::jit::code::key::{Key, Subject};
use crate::jit::code::stored::{StoredCode, StoredMode};
use crate::trace::Level;

/// The code on disk of a program on one machine.
pub(super) struct OnDisk {
    folder: DiskCache,
    /// The name of the machine.
    machine: String,
    /// By level: whether there was code, once it was looked for.
    looked: [OnceLock<bool>; 2],
}

impl Caches {
    /// Takes shared code from this folder when a session first needs some, and leaves it there in the end. `machine`
    /// names the machine whose rules these are.
    pub(crate) fn on_disk(mut self, folder: &DiskCache, machine: String) -> Caches {
        // Code that is wrong on purpose is for this process alone.
        let is_wanted = self.shared.is_some() && !cfg!(feature = "wrong-lowerings");
        self.disk = is_wanted.then(|| OnDisk { folder: folder.clone(), machine, looked: Default::default() });
        self
    }

    /// Fills the shared caches for `level` with code from disk, unless that was tried before. Returns whether there was
    /// some. Counts its regions for the session that tries.
    pub(crate) fn load(&self, level: Level, counters: &Counters) -> bool {
        let Some(disk) = &self.disk else { return false };
        *disk.looked[level as usize].get_or_init(|| {
            let regions = self.load_from(disk, level).unwrap_or(0);
            Counters::add(&counters.regions_loaded, regions as u64);
            regions > 0
        })
    }

    /// Returns how many regions there were.
    fn load_from(&self, disk: &OnDisk, level: Level) -> Option<usize> {
        let key = self.key(disk, level)?;
        let content = disk.folder.read(&key, self.stored_bytes_max() as u64)?;
        let stored = match StoredCode::from_bytes(content.bytes()) {
            Ok(stored) if stored.modes.len() == self.rules.len() => stored,
            Ok(_) => {
                disk.folder.note_damaged(&key, "it is for another number of modes");
                return None;
            }
            Err(malformed) => {
                disk.folder.note_damaged(&key, malformed);
                return None;
            }
        };
        // Numbers are not used again, and each process adds some.
        let highest = stored.modes.iter().filter_map(|mode| mode.regions.last()).map(|region| region.number).max();
        if highest.is_some_and(|number| number >= Entry::REGIONS / 2) {
            return None;
        }
        let mut regions = 0;
        let mut profile = stored.profile;
        for (mode, stored) in stored.modes.into_iter().enumerate() {
            let stored = self.as_in_memory(stored);
            self.warm(&stored, &mut profile);
            regions += self.of_mode(mode, level, Sharing::Shared)?.resume(stored).unwrap_or(0);
        }
        if let Some(known) = &self.profile {
            known.keep(profile.iter().map(|page| (page.page, &page.hotness, page.ran)));
        }
        Some(regions)
    }

    /// Drops the regions whose words are not the program's, or not all where sessions share code. Sessions share code
    /// only while they have overwritten none of it.
    fn as_in_memory(&self, mut mode: StoredMode) -> StoredMode {
        let word = |pc: u32| {
            self.shared.as_ref().filter(|shared| shared.contains(pc))?;
            let segment = self.program.segment_at(pc)?;
            let first = (pc - segment.address) as usize;
            let byte = |at: usize| segment.data.get(first + at).copied().unwrap_or(0);
            Some(u32::from_le_bytes([0, 1, 2, 3].map(byte)))
        };
        mode.regions.retain(|region| region.is_of(word));
        mode
    }

    /// Makes the entries of these regions so hot in a profile that control looks for native code when it first gets
    /// there.
    fn warm(&self, mode: &StoredMode, profile: &mut Vec<PageProfile>) {
        let mut places: HashMap<u32, usize> =
            profile.iter().enumerate().map(|(place, page)| (page.page, place)).collect();
        for &(_, pc) in mode.regions.iter().flat_map(|region| &region.entries) {
            let page = page_of(pc);
            let place = *places.entry(page).or_insert_with(|| {
                profile.push(PageProfile { page, hotness: [0; PAGE_SLOTS], ran: Default::default() });
                profile.len() - 1
            });
            let hotness = &mut profile[place].hotness[pc as usize / 4 % PAGE_SLOTS];
            *hotness = (*hotness).max(self.options.threshold.max(1));
        }
    }

    /// Returns the largest size of code on disk. Code that nearly filled the memory would be replaced as soon as more is
    /// compiled.
    fn stored_bytes_max(&self) -> usize {
        self.options.code_bytes / 2
    }

    fn key(&self, disk: &OnDisk, level: Level) -> Option<Key> {
        let (isa, options) = (host_isa_once()?, &self.options);
        let OnDisk { machine, .. } = disk;
        Some(Key::new(&Subject { program: &self.program, machine, rules: self.rules, level, options, isa }))
    }

    /// Leaves the shared code on disk, if some of it is not there.
    pub(super) fn store(&self) {
        let Some(disk) = &self.disk else { return };
        for level in [Level::Off, Level::Rows] {
            let caches = self.caches.iter().map(|levels| levels[level as usize].get().cloned().flatten());
            let Some(caches) = caches.collect::<Option<Vec<Arc<CodeCache>>>>() else { continue };
            if !caches.iter().any(|cache| cache.registry().has_new()) {
                continue;
            }
            let Some(key) = self.key(disk, level) else { continue };
            let modes = caches.iter().map(|cache| cache.store()).collect();
            let profile = self.profile.as_ref().map_or_else(Vec::new, |profile| profile.pages());
            let content = StoredCode { modes, profile }.to_bytes();
            if content.len() <= self.stored_bytes_max() {
                disk.folder.write(&key, &content);
            }
        }
    }
}
