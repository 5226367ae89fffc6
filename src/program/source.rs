//! Finds the source location of a code address: the line, and the functions that a compiler inlined there. Execution
//! must not depend on it. Nothing is read until a caller asks.
//!
//! This file must not know DWARF: `lines.rs` reads line tables, `frames.rs` finds functions.

use std::borrow::Cow;
use std::fmt;

use super::elf::{Sections, Unreadable};
use super::{frames, lines};
use crate::printable::printable;

/// A location in source code. Displays like `src/main.rs:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as the compiler named it, preceded by its folder if the line table has one. U+FFFD replaces bytes that
    /// are not printable UTF-8.
    pub file: String,
    /// The line, from 1; 0 if the compiler assigned none.
    pub line: u64,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl SourceLine {
    /// Returns whether the file's path belongs to a library: Rust's standard library, a package that cargo fetched, or
    /// a file under `/usr`. This is a guess, because a path may be anything.
    pub fn is_library(&self) -> bool {
        let starts = ["/rustc/", "/usr/"].iter().any(|start| self.file.starts_with(start));
        let parts = ["/rustlib/src/rust/library/", "/registry/src/", "/git/checkouts/"];
        starts || parts.iter().any(|part| self.file.contains(part))
    }
}

/// A function that executes at an address, one of those that a compiler inlined into each other there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, demangled; `None` if the debug information has only lines.
    pub function: Option<String>,
    /// Location in the function. In an outer frame, this is the inlined call.
    pub line: Option<SourceLine>,
}

/// Why an address has no frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoFrames {
    /// The file has no debug information.
    #[error("it has no debug information; build it with -g")]
    NoDebugInformation,
    /// The debug information is in another file.
    #[error("its debug information is in {file}; run the file from before it was stripped")]
    Elsewhere {
        /// The name of that file, as the ELF gives it.
        file: String,
    },
    /// The debug information uses an unknown compression.
    #[error("its section {section} is compressed by the unknown algorithm {algorithm}; compress it with zlib or zstd")]
    UnknownCompression {
        /// The section.
        section: &'static str,
        /// The algorithm's number in the ELF specification, `ch_type`.
        algorithm: u32,
    },
    /// Decompressed, the debug information would be many times larger than the file.
    #[error("its section {section} is too large when it is decompressed; build it without -gz")]
    TooLarge {
        /// The section.
        section: &'static str,
    },
    /// The compressed bytes are corrupt.
    #[error("its section {section} is damaged; build it again")]
    Damaged {
        /// The section.
        section: &'static str,
    },
    /// The linker assigned the section an address, so offsets into it are wrong.
    #[error(
        "the linker script gives its section {section} the address {section_address:#x}, so that references into it are \
         wrong; give it the address 0, as in `{section} 0 : {{ *({section}) }}`"
    )]
    Displaced {
        /// The section.
        section: &'static str,
        /// Its address.
        section_address: u32,
    },
    /// The debug information does not cover the address.
    #[error("its debug information does not cover {address:#010x}")]
    NotCovered {
        /// The address.
        address: u32,
    },
}

/// Returns the functions at the instruction at `address`, innermost first: the inlined ones, and last the function that
/// contains them. Returns at least one.
///
/// Reads DWARF 2 to 5, compressed or not. Each call reads the whole line table, and the part of `.debug_info` that it
/// points to. Functions have no names if that part is nested or repeated more than compilers do.
///
/// # Errors
/// Fails if the file's debug information does not tell; the error states the reason.
pub fn source_frames(elf: &[u8], address: u32) -> Result<Vec<Frame>, NoFrames> {
    let sections = Sections::read(elf).ok_or(NoFrames::NoDebugInformation)?;
    let debug = Debug { sections: &sections };
    let Some(table) = debug.section(".debug_line")? else {
        return Err(elsewhere(&sections).map_or(NoFrames::NoDebugInformation, |file| NoFrames::Elsewhere { file }));
    };
    let strings = debug.section(".debug_str")?;
    let line_strings = debug.section(".debug_line_str")?;
    let names = lines::Names { strings: strings.as_deref(), line_strings: line_strings.as_deref() };
    let found = lines::find(&table, address, &names).ok_or(NoFrames::NotCovered { address })?;
    // A line without the other sections is better than nothing.
    let rest = frames::Inputs {
        abbreviations: debug.section(".debug_abbrev").ok().flatten(),
        addresses: debug.section(".debug_addr").ok().flatten(),
        entries: debug.section(".debug_info").ok().flatten(),
        lines: &table,
        string_offsets: debug.section(".debug_str_offsets").ok().flatten(),
        ranges: debug.section(".debug_ranges").ok().flatten(),
        range_lists: debug.section(".debug_rnglists").ok().flatten(),
        names,
    };
    let mut frames = frames::find(&rest, found.program_offset, address).unwrap_or_default();
    match frames.first_mut() {
        Some(innermost) => innermost.line = found.line,
        None => frames.push(Frame { function: None, line: found.line }),
    }
    match frames.iter().all(|frame| frame.line.is_none() && frame.function.is_none()) {
        true => Err(displaced(&sections).unwrap_or(NoFrames::NotCovered { address })),
        false => Ok(frames),
    }
}

/// Returns the source line of the instruction at `address`, if the ELF's debug information has it.
///
/// For inlined library code ([`SourceLine::is_library`]), returns the line of the call: that of the nearest enclosing
/// function outside of libraries. [`source_frames`] returns all of them.
pub fn source_line(elf: &[u8], address: u32) -> Option<SourceLine> {
    own_line(&source_frames(elf, address).ok()?).cloned()
}

/// Picks the line that an author most likely wants from frames of [`source_frames`]. This is the innermost one outside
/// of libraries, or the innermost of all if all are library code.
pub fn own_line(frames: &[Frame]) -> Option<&SourceLine> {
    let lines = || frames.iter().filter_map(|frame| frame.line.as_ref());
    lines().find(|line| !line.is_library() && line.line != 0).or_else(|| lines().next())
}

/// Looks up sections by name, with errors that name them.
struct Debug<'a, 's> {
    sections: &'s Sections<'a>,
}

impl<'a> Debug<'a, '_> {
    fn section(&self, name: &'static str) -> Result<Option<Cow<'a, [u8]>>, NoFrames> {
        self.sections.section(name).map_err(|unreadable| match unreadable {
            Unreadable::Algorithm(algorithm) => NoFrames::UnknownCompression { section: name, algorithm },
            Unreadable::TooLarge => NoFrames::TooLarge { section: name },
            Unreadable::Damaged => NoFrames::Damaged { section: name },
        })
    }
}

/// Finds the first section of debug information with a memory address. Linker scripts that do not know the section
/// assign one.
fn displaced(sections: &Sections<'_>) -> Option<NoFrames> {
    [".debug_line", ".debug_line_str", ".debug_str"].into_iter().find_map(|section| {
        let section_address = sections.address(section).filter(|&address| address != 0)?;
        Some(NoFrames::Displaced { section, section_address })
    })
}

/// Returns the file that holds the debug information according to `strip` and `objcopy --add-gnu-debuglink`.
fn elsewhere(sections: &Sections<'_>) -> Option<String> {
    let link = sections.section(".gnu_debuglink").ok().flatten()?;
    let name = link.split(|&byte| byte == 0).next().filter(|name| !name.is_empty() && name.len() <= 255)?;
    Some(printable(name, &[]))
}
