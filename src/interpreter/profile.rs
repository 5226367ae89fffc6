//! The profile of a program: how often control entered each instruction, and which instructions ran. Sessions pass it
//! on to later ones, so that sessions too short to get warm get warm together.
//!
//! It must not know how it is used. Nothing in it changes what a program computes.

use std::sync::{Mutex, PoisonError};

use foldhash::HashMap;
use tachy_runtime::PAGE_BYTES;

/// Instructions per page.
pub(crate) const PAGE_SLOTS: usize = (PAGE_BYTES / 4) as usize;

/// Maximum number of pages kept; further pages are dropped. Each takes under 600 bytes.
const PAGES_KEPT: usize = 12 * 1024;

/// One bit per instruction of a page.
pub(crate) type Ran = [u64; PAGE_SLOTS / 64];

/// The profile of all sessions that ended, by page.
#[derive(Default)]
pub(crate) struct Profile {
    pages: Mutex<HashMap<u32, ProfilePage>>,
}

struct ProfilePage {
    hotness: [u16; PAGE_SLOTS],
    ran: Ran,
}

/// The profile of one page, as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageProfile {
    pub(crate) page: u32,
    pub(crate) hotness: [u16; PAGE_SLOTS],
    pub(crate) ran: Ran,
}

impl Profile {
    /// Copies the counts of `page` into `hotness`, and returns which of its instructions ran.
    pub(super) fn recall(&self, page: u32, hotness: &mut [u16]) -> Ran {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(&page).map_or(Ran::default(), |profile| {
            hotness.copy_from_slice(&profile.hotness);
            profile.ran
        })
    }

    /// Returns a copy of all pages, sorted by their numbers.
    pub(crate) fn pages(&self) -> Vec<PageProfile> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let copy =
            |(&page, profile): (&u32, &ProfilePage)| PageProfile { page, hotness: profile.hotness, ran: profile.ran };
        let mut copies: Vec<PageProfile> = pages.iter().map(copy).collect();
        copies.sort_unstable_by_key(|profile| profile.page);
        copies
    }

    /// Records the pages of a session, which began with the counts that it recalled. Keeps the larger of each pair of
    /// counts.
    pub(crate) fn keep<'a>(&self, found: impl Iterator<Item = (u32, &'a [u16; PAGE_SLOTS], Ran)>) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for (page, hotness, ran) in found {
            if pages.len() >= PAGES_KEPT && !pages.contains_key(&page) {
                continue;
            }
            let profile = pages.entry(page).or_insert(ProfilePage { hotness: [0; PAGE_SLOTS], ran: Ran::default() });
            profile.hotness.iter_mut().zip(hotness).for_each(|(profile, now)| *profile = (*profile).max(*now));
            profile.ran.iter_mut().zip(ran).for_each(|(profile, now)| *profile |= now);
        }
    }
}
