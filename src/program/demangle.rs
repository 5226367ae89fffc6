//! Demangles the names that Rust and C++ compilers give to linkers.
//!
//! Both mangling schemes allow references back into the name, so a short name can expand without end. The output is
//! therefore bounded, and a name that exceeds the bound stays mangled. This file must not know where names come from.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::printable::printable;

/// Longest name, mangled or not, that is demangled.
const MAX_BYTES: usize = 4096;

/// Returns the name as the source spells it: `core::ptr::read_volatile::<u32>`, without hashes and crate numbers;
/// `ns::look(unsigned int)`. A name that no Rust or C++ compiler mangled is returned unchanged.
pub(super) fn demangled(name: &str) -> Cow<'_, str> {
    // The libraries accept other prefixes too, but those look like ordinary C names.
    let mangled = ["_R", "_Z", "__R", "__Z"].iter().any(|prefix| name.starts_with(prefix));
    let readable = if mangled && name.len() <= MAX_BYTES { rust(name).or_else(|| cpp(name)) } else { None };
    // Rust identifiers can encode arbitrary text.
    readable.map_or(Cow::Borrowed(name), |readable| Cow::Owned(printable(readable.as_bytes(), &[])))
}

fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded::default();
    write!(text, "{demangled:#}").ok()?;
    Some(text.0)
}

fn cpp(name: &str) -> Option<String> {
    // Some systems prepend one more underscore.
    let name = if name.starts_with("__Z") { name.get(1..)? } else { name };
    let symbol = cpp_demangle::Symbol::new(name).ok()?;
    let mut text = Bounded::default();
    symbol.structured_demangle(&mut text, &cpp_demangle::DemangleOptions::new()).ok()?;
    Some(text.0)
}

/// A string that refuses to grow beyond [`MAX_BYTES`].
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
