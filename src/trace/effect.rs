//! Effects: what a step does outside its own row. This file must not know which machine did it.

use std::fmt;

use bytemuck::{Pod, Zeroable};

/// Kinds of effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum EffectKind {
    /// Reads a word; `before` equals `after`.
    Read = 0,
    /// Writes a word.
    Write = 1,
    /// Brings a page in.
    PageIn = 2,
    /// Marks a page that must be written out later.
    PageOut = 3,
}

/// Kinds of locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Space {
    /// Guest memory; the address is that of an aligned word.
    Memory = 0,
    /// The register file; the address is a register number.
    Register = 1,
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EffectKind::Read => "read",
            EffectKind::Write => "write",
            EffectKind::PageIn => "page-in",
            EffectKind::PageOut => "page-out",
        })
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Space::Memory => "memory",
            Space::Register => "register",
        })
    }
}

/// One word of what a step did outside its row: 28 bytes of data in 32, in this order, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Effect {
    /// The step that caused the effect, or before which it happened.
    pub step: u64,
    kind: u32,
    space: u32,
    /// Word address, or register number.
    pub addr: u32,
    /// Value before.
    pub before: u32,
    /// Value after.
    pub after: u32,
    _zero: u32,
}

impl Effect {
    /// Makes an effect.
    pub fn new(step: u64, kind: EffectKind, space: Space, addr: u32, before: u32, after: u32) -> Effect {
        Effect { step, kind: kind as u32, space: space as u32, addr, before, after, _zero: 0 }
    }

    /// Returns what happened.
    pub fn kind(&self) -> EffectKind {
        match self.kind {
            0 => EffectKind::Read,
            1 => EffectKind::Write,
            2 => EffectKind::PageIn,
            _ => EffectKind::PageOut,
        }
    }

    /// Returns where it happened.
    pub fn space(&self) -> Space {
        match self.space {
            0 => Space::Memory,
            _ => Space::Register,
        }
    }
}
