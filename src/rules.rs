//! What the engines must know of a machine in one of its modes, to leave it alone where page states allow.
//!
//! Code is translated for one set of rules. They are data: the engines must not know which machine gave them.

use tachy_runtime::PageState;

use crate::isa::Variant;

/// The rules of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The column of the instruction table that holds.
    pub(crate) variant: Variant,
    /// The bit of a page's state that lets loads through.
    pub(crate) read: PageState,
    /// The bit that lets stores through.
    pub(crate) write: PageState,
    /// The bit that lets fetches through.
    pub(crate) fetch: PageState,
    /// Where instructions may be fetched although the bit is not set yet: at these addresses. Where it is empty, the bit
    /// is a permission and stays; otherwise it comes and goes, and native code asks whenever it enters a page.
    pub(crate) fetch_range: Option<(u32, u32)>,
    /// Whether what is computed for x0 is kept ([`tachy_runtime::Slot::SHUNT`]).
    pub(crate) shunt: bool,
}

impl Rules {
    /// RV32IM as the manual has it: permissions that stay, and an x0 that is always 0.
    pub(crate) const STANDARD: Rules = Rules {
        variant: Variant::Standard,
        read: PageState::READ,
        write: PageState::WRITE,
        fetch: PageState::FETCH,
        fetch_range: None,
        shunt: false,
    };

    /// Whether native code must ask before it runs code of a page that it came to from another.
    pub(crate) fn asks_fetches(&self) -> bool {
        self.fetch_range.is_some()
    }

    /// Whether instructions of a page in `state` may be fetched at `pc`.
    pub(crate) fn may_fetch(&self, pc: u32, state: PageState) -> bool {
        match self.fetch_range {
            None => state.contains(self.fetch),
            Some((first, last)) => (first..=last).contains(&pc),
        }
    }
}
