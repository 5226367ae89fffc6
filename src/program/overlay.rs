//! Lays segments of a file over each other in file order; later segments replace earlier ones. Linux and RISC Zero's
//! loader map them the same way. Linkers make such files: lld with `-Ttext` leaves the headers' segment under the text.
//!
//! The bytes stay borrowed from the file until the layout is complete. The cost therefore does not depend on how often
//! a segment is cut. This file must not know how a file is read.

use std::collections::BTreeMap;

use super::{Permissions, Segment};

/// A segment that borrows its bytes from the file. The rest of its memory is zero.
#[derive(Clone, Copy)]
pub(crate) struct Range<'a> {
    pub(crate) address: u32,
    pub(crate) memory_bytes: u32,
    pub(crate) data: &'a [u8],
    pub(crate) permissions: Permissions,
}

impl Range<'_> {
    /// Returns the first address after it.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.memory_bytes)
    }

    /// Returns the part between two addresses, if any.
    fn part(&self, start: u64, end: u64) -> Option<Self> {
        let address = u64::from(self.address);
        let (start, end) = (start.max(address), end.min(self.end()));
        let memory_bytes = u32::try_from(end.checked_sub(start)?).ok().filter(|&bytes| bytes > 0)?;
        let data_end = self.data.len().min((end - address) as usize);
        let data = self.data.get((start - address) as usize..data_end).unwrap_or_default();
        Some(Range { address: start as u32, memory_bytes, data, ..*self })
    }
}

/// Disjoint ranges, sorted by address.
#[derive(Default)]
pub(crate) struct Overlay<'a>(BTreeMap<u32, Range<'a>>);

impl<'a> Overlay<'a> {
    /// Lays a range over the existing ones, including its zeros.
    pub(crate) fn put(&mut self, new: Range<'a>) {
        if new.memory_bytes == 0 {
            return;
        }
        let (start, end) = (u64::from(new.address), new.end());
        // Only ranges that begin inside the new one, and the one before it, can overlap it.
        let below = self.0.range(..new.address).next_back().map(|(_, range)| *range);
        let begun: Vec<u32> =
            self.0.range(new.address..).map(|(&key, _)| key).take_while(|&key| u64::from(key) < end).collect();
        let begun: Vec<Range<'a>> = begun.iter().filter_map(|key| self.0.remove(key)).collect();
        for range in below.into_iter().chain(begun) {
            for part in [range.part(0, start), range.part(end, u64::MAX)].into_iter().flatten() {
                self.0.insert(part.address, part);
            }
        }
        self.0.insert(new.address, new);
    }

    /// Returns the resulting segments, sorted by address.
    pub(crate) fn segments(self) -> Vec<Segment> {
        let segment = |range: Range<'_>| Segment {
            address: range.address,
            memory_bytes: range.memory_bytes,
            data: range.data.to_vec(),
            permissions: range.permissions,
        };
        self.0.into_values().map(segment).collect()
    }
}
