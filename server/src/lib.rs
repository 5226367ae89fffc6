//! A server that stands in for RISC Zero's `r0vm`: a host that is built with the default features of risc0-zkvm 3.0
//! starts it, and executes its guests on Tachy without a change.
//!
//! The host starts `r0vm --port PORT` for each request and waits for one connection. [`serve_port`] makes it and serves
//! the request: it executes programs and makes the receipts of dev mode. All other proofs are passed on to RISC Zero's
//! own `r0vm`. [`install`] puts a link to this program where hosts look for a server.
//!
//! Names, numbers and texts are those of risc0-zkvm 3.0.6. The library prints nothing by itself and reads no variable of
//! the process; [`Settings`] has both.
#![forbid(unsafe_code)]
#![deny(unreachable_pub)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unreachable, clippy::unwrap_used)]

mod assumptions;
mod callbacks;
mod claims;
mod connection;
mod environment;
mod execute;
mod files;
pub mod find;
mod frames;
pub mod install;
mod profile;
pub mod protocol;
mod prove;
mod proxy;
mod segments;
mod serve;
mod settings;
pub mod texts;

pub use profile::Profile;
pub use serve::{ServeError, serve_port, serve_streams};
pub use settings::{SEGMENTS_VARIABLE, SegmentsFor, Settings, Variables};

/// The version of RISC Zero that the server stands in for.
pub const RISC0_VERSION: &str = "3.0.6";

/// The exit code of a server whose host has gone or has broken the protocol.
pub const EXIT_HOST_GONE: i32 = 1;
