//! The units of guest memory: pages, and what may be done with them without help.

/// Bytes of a guest page.
pub const PAGE_BYTES: u32 = 1024;

/// The contents of a guest page.
pub type PageContent = [u8; PAGE_BYTES as usize];

/// Number of guest pages in the 32-bit address space.
pub const PAGES: u32 = 1 << 22;

/// Bytes of the 32-bit address space.
pub(crate) const GUEST_BYTES: usize = 1 << 32;

/// Returns the page that holds `address`.
#[inline]
pub const fn page_of(address: u32) -> u32 {
    address / PAGE_BYTES
}

/// One byte per guest page. The low four bits belong to the engines: accesses that are allowed without help. The high
/// four bits belong to the machine, for its own rules.
///
/// ```text
///   unknown --- access: the machine's rules allow it, and it is paid for ---> READ, WRITE or FETCH is set
///   FETCH   --- a word is decoded or translated -----------------------------> CODE is set, WRITE is cleared
///   CODE    --- a store: the word is forgotten, its regions lose their entries, and the store is done
///   any     --- the machine withdraws it, as R0VM does at a segment's end ---> the bits are cleared
/// ```
///
/// An access whose bit is missing takes the slow path, which knows the machine's rules and may set the bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct PageState(pub u8);

impl PageState {
    /// Loads need no help.
    pub const READ: PageState = PageState(1);
    /// Stores need no help.
    pub const WRITE: PageState = PageState(2);
    /// Fetches need no help.
    pub const FETCH: PageState = PageState(4);
    /// Some word of the page is decoded or compiled, so stores need help to invalidate it.
    pub const CODE: PageState = PageState(8);

    /// Returns whether every bit of `other` is set.
    #[inline]
    pub const fn contains(self, other: PageState) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the union of both.
    #[inline]
    #[must_use]
    pub const fn with(self, other: PageState) -> PageState {
        PageState(self.0 | other.0)
    }

    /// Returns this state without the bits of `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: PageState) -> PageState {
        PageState(self.0 & !other.0)
    }
}
