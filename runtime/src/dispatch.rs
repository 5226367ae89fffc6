//! From a guest pc to the native code that starts there: the table that indirect jumps look up without leaving
//! native code.
//!
//! Two levels: 65,536 pointers by the pc's high half, each to 16,384 words by bits 15..2 of the pc. A chunk of the
//! address space with no entry points to one shared chunk of zeros, so a look-up never tests a pointer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a second-level chunk: one per possible instruction in 64 KiB.
const CHUNK_WORDS: usize = 1 << 14;
/// First-level pointers: one per 64 KiB of the address space.
const CHUNKS: usize = 1 << 16;

/// Where native code for a pc starts: an offset in code memory, the region it belongs to, and which of the region's
/// entries it is. Packed into one word so that one store publishes it; the zero word is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry(u64);

impl Entry {
    /// Regions that one code memory can number.
    pub const REGIONS: u32 = 1 << 20;
    /// Entries that one region can number.
    pub const ENTRIES: u32 = 1 << 12;
    /// Bits to shift an entry right by to get its region number with its entry number below it.
    pub const ENTRY_SHIFT: u32 = 32;
    /// Bits to shift an entry right by to get its region number.
    pub const REGION_SHIFT: u32 = 44;

    pub(crate) fn new(offset: u32, region: u32, entry: u32) -> Entry {
        assert!(offset != 0 && region < Entry::REGIONS && entry < Entry::ENTRIES, "entry out of range");
        Entry((region as u64) << Entry::REGION_SHIFT | (entry as u64) << Entry::ENTRY_SHIFT | offset as u64)
    }

    /// Number of the region in its code memory.
    pub fn region(self) -> u32 {
        (self.0 >> Entry::REGION_SHIFT) as u32
    }
}

type Chunk = Box<[AtomicU64]>;

/// The table. Entries are published with one Release store and read by native code of the same hart.
pub(crate) struct DispatchTable {
    /// What native code reads: `&chunk[0]` for each 64 KiB of guest addresses.
    heads: Box<[*const AtomicU64]>,
    /// Chunks that hold entries, by the high half of the pc.
    chunks: BTreeMap<u16, Chunk>,
    /// What all other heads point to. Never written.
    _empty: Chunk,
}

// SAFETY: the raw pointers point into chunks that this value owns.
unsafe impl Send for DispatchTable {}

fn zeroed_chunk() -> Chunk {
    // A zeroed allocation of 128 KiB comes untouched from the system: only pages with entries cost memory.
    bytemuck::zeroed_slice_box(CHUNK_WORDS)
}

impl DispatchTable {
    /// A table without entries.
    pub fn new() -> DispatchTable {
        let empty = zeroed_chunk();
        DispatchTable { heads: vec![empty.as_ptr(); CHUNKS].into_boxed_slice(), chunks: BTreeMap::new(), _empty: empty }
    }

    /// The entry at `pc`, if there is one.
    #[inline]
    pub fn get(&self, pc: u32) -> Option<Entry> {
        // SAFETY: each head points to a live chunk of CHUNK_WORDS words, and the index is below that.
        let word = unsafe { &*self.heads[(pc >> 16) as usize].add(word_index(pc)) }.load(Ordering::Acquire);
        (word != 0).then_some(Entry(word))
    }

    /// Publishes `entry` at `pc`, a multiple of 4.
    pub fn set(&mut self, pc: u32, entry: Entry) {
        self.chunk_mut(pc)[word_index(pc)].store(entry.0, Ordering::Release);
    }

    /// Removes the entry at `pc`, if there is one.
    pub fn clear(&mut self, pc: u32) {
        if self.get(pc).is_some() {
            self.chunk_mut(pc)[word_index(pc)].store(0, Ordering::Release);
        }
    }

    fn chunk_mut(&mut self, pc: u32) -> &mut Chunk {
        let high = (pc >> 16) as u16;
        self.chunks.entry(high).or_insert_with(|| {
            let chunk = zeroed_chunk();
            self.heads[high as usize] = chunk.as_ptr();
            chunk
        })
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.heads.as_ptr().cast()
    }
}

fn word_index(pc: u32) -> usize {
    (pc >> 2) as usize & (CHUNK_WORDS - 1)
}
