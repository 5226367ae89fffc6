//! Names as people write them, from the names that compilers of Rust and C++ give to linkers.
//!
//! Both mangling schemes have references back into the name, so that a short name can stand for an endless one: what is
//! written is bounded, and a name that does not fit stays as it is. This file must not know where names come from.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::printable::printable;

/// Longer names stay as they are, mangled or not.
const MAX_BYTES: usize = 4096;

/// The name in the source's own words: `core::ptr::read_volatile::<u32>`, without hashes and the numbers of crates;
/// `ns::look(unsigned int)`. A name that no compiler of Rust or C++ mangled is returned as it is.
pub(super) fn demangled(name: &str) -> Cow<'_, str> {
    // What else those libraries accept looks like ordinary names of C.
    let mangled = ["_R", "_Z", "__R", "__Z"].iter().any(|prefix| name.starts_with(prefix));
    let readable = if mangled && name.len() <= MAX_BYTES { rust(name).or_else(|| cpp(name)) } else { None };
    // Identifiers of Rust are any text in disguise.
    readable.map_or(Cow::Borrowed(name), |readable| Cow::Owned(printable(readable.as_bytes(), &[])))
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded::default();
    write!(text, "{demangled:#}").ok()?;
    Some(text.0)
}

fn cpp(name: &str) -> Option<String> {
    // The libraries of some systems have one more underscore in front.
    let name = if name.starts_with("__Z") { name.get(1..)? } else { name };
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    let mut text = Bounded::default();
    symbol.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::new()).ok()?;
    Some(text.0)
}

/// Text that refuses to grow beyond [`MAX_BYTES`].
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if self.0.len() + more.len() > MAX_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
