//! The JIT: regions of basic blocks to native code by way of Cranelift.
//!
//! `region` and `liveness` are pure and know no Cranelift; `lower` makes IR and knows no memory to put code in;
//! `native` publishes code and keeps the book of what is translated. Nothing here may know a machine: what differs
//! between them comes in as data.

mod abi;
mod liveness;
mod lower;
mod native;
mod options;
mod region;
mod stubs;
mod translations;

pub(crate) use native::Native;
pub use options::JitOptions;
pub(crate) use translations::Translations;
