//! What the engines must know about one mode of a machine, so that they run without it wherever page states allow.
//!
//! Code is compiled for one set of rules. The rules are data: the engines must not know which machine supplied them.

use tachy_runtime::PageState;

use crate::isa::Variant;

/// The rules of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The column of the instruction table that applies.
    pub(crate) variant: Variant,
    /// The bit of a page's state that allows loads.
    pub(crate) read: PageState,
    /// The bit that allows stores.
    pub(crate) write: PageState,
    /// The bit that allows fetches.
    pub(crate) fetch: PageState,
    /// The addresses from which instructions may be fetched although the bit is not set yet. If `None`, the bit is a
    /// permission and stays. Otherwise the bit is set and cleared, and native code asks whenever it enters a page.
    pub(crate) fetch_range: Option<(u32, u32)>,
    /// Whether results for x0 are kept ([`tachy_runtime::Slot::SHUNT`]).
    pub(crate) shunt: bool,
}

impl Rules {
    /// RV32IM as the manual defines it: permissions that stay, and an x0 that is always 0.
    pub(crate) const STANDARD: Rules = Rules {
        variant: Variant::Standard,
        read: PageState::READ,
        write: PageState::WRITE,
        fetch: PageState::FETCH,
        fetch_range: None,
        shunt: false,
    };

    /// Returns whether native code must ask before it runs code of a page that it enters from another.
    pub(crate) fn asks_fetches(&self) -> bool {
        self.fetch_range.is_some()
    }

    /// Returns whether instructions of a page in `state` may be fetched at `pc`.
    pub(crate) fn may_fetch(&self, pc: u32, state: PageState) -> bool {
        match self.fetch_range {
            None => state.contains(self.fetch),
            Some((first, last)) => (first..=last).contains(&pc),
        }
    }
}
