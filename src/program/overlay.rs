//! Segments of a file laid over each other in the order in which it has them, a later one over an earlier one, as Linux
//! and RISC Zero's loader map them. Linkers make such files: lld with `-Ttext` leaves the segment of the headers under
//! the text.
//!
//! Bytes stay the file's until all is laid out, so that what this costs does not depend on how often a segment is cut.
//! This file must not know how a file is read.

use std::collections::BTreeMap;

use super::{Permissions, Segment};

/// A segment whose bytes are still the file's; what they do not fill is zero.
#[derive(Clone, Copy)]
pub(crate) struct Range<'a> {
    pub(crate) address: u32,
    pub(crate) memory_bytes: u32,
    pub(crate) data: &'a [u8],
    pub(crate) permissions: Permissions,
}

impl Range<'_> {
    /// The first address after it.
    fn end(&self) -> u64 {
        u64::from(self.address) + u64::from(self.memory_bytes)
    }

    /// The part of it between two addresses, if there is any.
    fn part(&self, start: u64, end: u64) -> Option<Self> {
        let address = u64::from(self.address);
        let (start, end) = (start.max(address), end.min(self.end()));
        let memory_bytes = u32::try_from(end.checked_sub(start)?).ok().filter(|&bytes| bytes > 0)?;
        let data_end = self.data.len().min((end - address) as usize);
        let data = self.data.get((start - address) as usize..data_end).unwrap_or_default();
        Some(Range { address: start as u32, memory_bytes, data, ..*self })
    }
}

/// Disjoint ranges by address, onto which others are laid.
#[derive(Default)]
pub(crate) struct Overlay<'a>(BTreeMap<u32, Range<'a>>);

impl<'a> Overlay<'a> {
    /// Lays a range over what is there, its zeros included.
    pub(crate) fn put(&mut self, new: Range<'a>) {
        if new.memory_bytes == 0 {
            return;
        }
        let (start, end) = (u64::from(new.address), new.end());
        // Those that begin in it, and the one before.
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

    /// What came of it, by address.
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
