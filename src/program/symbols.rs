//! Symbols: names of addresses, for people who read traces and profiles. Execution must not depend on them.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::demangle::demangled;
use super::{Segment, segment_at};

/// A name of an address, given by the program's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name as the linker wrote it; [`Symbol::demangled`] makes it readable. U+FFFD replaces bytes that are not
    /// printable UTF-8.
    pub name: String,
    /// First address.
    pub address: u32,
    /// Size; 0 if the author gave none.
    pub size_bytes: u32,
    /// What it names.
    pub kind: SymbolKind,
}

impl Symbol {
    /// Returns the name in source form if a Rust or C++ compiler mangled it: `<m::Thing<u32>>::load`, without hashes.
    /// Every other name is returned unchanged.
    ///
    /// Each call demangles the name. A name whose readable form exceeds 4 KiB stays mangled.
    pub fn demangled(&self) -> Cow<'_, str> {
        demangled(&self.name)
    }
}

/// What a symbol names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymbolKind {
    /// Code.
    Function,
    /// Data.
    Object,
    /// A label without a type, from assembly or a linker script.
    Other,
}

/// All symbols by address, and the symbol that names each stretch of code.
pub(super) struct SymbolTable {
    symbols: Vec<Symbol>,
    code: Vec<Extent>,
}

/// A stretch of code with one name. Starts are distinct, and the nearest one at or below an address decides. A lookup
/// is therefore one binary search, however the symbols themselves overlap.
struct Extent {
    start: u32,
    end: u64,
    symbol_index: usize,
}

impl SymbolTable {
    /// Builds the table. `segments` must be sorted and disjoint.
    pub(super) fn new(mut symbols: Vec<Symbol>, segments: &[Segment]) -> SymbolTable {
        // If an address has several names, the first in this order wins: functions first, then the longest. The name is
        // the last key, so that the order does not depend on the file's.
        symbols.sort_by(|a, b| {
            let key = |symbol: &Symbol| (symbol.address, symbol.kind, Reverse(symbol.size_bytes));
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        symbols.dedup();

        let mut code: Vec<Extent> = Vec::new();
        for (symbol_index, symbol) in symbols.iter().enumerate() {
            let start = symbol.address;
            let segment = segment_at(segments, start).filter(|segment| segment.permissions.execute);
            let Some(segment) = segment.filter(|_| symbol.kind != SymbolKind::Object) else { continue };
            if let Some(below) = code.last() {
                let is_taken = below.start == start;
                let is_label_inside = symbol.kind == SymbolKind::Other && u64::from(start) < below.end;
                if is_taken || is_label_inside {
                    continue;
                }
            }
            let end = if symbol.size_bytes > 0 {
                u64::from(start) + u64::from(symbol.size_bytes)
            } else {
                let mut above = symbols.iter().skip(symbol_index).map(|symbol| symbol.address);
                above.find(|&address| address > start).map_or(segment.end(), u64::from)
            };
            code.push(Extent { start, end: end.min(segment.end()), symbol_index });
        }
        SymbolTable { symbols, code }
    }

    pub(super) fn all(&self) -> &[Symbol] {
        &self.symbols
    }

    pub(super) fn code_at(&self, address: u32) -> Option<(&Symbol, u32)> {
        let after = self.code.partition_point(|extent| extent.start <= address);
        let extent = self.code.get(after.checked_sub(1)?).filter(|extent| u64::from(address) < extent.end)?;
        Some((self.symbols.get(extent.symbol_index)?, address - extent.start))
    }
}
