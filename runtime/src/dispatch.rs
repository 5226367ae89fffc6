//! Maps a guest pc to the native code that starts there. Indirect jumps look the table up without leaving native code.
//!
//! The table has two levels: 65,536 pointers by the pc's high half, each to 16,384 words by bits 15..2 of the pc. All
//! chunks of the address space without an entry share one chunk of zeros, so that native code never tests a pointer.
//! Before the first entry, no native code runs and the pointers are null: a program that never gets hot does not touch
//! the half megabyte of pointers. Any number of harts read while one writer at a time publishes.
#![expect(clippy::indexing_slicing, reason = "both levels, by as many bits of a pc as they have entries")]

use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Words of a second-level chunk: one per possible instruction in 64 KiB.
const CHUNK_WORDS: usize = 1 << 14;
/// First-level pointers: one per 64 KiB of the address space.
const CHUNKS: usize = 1 << 16;
/// Maximum number of chunks with entries: 128 MiB. A guest can have code anywhere, but this memory is not counted
/// against its limits.
const FILLED_CHUNKS: usize = 1 << 10;

/// Where native code for a pc starts: an offset in code memory, the region, and the number of the entry in that region.
/// They are packed into one word, so that one store publishes them; the zero word is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry(u64);

impl Entry {
    /// Number of regions that one code memory can distinguish.
    pub const REGIONS: u32 = 1 << 20;
    /// Number of entries that one region can distinguish.
    pub const ENTRIES: u32 = 1 << 12;
    /// Right shift that leaves an entry's region number with its entry number below it.
    pub const ENTRY_SHIFT: u32 = 32;
    /// Right shift that leaves an entry's region number.
    pub const REGION_SHIFT: u32 = 44;

    /// Returns the number of the region that it leads to.
    pub fn region(self) -> u32 {
        (self.0 >> Entry::REGION_SHIFT) as u32
    }

    pub(crate) fn new(offset: u32, region: u32, entry: u32) -> Entry {
        assert!(offset != 0 && region < Entry::REGIONS && entry < Entry::ENTRIES, "entry out of range");
        Entry((region as u64) << Entry::REGION_SHIFT | (entry as u64) << Entry::ENTRY_SHIFT | offset as u64)
    }
}

/// A chunk of entries. It is not a Box, because look-ups and native code hold its address, and moving a Box invalidates
/// what that address may do.
struct Chunk(NonNull<AtomicU64>);

// SAFETY: it owns its words, and they are atomic.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// Allocates a zeroed chunk. Its 128 KiB come untouched from the system, so only pages with entries cost memory.
    fn zeroed() -> Chunk {
        let words: Box<[AtomicU64]> = bytemuck::zeroed_slice_box(CHUNK_WORDS);
        Chunk(NonNull::from(Box::leak(words)).cast())
    }

    fn address(&self) -> *mut AtomicU64 {
        self.0.as_ptr()
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `zeroed` allocated this many words, and they live until `drop`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr(), CHUNK_WORDS) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `zeroed` leaked this very slice, and a table drops its chunks when no look-up can happen any more.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.0.as_ptr(), CHUNK_WORDS)) });
    }
}

/// The table. An entry is published with one Release store.
pub(crate) struct DispatchTable {
    /// Read by native code: `&chunk[0]` for each 64 KiB of guest addresses.
    heads: Box<[AtomicPtr<AtomicU64>]>,
    /// Chunks with entries, by the high half of the pc. They live as long as the table.
    chunks: Mutex<BTreeMap<u16, Chunk>>,
    /// The target of all other heads once there is an entry. Never written.
    empty: Chunk,
}

impl DispatchTable {
    /// Creates a table without entries.
    pub(crate) fn new() -> DispatchTable {
        DispatchTable { heads: bytemuck::zeroed_slice_box(CHUNKS), chunks: Mutex::default(), empty: Chunk::zeroed() }
    }

    /// Returns the entry at `pc`, if there is one.
    #[inline]
    pub(crate) fn get(&self, pc: u32) -> Option<Entry> {
        if !pc.is_multiple_of(4) {
            return None;
        }
        let chunk = self.heads[(pc >> 16) as usize].load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: each non-null head points to a chunk of CHUNK_WORDS words that lives as long as the table, and the
        // index is below that.
        let word = unsafe { &*chunk.add(word_index(pc)) }.load(Ordering::Acquire);
        (word != 0).then_some(Entry(word))
    }

    /// Returns whether there is room for this many more entries, wherever they are.
    pub(crate) fn has_room(&self, entries: usize) -> bool {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner).len() + entries <= FILLED_CHUNKS
    }

    /// Publishes `entry` at `pc`, a multiple of 4.
    pub(crate) fn set(&self, pc: u32, entry: Entry) {
        let high = (pc >> 16) as u16;
        // A panic while the lock was held left the map unchanged.
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if chunks.is_empty() {
            // The first head is stored last: a reader that sees it non-null sees all others non-null, too.
            self.heads.iter().rev().for_each(|head| head.store(self.empty.address(), Ordering::Release));
        }
        let chunk = chunks.entry(high).or_insert_with(|| {
            let chunk = Chunk::zeroed();
            self.heads[high as usize].store(chunk.address(), Ordering::Release);
            chunk
        });
        chunk.words()[word_index(pc)].store(entry.0, Ordering::Release);
    }

    /// Removes the entry at `pc`, if there is one.
    pub(crate) fn clear(&self, pc: u32) {
        let chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chunk) = chunks.get(&((pc >> 16) as u16)) {
            chunk.words()[word_index(pc)].store(0, Ordering::Release);
        }
    }

    /// Returns the heads as native code reads them, none of them null; `None` until there has been an entry.
    pub(crate) fn heads(&self) -> Option<*const u8> {
        let is_filled = self.heads.first().is_some_and(|head| !head.load(Ordering::Acquire).is_null());
        is_filled.then_some(self.heads.as_ptr().cast())
    }
}

fn word_index(pc: u32) -> usize {
    (pc >> 2) as usize & (CHUNK_WORDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_there_once_there_was_an_entry() {
        let table = DispatchTable::new();
        assert!(table.heads().is_none() && table.get(0).is_none() && table.get(0xffff_fffc).is_none());
        // There is nothing to remove, and nothing to fill for it.
        table.clear(0x1_0000);
        assert!(table.heads().is_none());
        let entry = Entry::new(32, 1, 2);
        table.set(0x1_0000, entry);
        assert_eq!((table.get(0x1_0000), table.get(0x1_0004), table.get(0x1_0002)), (Some(entry), None, None));
        assert!(table.heads().is_some());
        assert!(table.heads.iter().all(|head| !head.load(Ordering::Relaxed).is_null()));
        table.set(0x2_0000, entry);
        assert_eq!((table.get(0x1_0000), table.get(0x2_0000)), (Some(entry), Some(entry)));
        table.clear(0x1_0000);
        assert!(table.get(0x1_0000).is_none() && table.get(0x2_0000).is_some() && table.heads().is_some());
    }

    #[test]
    fn there_is_room_for_so_many_places_far_apart() {
        let table = DispatchTable::new();
        assert!(table.has_room(FILLED_CHUNKS) && !table.has_room(FILLED_CHUNKS + 1));
        // Two to a chunk.
        (0..20).for_each(|place| table.set(place << 15, Entry::new(32, 1, 2)));
        assert!(table.has_room(FILLED_CHUNKS - 10) && !table.has_room(FILLED_CHUNKS - 9));
    }
}
