//! What memory holds before a program's first step, page by page.
//!
//! Pages of zeros are not kept, so a program costs what its file holds and not what it reserves. This file must not
//! know how a program came to its segments.

use std::collections::BTreeMap;
use std::fmt;

use tachy_runtime::{PAGE_BYTES, PageContent};

use super::{SUSPEND_MODE_ADDRESS, SUSPEND_PC_ADDRESS};
use crate::program::Program;

/// The page that every page is which nothing was put into.
static ZERO_PAGE: PageContent = [0; PAGE_BYTES as usize];

/// A memory of 2^22 pages of 1 KiB, most of which are zero.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Image {
    pages: BTreeMap<u32, Box<PageContent>>,
}

impl Image {
    /// What memory holds before the program's first step.
    pub fn of(program: &Program) -> Image {
        let mut image = Image::default();
        for segment in program.segments() {
            image.write(segment.address, &segment.data);
        }
        if program.user_entry().is_none() {
            // A kernel by itself starts in machine mode at its entry.
            for (address, word) in [(SUSPEND_PC_ADDRESS, program.entry()), (SUSPEND_MODE_ADDRESS, 1)] {
                image.write(address, &word.to_le_bytes());
            }
        }
        image.pages.retain(|_, page| **page != ZERO_PAGE);
        image
    }

    /// Puts bytes at an address; what would lie beyond the last address is dropped.
    fn write(&mut self, address: u32, bytes: &[u8]) {
        let mut offset = (address % PAGE_BYTES) as usize;
        let mut rest = bytes;
        for page in address / PAGE_BYTES..=u32::MAX / PAGE_BYTES {
            if rest.is_empty() {
                break;
            }
            let content = self.pages.entry(page).or_insert_with(|| Box::new(ZERO_PAGE));
            let target = content.get_mut(offset..).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(target.len()));
            for (to, from) in target.iter_mut().zip(now) {
                *to = *from;
            }
            (rest, offset) = (later, 0);
        }
    }

    /// What a page holds.
    pub fn page(&self, page: u32) -> &PageContent {
        self.pages.get(&page).map_or(&ZERO_PAGE, |content| content)
    }

    /// The pages that are not all zeros, by number.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = (u32, &PageContent)> {
        self.pages.iter().map(|(page, content)| (*page, &**content))
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
