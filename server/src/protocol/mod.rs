//! The messages that a host built with risc0-zkvm 3.0 exchanges with its server, as Rust types.
//!
//! Numbers and names of fields are those of the packages `api`, `core` and `base`. Fields that the server never looks at
//! are left out, and requests that it only passes on are kept as bytes. These files must not know what a message means.

pub mod api;
pub mod base;
pub mod core;
