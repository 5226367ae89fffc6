//! The access groups of published code: the accesses that native code means when it requests a group.
//!
//! It must not know how groups are found, nor what is allowed.

use std::sync::{Arc, PoisonError, RwLock};

use foldhash::HashMap;

use crate::jit::analysis::access_groups::Reached;

/// The accesses of a region's groups, by index.
pub(crate) type RegionGroups = Arc<Vec<Vec<Reached>>>;

/// The groups of all regions in one code memory, which sessions on any thread read while one publishes.
#[derive(Default)]
pub(crate) struct PublishedGroups(RwLock<HashMap<u32, RegionGroups>>);

impl PublishedGroups {
    /// Enters the groups of the region with this number. This happens before the region's entries are published, so
    /// that no group is missing when its code requests it.
    pub(crate) fn publish(&self, region: u32, groups: Vec<Vec<Reached>>) {
        if !groups.is_empty() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(region, Arc::new(groups));
        }
    }

    /// Returns the groups of the region with this number.
    pub(crate) fn of_region(&self, region: u32) -> Option<RegionGroups> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&region).cloned()
    }
}
