//! Integration tests of the library as its users see it, in one process. `cargo test --test it MODULE` runs a part.
//!
//! Tests that need a process of their own are in `tests/isolated`, those of the command line are in `tests/cli`, and
//! the comparison with RISC Zero's executor is in `tests/oracle`. Modules must not change or measure resources of the
//! whole process: limits, signals, panic hooks, environment variables, threads, mappings or memory.
//!
//! | module | what it tests |
//! |---|---|
//! | `api::debug_output` | `{:?}` of public values is a few lines |
//! | `api::errors` | every kind of error that a user can meet |
//! | `api::examples` | the programs of `examples/` print the expected text |
//! | `api::failures` | what a session may do after each failure: the table of `docs/failures.md` |
//! | `api::settings` | each setting of a run takes effect or is refused before the first step |
//! | `api::sharing` | sessions that share an executor share code and nothing else |
//! | `api::sink_calls` | what a sink is told of a run, and what its failures do |
//! | `api::streams` | sinks and streams that fail, panic or lie |
//! | `conformance::qemu` | random programs have the same results under qemu-riscv32 |
//! | `conformance::spike` | rows equal Spike's commit log (ignored: needs Spike) |
//! | `conformance::suites` | the programs of `tests/suites`, with Spike's signatures |
//! | `engine::crosscheck` | `Engine::Crosscheck` runs what any engine runs |
//! | `engine::guests` | whole guests: traces and outputs are the same in both engines |
//! | `engine::instructions` | every instruction, in both engines and against a third implementation |
//! | `engine::limits` | limits, pauses and cancelling stop at the exact step and leave no mark |
//! | `engine::machines` | where the machines differ in decoding and memory |
//! | `engine::random_programs` | random programs, whole and in parts, are the same in both engines |
//! | `engine::replay` | a trace gives back the state at any step |
//! | `hostile` | hostile programs end in an error or at a limit, within their budget |
//! | `jit::access_groups` | accesses that share one check trap at the exact access |
//! | `jit::disk_cache` | code on disk changes no result, and good code is used at once |
//! | `jit::golden_ir` | IR and code size of small cases, as golden files |
//! | `jit::hotness` | what counts as hot and is therefore translated |
//! | `jit::native` | native code stays native, and stops soon after a request |
//! | `jit::region_merging` | regions with many transitions are merged: fewer transfers, the same rows |
//! | `jit::small_loops` | loop-carried registers are exact wherever they are observed |
//! | `jit::translation_cost` | no program takes noticeably more work than under the interpreter |
//! | `program::debug_sections` | debug information in the forms that compilers and linkers produce |
//! | `program::decoding` | the instruction table, the decoder and the disassembler |
//! | `program::elf` | programs from ELF files, good and hostile |
//! | `risc0::event_rules` | which trace events R0VM sends, and in which order |
//! | `risc0::guests` | the guests of R0VM give the outcomes of RISC Zero's executor |
//! | `risc0::host` | the library's own host, called as the kernel calls it |
//! | `risc0::host::texts` | errors of the host have the texts of RISC Zero's |
//! | `risc0::images` | memory images, their Merkle tree, and segments |
//! | `risc0::machine_mode` | programs in place of the kernel |
//! | `risc0::native_calls` | system calls of R0VM stay in native code |
//! | `risc0::page_charges` | cycles that R0VM charges for pages |
//! | `risc0::programs` | RISC Zero's program binaries |
//! | `risc0::random_users` | random users under random kernels are the same in both engines |
//! | `risc0::reports` | what a session of R0VM reports for a proof |
//! | `risc0::sealing` | any number of threads makes the same segments |
//! | `risc0::serde` | values are encoded in words as by RISC Zero's serde |
//! | `risc0::trace_events` | the trace callback gets the events of the rows |

use std::path::{Path, PathBuf};

#[path = "../common/mod.rs"]
mod common;
#[path = "../oracle/reference/src/environment.rs"]
#[allow(dead_code, reason = "the reference, another crate, uses the rest")]
mod environment;
#[path = "../oracle/reference/src/guests.rs"]
#[allow(dead_code, reason = "the reference, another crate, uses the rest")]
mod reference_guests;

mod api {
    mod debug_output;
    mod errors;
    mod examples;
    mod failures;
    mod settings;
    mod sharing;
    mod sink_calls;
    mod streams;
}

mod conformance {
    mod qemu;
    mod spike;
    mod suites;
}

mod engine {
    mod crosscheck;
    mod guests;
    mod instructions;
    mod limits;
    mod machines;
    mod random_programs;
    mod replay;
}

mod hostile;

mod jit {
    mod access_groups;
    mod disk_cache;
    mod golden_ir;
    mod hotness;
    mod native;
    mod region_merging;
    mod small_loops;
    mod translation_cost;
}

mod program {
    mod debug_sections;
    mod decoding;
    mod elf;
}

mod risc0 {
    mod event_rules;
    mod guests;
    mod host;
    mod images;
    mod machine_mode;
    mod native_calls;
    mod page_charges;
    mod programs;
    mod random_users;
    mod reports;
    mod sealing;
    mod serde;
    mod trace_events;
}

/// The index above has a line for each module, in order, and no others.
#[test]
fn the_index_is_complete() {
    let root = Path::new(common::ROOT).join("tests/it");
    let mut modules = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of tests") {
            let path = entry.expect("an entry can be read").path();
            match path.is_dir() && !path.join("mod.rs").exists() {
                true => folders.push(path),
                false => modules.push(path),
            }
        }
    }
    let name = |path: &PathBuf| {
        let path = path.strip_prefix(&root).expect("it was found there").with_extension("");
        path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::")
    };
    let mut modules: Vec<String> = modules.iter().map(name).filter(|name| name != "main").collect();
    modules.sort();
    let lines = include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once("` | "));
    let index: Vec<&str> = lines.map(|(module, _)| module).collect();
    assert_eq!(index, modules);
}
