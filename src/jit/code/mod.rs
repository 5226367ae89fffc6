//! Compiled code that sessions share: who compiles which region, on which thread, and where the result is published.
//!
//! ```text
//! reserve (registry) -> job -> compile, here or on the background thread -> publish (cache)
//! ```
//!
//! It must not know what is hot, which session asks, or what a session may spend.

pub(crate) mod background;
pub(crate) mod cache;
pub(crate) mod counters;
pub(crate) mod disk;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod perf_map;
pub(crate) mod price;
pub(crate) mod published_groups;
pub(crate) mod registry;
pub(crate) mod shared_code;
pub(crate) mod stored;
pub(crate) mod translations;
