//! The JIT: regions of basic blocks to native code by way of Cranelift.
//!
//! `region`, `discover`, `values`, `access_groups` and `liveness` are pure and know no Cranelift. `lower` makes IR and knows
//! no memory to put code in. `registry` says who translates what, `job` compiles and publishes, `background` does so on a
//! thread of its own, and `cache` holds the result. `native` is a session's view of a cache and says what is hot; `payback`
//! says what it may spend. `natives` has a view for each mode and says whether the session shares its code (`common_code`).
//! Nothing here may know a machine: what differs between them comes in as data.
#![expect(clippy::indexing_slicing, reason = "blocks, words and modes, by indices that were made for them")]

mod abi;
mod access_groups;
mod background;
mod budget;
mod cache;
mod candidates;
mod carry;
mod common_code;
mod counters;
mod discover;
mod hops;
mod job;
mod listing;
mod liveness;
mod lower;
mod lull;
mod native;
mod natives;
mod options;
mod payback;
mod perf_map;
mod region;
mod registry;
mod returns;
mod short_runs;
mod stubs;
mod translations;
mod values;

pub(crate) use access_groups::{Reached, region_and_index};
pub(crate) use cache::{Caches, SharedCaches};
pub(crate) use hops::Hops;
pub use listing::{Listing, list};
#[cfg(feature = "wrong-lowerings")]
pub use lower::wrong;
use native::Native;
pub(crate) use natives::{Natives, Resting};
pub use options::JitOptions;
use translations::Translations;
