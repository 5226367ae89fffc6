//! What a server is told by its process, and how it says something there. This file must not know requests.

use std::ffi::OsString;
use std::time::Duration;

use tachy::jit::DiskCache;
use tachy::risc0::{CallCount, Report};
use tachy::{Error, Program, Session};

/// The variable that says for whom segments are made.
pub const SEGMENTS_VARIABLE: &str = "TACHY_R0VM_SEGMENTS";

/// For whom segments are made, where a host wants them inside messages. Most hosts drop them, and the protocol does not
/// say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SegmentsFor {
    /// For every host.
    #[default]
    Everybody,
    /// For none: it gets empty ones, and the run only executes.
    Nobody,
}

impl SegmentsFor {
    /// Reads the value of [`SEGMENTS_VARIABLE`]: `auto`, `always` or `never`. Today, `auto` means `always`, because an
    /// empty segment is noticed only by a prover.
    ///
    /// # Errors
    /// Returns a sentence for any other value.
    pub fn parse(value: &str) -> Result<SegmentsFor, String> {
        match value {
            "auto" | "always" | "" => Ok(SegmentsFor::Everybody),
            "never" => Ok(SegmentsFor::Nobody),
            other => Err(format!("{SEGMENTS_VARIABLE} is {other:?}, expected auto, always or never")),
        }
    }
}

/// Reads a variable of a process.
pub type Variables = Box<dyn Fn(&str) -> Option<String>>;

/// What a server is told by its process.
pub struct Settings {
    /// For whom segments are made.
    pub segments: SegmentsFor,
    /// Compiled code that is kept from one process to the next.
    pub disk_cache: Option<DiskCache>,
    /// Reads a variable of the process.
    pub variable: Variables,
    /// Writes a line for the process's user. The host's output has no place for it.
    pub say: Box<dyn Fn(&str)>,
    /// How long the process may go on after its host has gone; then it ends. Without it, only the run is cancelled.
    pub exit_after: Option<Duration>,
}

impl Settings {
    pub(crate) fn say(&self, line: &str) {
        (self.say)(line);
    }

    pub(crate) fn variable_os(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).map(OsString::from)
    }

    /// Says where a run failed: the host gets only RISC Zero's text.
    pub(crate) fn say_failure(&self, program: &Program, session: &Session<'_>, error: &Error) {
        let user_pc = session.served_ecall();
        let pc = user_pc.or(error.location().map(|location| location.pc));
        let symbol = pc.and_then(|pc| program.symbol_at(pc)).map(|(symbol, offset)| match offset {
            0 => format!(", in {}", symbol.demangled()),
            offset => format!(", in {}+{offset:#x}", symbol.demangled()),
        });
        self.say(&format!("tachy r0vm: {error}{}", symbol.unwrap_or_default()));
    }

    /// Says what a session took, if the user has asked for it as for RISC Zero's server.
    pub(crate) fn say_statistics(&self, report: &Report) {
        if (self.variable)("RISC0_INFO").is_none() {
            return;
        }
        let Report { segments, total_cycles, user_cycles, paging_cycles, reserved_cycles, .. } = report;
        self.say(&format!("number of segments: {segments}"));
        self.say(&format!("{total_cycles} total cycles"));
        let part = |cycles: u64| cycles as f64 / *total_cycles as f64 * 100.0;
        let each = [(user_cycles, "user"), (paging_cycles, "paging"), (reserved_cycles, "reserved")];
        for (cycles, name) in each {
            self.say(&format!("{cycles} {name} cycles ({:.2}%)", part(*cycles)));
        }
        self.say("ecalls");
        let mut ecalls = report.ecalls.clone();
        ecalls.sort_by_key(|(_, count)| std::cmp::Reverse(count.cycles));
        for (name, CallCount { calls, cycles }) in ecalls {
            self.say(&format!("\t{calls} {name} calls, {cycles} cycles, ({:.2}%)", part(cycles)));
        }
        self.say("syscalls");
        let mut calls = report.syscalls.clone();
        calls.sort_by_key(|(_, calls, _)| std::cmp::Reverse(*calls));
        for (name, calls, _) in calls {
            self.say(&format!("\t{calls} {name} calls"));
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Settings");
        shown.field("segments", &self.segments).field("disk_cache", &self.disk_cache);
        shown.field("exit_after", &self.exit_after).finish_non_exhaustive()
    }
}
