//! The command line, run as a program: what it prints, writes and exits with.

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod commands;
mod edges;
mod environment;
mod explain;
mod formats;
mod hints;
mod messages;
mod outputs;
mod r0vm;
mod random;
mod source_lines;
mod terminal;
mod waiting;
