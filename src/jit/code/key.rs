//! The key of compiled code on disk: everything that the code follows from. Code is used only where the whole key is the
//! same, and the name of its file is the key.
//!
//! It must not know where files lie, nor what is in them.

use std::fmt::{self, Write as _};
use std::time::UNIX_EPOCH;

use cranelift_codegen::isa::OwnedTargetIsa;

use crate::jit::JitOptions;
use crate::program::Program;
use crate::rules::Rules;
use crate::trace::Level;

/// What names the build of this crate; see `build.rs`.
const BUILD_ID: &str = env!("BUILD_ID");

/// A hash over everything that compiled code follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) [u8; 32]);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the code is for.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) program: &'a Program,
    /// The name of the machine.
    pub(crate) machine: &'a str,
    /// The rules of its modes.
    pub(crate) rules: &'a [Rules],
    pub(crate) level: Level,
    pub(crate) options: &'a JitOptions,
    pub(crate) isa: &'a OwnedTargetIsa,
}

impl Key {
    pub(crate) fn new(subject: &Subject<'_>) -> Key {
        let Subject { program, machine, rules, level, options, isa } = *subject;
        let mut hasher = Fields(blake3::Hasher::new());
        hasher.add("what", "tachy-code-v1");
        hasher.add("builds", [BUILD_ID, tachy_runtime::BUILD_ID].join(" "));
        hasher.add("Cranelift", cranelift_codegen::VERSION);
        hasher.add("executable", executable());
        hasher.add("target", isa.triple());
        hasher.add("flags", isa.flags());
        for flag in isa.isa_flags() {
            hasher.add("flag of the processor", flag);
        }
        hasher.add("program", blake3::Hash::from(program.digest()).to_hex());
        hasher.add("code", format_args!("{:?}", program.code()));
        hasher.add("machine", machine);
        hasher.add("rules", format_args!("{rules:?}"));
        hasher.add("level", format_args!("{level:?}"));
        // The other options change neither regions nor their code.
        let JitOptions { threshold, region_instructions, merge_interval_steps, .. } = options;
        hasher.add("options", format_args!("{threshold} {region_instructions} {merge_interval_steps}"));
        Key(*hasher.0.finalize().as_bytes())
    }
}

/// Hashes named fields so that none runs into the next.
struct Fields(blake3::Hasher);

impl Fields {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{value}");
        self.0.update(format!("{name} {} ", text.len()).as_bytes());
        self.0.update(text.as_bytes());
    }
}

/// Returns size and time of change of the running executable, as far as the system says them.
///
/// The ids of both builds cover all that is in this repository. This covers what they cannot see: a code generator that
/// was replaced by another one of the same version.
fn executable() -> String {
    let metadata = std::env::current_exe().and_then(std::fs::metadata);
    let changed = |metadata: &std::fs::Metadata| metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok();
    metadata.map_or_else(|_| String::new(), |metadata| format!("{} {:?}", metadata.len(), changed(&metadata)))
}
