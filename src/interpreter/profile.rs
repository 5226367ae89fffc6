//! The profile of a program: how often control came to each instruction, and which instructions ran. Sessions leave it to
//! later ones, so that sessions that are each too short to get warm do so together.
//!
//! It must not know what is done with it. Nothing in it changes what a program computes.

use std::sync::{Mutex, PoisonError};

use foldhash::HashMap;
use tachy_runtime::PAGE_BYTES;

/// Instructions of a page.
pub(super) const PAGE_SLOTS: usize = (PAGE_BYTES / 4) as usize;

/// Pages kept; further ones are not. Under 600 bytes each.
const PAGES_KEPT: usize = 12 * 1024;

/// A bit for each instruction of a page.
pub(super) type Ran = [u64; PAGE_SLOTS / 64];

/// What is kept of all sessions that ended, by page.
#[derive(Default)]
pub(crate) struct Profile {
    pages: Mutex<HashMap<u32, ProfilePage>>,
}

struct ProfilePage {
    hotness: [u16; PAGE_SLOTS],
    ran: Ran,
}

impl Profile {
    /// Writes how often control came to each instruction of `page` into `hotness`, and returns which of them ran.
    pub(super) fn recall(&self, page: u32, hotness: &mut [u16]) -> Ran {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(&page).map_or(Ran::default(), |profile| {
            hotness.copy_from_slice(&profile.hotness);
            profile.ran
        })
    }

    /// Takes down the pages of a session, which began with what it recalled: of each count the larger is kept.
    pub(super) fn keep<'a>(&self, found: impl Iterator<Item = (u32, &'a [u16], Ran)>) {
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
