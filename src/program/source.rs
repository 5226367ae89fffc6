//! Where in someone's source an address of code lies: the line, and the functions that a compiler inlined there.
//! Execution must not depend on it, and nothing is read before someone asks.
//!
//! This file must not know DWARF: `lines.rs` reads tables of lines, `frames.rs` finds functions.

use std::borrow::Cow;
use std::fmt;

use super::elf::{Sections, Unreadable};
use super::{frames, lines};
use crate::printable::printable;

/// A place in someone's source. Displayed like `src/main.rs:12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as the compiler named it, its folder before it where the line table has one. What is no printable UTF-8
    /// is U+FFFD.
    pub file: String,
    /// The line, from 1; 0 where the compiler says that there is none.
    pub line: u64,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl SourceLine {
    /// Whether the file belongs to a library that came with a compiler or from a registry, by its path: the standard
    /// library of Rust, a package that cargo fetched, what lies under `/usr`. A guess: a path may say anything.
    pub fn is_library(&self) -> bool {
        let starts = ["/rustc/", "/usr/"].iter().any(|start| self.file.starts_with(start));
        let parts = ["/rustlib/src/rust/library/", "/registry/src/", "/git/checkouts/"];
        starts || parts.iter().any(|part| self.file.contains(part))
    }
}

/// A function that was being executed at an address, among those that a compiler inlined into each other there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, demangled; `None` where the debug information has only lines.
    pub function: Option<String>,
    /// Where in it: of an outer frame, the call that was inlined.
    pub line: Option<SourceLine>,
}

/// Why there are no frames for an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoFrames {
    /// The file has no debug information.
    #[error("it has no debug information; build it with -g")]
    NoDebugInformation,
    /// The debug information was put into another file.
    #[error("its debug information is in {file}; run the file from before it was stripped")]
    Elsewhere {
        /// The name that the file gives.
        file: String,
    },
    /// The debug information is compressed in a way that is not known here.
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
    /// The compressed bytes are not what they should be.
    #[error("its section {section} is damaged; build it again")]
    Damaged {
        /// The section.
        section: &'static str,
    },
    /// The linker moved the section, so that what refers to places in it means others.
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
    /// The debug information does not speak of the address.
    #[error("its debug information does not cover {address:#010x}")]
    NotCovered {
        /// The address.
        address: u32,
    },
}

/// The functions at the instruction at `address`, the innermost first: those that were inlined there, and last the one
/// that they were inlined into. At least one.
///
/// Reads DWARF 2 to 5, compressed or not. All of the line table is read for each call, and the part of `.debug_info`
/// that it points to. Functions have no names where that part is nested or repeated beyond what compilers make.
///
/// # Errors
/// When the file's debug information does not say; the error says why.
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
    // Without its other sections a line is better than nothing.
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

/// The source line of the instruction at `address`, if the ELF file has debug information that says so.
///
/// Where library code was inlined ([`SourceLine::is_library`]), it is the line of the nearest function around it that
/// is not a library's: the call. [`source_frames`] has all of them.
pub fn source_line(elf: &[u8], address: u32) -> Option<SourceLine> {
    own_line(&source_frames(elf, address).ok()?).cloned()
}

/// Of frames as [`source_frames`] returns them, the line that their author most likely wants to see: the innermost one
/// that is not a library's, or the innermost one where all are.
pub fn own_line(frames: &[Frame]) -> Option<&SourceLine> {
    let lines = || frames.iter().filter_map(|frame| frame.line.as_ref());
    lines().find(|line| !line.is_library() && line.line != 0).or_else(|| lines().next())
}

/// Sections by names, with errors that name them.
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

/// The first section of debug information that is to lie in memory, as linker scripts have it that do not know it.
fn displaced(sections: &Sections<'_>) -> Option<NoFrames> {
    [".debug_line", ".debug_line_str", ".debug_str"].into_iter().find_map(|section| {
        let section_address = sections.address(section).filter(|&address| address != 0)?;
        Some(NoFrames::Displaced { section, section_address })
    })
}

/// The file that `strip` and `objcopy --add-gnu-debuglink` say has the debug information.
fn elsewhere(sections: &Sections<'_>) -> Option<String> {
    let link = sections.section(".gnu_debuglink").ok().flatten()?;
    let name = link.split(|&byte| byte == 0).next().filter(|name| !name.is_empty() && name.len() <= 255)?;
    Some(printable(name, &[]))
}
