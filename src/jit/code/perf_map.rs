//! Names of generated code for Linux's perf, on request: the file `/tmp/perf-PID.map` that perf looks for.
//!
//! A line is start, size, name, the first two in hexadecimal. Source: tools/perf/Documentation/jit-interface.txt.

use std::fs::{self, OpenOptions};
use std::io::Write;

use tachy_runtime::Function;

use crate::program::Program;

/// Writes names into this process's map.
pub(crate) struct PerfMap {
    program: Program,
}

impl PerfMap {
    pub(crate) fn new(program: Program) -> PerfMap {
        PerfMap { program }
    }

    /// Names a region by the guest function that contains its entry at `pc`. A failure is ignored: the map is an extra.
    pub(crate) fn add(&self, function: Function, code_bytes: usize, pc: u32) {
        let name = match self.program.symbol_at(pc) {
            Some((symbol, offset)) => format!("guest {}+{offset:#x}", symbol.demangled()),
            None => format!("guest {pc:#010x}"),
        };
        let path = format!("/tmp/perf-{}.map", std::process::id());
        let map = OpenOptions::new().create(true).append(true).open(&path);
        // Anybody may create files in /tmp: a link there would lead to an unrelated file.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if let (Ok(mut map), true) = (map, is_file) {
            let line = format!("{:x} {code_bytes:x} {name}\n", function.address());
            let _ = map.write_all(line.as_bytes());
        }
    }
}
