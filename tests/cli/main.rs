//! Tests the command line as a process: what it prints, what it writes, and its exit codes.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

mod bench;
mod cache;
mod commands;
mod edges;
mod environment;
mod explain;
mod formats;
mod hints;
mod messages;
mod outputs;
mod packages;
mod r0vm;
mod r0vm_server;
mod random;
mod source_lines;
mod terminal;
mod waiting;
