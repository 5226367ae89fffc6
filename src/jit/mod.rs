//! The JIT: it compiles regions of basic blocks to native code with Cranelift.
//!
//! It has four layers, each of which knows only those below it:
//!
//! ```text
//! session     what one session does: what is hot, what it may spend, which code it runs
//! code        compiled code that sessions share: who compiles what, and where it is published
//! lowering    a region to Cranelift IR, and IR to bytes
//! analysis    which blocks form a region, and what their instructions tell; pure
//! ```
//!
//! Nothing here may know a machine: what differs between machines comes in as data (`rules`).
#![expect(clippy::indexing_slicing, reason = "blocks, words and modes, by indices that were made for them")]

mod analysis;
mod code;
mod lowering;
mod mode;
mod options;
mod session;

pub(crate) use analysis::access_groups::{Reached, region_and_index};
pub(crate) use code::cache::{Caches, SharedCaches};
pub use code::disk::{DiskCache, DiskCacheFile, DiskCacheProblem};
#[doc(hidden)]
pub use code::stored::rewrite_stored_code;
pub use lowering::explain::{Explained, Explanation, Made, explain};
pub use lowering::listing::{ListError, Listing, list};
#[cfg(feature = "wrong-lowerings")]
pub use lowering::wrong;
pub use mode::Mode;
pub use options::JitOptions;
pub(crate) use session::session_code::{Resting, SessionCode};
pub(crate) use session::transitions::RegionTransitions;
