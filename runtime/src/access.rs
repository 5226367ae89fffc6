//! The two small vocabularies that generated code and its helpers share: what was tried, and what to do next.

/// What an instruction tries to do with guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read this many bytes: 1, 2 or 4.
    Load(u32),
    /// Write this many bytes: 1, 2 or 4.
    Store(u32),
    /// Fetch an instruction.
    Fetch,
}

impl Access {
    /// Bytes that must divide the address.
    pub const fn align_bytes(self) -> u32 {
        match self {
            Access::Load(bytes) | Access::Store(bytes) => bytes,
            Access::Fetch => 4,
        }
    }
}

/// What generated code asks the access helper about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// One access, at the address that it gives.
    Access(Access),
    /// A window: the accesses among as many instructions as it gives, from the pc on.
    Window,
}

impl Asked {
    /// The number by which generated code says it: in the low byte what is asked about, above it the steps of the block
    /// that are not done yet, `undone`, and above those the `steps` that the slice still has room for.
    pub const fn pack(self, undone: u8, steps: u16) -> u32 {
        let code = match self {
            Asked::Access(Access::Fetch) => 0,
            Asked::Access(Access::Load(bytes)) => bytes,
            Asked::Access(Access::Store(bytes)) => bytes | 8,
            Asked::Window => 16,
        };
        code | (undone as u32) << 8 | (steps as u32) << 16
    }

    /// The inverse of [`Asked::pack`].
    pub const fn unpack(packed: u32) -> (Asked, u8, u16) {
        let asked = match packed & 0xff {
            0 => Asked::Access(Access::Fetch),
            code if code & 16 != 0 => Asked::Window,
            code if code & 8 != 0 => Asked::Access(Access::Store(code & 7)),
            code => Asked::Access(Access::Load(code & 7)),
        };
        (asked, (packed >> 8) as u8, (packed >> 16) as u16)
    }
}

/// What generated code does after a helper returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on where it was.
    Continue,
    /// Leave native code before the step that asked; the context then holds the exact state before that step.
    Stop,
}
