//! The contents of memory before a program's first step, page by page.
//!
//! Pages of zeros are not stored, so a program costs the size of its data and not of the memory that it reserves. This
//! file must not know where a program's segments come from.

use std::collections::BTreeMap;
use std::fmt;

use tachy_runtime::{PAGE_BYTES, PageContent};

use super::{SUSPEND_MODE_ADDRESS, SUSPEND_PC_ADDRESS};
use crate::program::Program;

/// The content of every page that was never written.
static ZERO_PAGE: PageContent = [0; PAGE_BYTES as usize];

/// A memory of 2^22 pages of 1 KiB, most of which are zero.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Image {
    pages: BTreeMap<u32, Box<PageContent>>,
}

impl Image {
    /// Builds the image of memory before the program's first step.
    pub fn of(program: &Program) -> Image {
        let mut image = Image::default();
        for segment in program.segments() {
            image.write(segment.address, &segment.data);
        }
        if program.user_entry().is_none() {
            // A kernel without a user program starts in machine mode at its entry.
            for (address, word) in [(SUSPEND_PC_ADDRESS, program.entry()), (SUSPEND_MODE_ADDRESS, 1)] {
                image.write(address, &word.to_le_bytes());
            }
        }
        image.pages.retain(|_, page| **page != ZERO_PAGE);
        image
    }

    /// Writes bytes at an address. Bytes beyond the last address are dropped.
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

    /// Returns the content of a page.
    pub fn page(&self, page: u32) -> &PageContent {
        self.pages.get(&page).map_or(&ZERO_PAGE, |content| content)
    }

    /// Returns the nonzero pages, by number.
    pub fn pages(&self) -> impl ExactSizeIterator<Item = (u32, &PageContent)> {
        self.pages.iter().map(|(page, content)| (*page, &**content))
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("pages", &self.pages.len()).finish_non_exhaustive()
    }
}
