//! Compiled code as plain data, and as bytes: what one process hands to the next.
//!
//! Reading is total. Any bytes give code or an error, in time and memory proportional to their number. It must not know
//! where the bytes lie, nor who vouches for them.

#[cfg(test)]
mod tests;

use tachy_runtime::{Access, Entry};

use super::cache::Targets;
use super::registry::Reservation;
use crate::interpreter::{PAGE_SLOTS, PageProfile};
use crate::jit::analysis::access_groups::{GROUPS, Reached};

/// The code of all modes of a machine for one level, and the profile of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredCode {
    /// By mode.
    pub(crate) modes: Vec<StoredMode>,
    pub(crate) profile: Vec<PageProfile>,
}

/// The code of one mode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct StoredMode {
    /// In ascending order of their numbers.
    pub(crate) regions: Vec<StoredRegion>,
    /// How often the regions at these entries were merged.
    pub(crate) merges: Vec<(u32, u8)>,
    /// Targets of indirect jumps, by the pc of the jump.
    pub(crate) targets: Vec<(u32, Vec<u32>)>,
}

/// A compiled region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRegion {
    /// Its number in the dispatch table, which its code contains.
    pub(crate) number: u32,
    /// The entries that lead to it: the number of each in the region, and its pc.
    pub(crate) entries: Vec<(u32, u32)>,
    /// The words that it was compiled from: the first pc of each run, and the words.
    pub(crate) words: Vec<(u32, Vec<u32>)>,
    pub(crate) groups: Vec<Vec<Reached>>,
    pub(crate) code: Vec<u8>,
}

impl StoredRegion {
    /// Copies a region that was just published with all of its entries.
    pub(crate) fn new(reservation: &Reservation, groups: &[Vec<Reached>], code: &[u8]) -> StoredRegion {
        let Reservation { region, number, .. } = reservation;
        let words = region.blocks.iter().filter(|block| !block.instructions.is_empty());
        StoredRegion {
            number: *number,
            entries: (0..).zip(region.entry_pcs()).collect(),
            words: words
                .map(|block| (block.pc, block.instructions.iter().map(|placed| placed.word).collect()))
                .collect(),
            groups: groups.to_vec(),
            code: code.to_vec(),
        }
    }

    /// Returns whether `word` gives all of the words that the region was compiled from.
    pub(crate) fn is_of(&self, word: impl Fn(u32) -> Option<u32>) -> bool {
        let run = |&(pc, ref words): &(u32, Vec<u32>)| {
            (0u32..).zip(words).all(|(index, &expected)| word(pc.wrapping_add(4 * index)) == Some(expected))
        };
        self.words.iter().all(run)
    }
}

/// Why bytes are no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of its content is not as expected")]
pub(crate) struct Malformed {
    at: usize,
}

impl StoredCode {
    /// Writes it as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let code: usize = self.modes.iter().flat_map(|mode| &mode.regions).map(|region| region.code.len()).sum();
        let mut out = Writer(Vec::with_capacity(2 * code + (64 << 10)));
        out.list(&self.modes, |out, mode| {
            out.list(&mode.regions, |out, region| {
                out.word(region.number);
                out.list(&region.entries, |out, &(entry, pc)| {
                    out.word(entry);
                    out.word(pc);
                });
                out.list(&region.words, |out, (pc, words)| {
                    out.word(*pc);
                    out.list(words, |out, &word| out.word(word));
                });
                out.list(&region.groups, |out, accesses| out.list(accesses, Writer::access));
                out.word(region.code.len() as u32);
                out.0.extend_from_slice(&region.code);
            });
            out.list(&mode.merges, |out, &(pc, times)| {
                out.word(pc);
                out.0.push(times);
            });
            out.list(&mode.targets, |out, (from, targets)| {
                out.word(*from);
                out.list(targets, |out, &to| out.word(to));
            });
        });
        out.list(&self.profile, Writer::page);
        out.0
    }

    /// Reads what [`StoredCode::to_bytes`] wrote.
    ///
    /// # Errors
    /// Fails for bytes that it cannot have written.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<StoredCode, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let read = reader.code();
        read.filter(|_| reader.at == bytes.len()).ok_or(Malformed { at: reader.at })
    }
}

/// Reads any bytes as the content of a file with compiled code, and writes that again; `None` if they are refused. It is
/// for a fuzzer.
#[doc(hidden)]
pub fn rewrite_stored_code(bytes: &[u8]) -> Option<Vec<u8>> {
    StoredCode::from_bytes(bytes).ok().map(|code| code.to_bytes())
}

/// Writes lists as their length and their items, and numbers as little-endian.
struct Writer(Vec<u8>);

impl Writer {
    fn word(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Writer, &T)) {
        self.word(items.len() as u32);
        items.iter().for_each(|one| item(self, one));
    }

    fn access(&mut self, reached: &Reached) {
        let kind = match reached.access {
            Access::Fetch => 0,
            Access::Load(bytes) => bytes as u8,
            Access::Store(bytes) => bytes as u8 | 8,
        };
        self.word(reached.ahead);
        self.word(reached.offset);
        self.0.extend([reached.register, kind]);
    }

    /// Writes a page's profile: the counts that are not zero, each with its place.
    fn page(&mut self, page: &PageProfile) {
        self.word(page.page);
        page.ran.iter().for_each(|ran| self.0.extend_from_slice(&ran.to_le_bytes()));
        let counts: Vec<(usize, u16)> =
            page.hotness.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
        self.list(&counts, |out, &(slot, count)| {
            out.0.push(slot as u8);
            out.0.extend_from_slice(&count.to_le_bytes());
        });
    }
}

/// Reads bytes from the front. Whatever it returns `None` for is malformed at `at`.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads a list of items that take at least `least_bytes` each, which bounds the memory that its length asks for.
    fn list<T>(&mut self, least_bytes: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.word()? as usize;
        if count.checked_mul(least_bytes)? > self.bytes.len() - self.at {
            return None;
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn code(&mut self) -> Option<StoredCode> {
        let modes = self.list(12, Reader::mode)?;
        let profile = self.list(40, Reader::page)?;
        Some(StoredCode { modes, profile })
    }

    fn mode(&mut self) -> Option<StoredMode> {
        let regions: Vec<StoredRegion> = self.list(20, Reader::region)?;
        // Two regions with one number would take each other's entries for their own.
        if !regions.is_sorted_by(|one, next| one.number < next.number) {
            return None;
        }
        let merges = self.list(5, |it| Some((it.word()?, it.byte()?)))?;
        let targets = self.list(8, |it| Some((it.word()?, it.list(4, Reader::word)?)))?;
        Some(StoredMode { regions, merges, targets })
    }

    fn region(&mut self) -> Option<StoredRegion> {
        let number = self.word().filter(|number| (1..Entry::REGIONS).contains(number))?;
        let entries = self.list(8, |it| {
            let entry = it.word().filter(|&entry| entry < Entry::ENTRIES)?;
            Some((entry, it.pc()?))
        })?;
        let words = self.list(8, |it| {
            let pc = it.pc()?;
            let words = it.list(4, Reader::word)?;
            // They must not run past the end of the address space.
            let fits = u64::from(pc) + 4 * words.len() as u64 <= 1 << 32;
            fits.then_some((pc, words))
        })?;
        let groups = self.list(4, |it| it.list(10, Reader::access)).filter(|groups| groups.len() <= GROUPS)?;
        let bytes = self.word().filter(|&bytes| bytes > 0)?;
        let code = self.take(bytes as usize)?.to_vec();
        (!entries.is_empty() && !words.is_empty()).then_some(StoredRegion { number, entries, words, groups, code })
    }

    fn pc(&mut self) -> Option<u32> {
        self.word().filter(|pc| pc.is_multiple_of(4))
    }

    fn access(&mut self) -> Option<Reached> {
        let (ahead, offset) = (self.word()?, self.word()?);
        let register = self.byte().filter(|&register| register < 32)?;
        let access = match self.byte()? {
            bytes @ (1 | 2 | 4) => Access::Load(bytes.into()),
            kind @ (9 | 10 | 12) => Access::Store((kind & 7).into()),
            _ => return None,
        };
        Some(Reached { ahead, register, offset, access })
    }

    fn page(&mut self) -> Option<PageProfile> {
        let page = self.word()?;
        let mut ran = [0; PAGE_SLOTS / 64];
        for word in &mut ran {
            *word = u64::from_le_bytes(self.array()?);
        }
        let mut hotness = [0; PAGE_SLOTS];
        for (slot, count) in self.list(3, |it| Some((it.byte()?, u16::from_le_bytes(it.array()?))))? {
            *hotness.get_mut(usize::from(slot))? = count;
        }
        Some(PageProfile { page, hotness, ran })
    }
}

/// Returns the targets of indirect jumps in the order of the jumps.
pub(crate) fn stored_targets(targets: &Targets) -> Vec<(u32, Vec<u32>)> {
    let mut stored: Vec<_> = targets.iter().map(|(&from, targets)| (from, targets.clone())).collect();
    stored.sort_unstable_by_key(|(from, _)| *from);
    stored
}

/// Returns stored targets as a cache keeps them.
pub(crate) fn restored_targets(stored: &[(u32, Vec<u32>)]) -> Targets {
    stored.iter().cloned().collect()
}
