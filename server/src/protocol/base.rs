//! Messages of the protocol's package `base`: values that the other packages share.

use tachy::risc0::{Digest, Exit};

/// Eight words, each the little-endian number of four bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DigestMessage {
    /// The words; any other number than eight is not a digest.
    #[prost(uint32, repeated, tag = "1")]
    pub words: Vec<u32>,
}

impl From<Digest> for DigestMessage {
    fn from(digest: Digest) -> DigestMessage {
        DigestMessage { words: digest.0.to_vec() }
    }
}

impl DigestMessage {
    /// Returns the digest; `None` if the message does not have eight words.
    pub fn digest(&self) -> Option<Digest> {
        self.words.as_slice().try_into().ok().map(Digest)
    }
}

/// A semantic version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SemanticVersion {
    /// First number.
    #[prost(uint64, tag = "1")]
    pub major: u64,
    /// Second number.
    #[prost(uint64, tag = "2")]
    pub minor: u64,
    /// Third number.
    #[prost(uint64, tag = "3")]
    pub patch: u64,
    /// Name of a pre-release, or empty.
    #[prost(string, tag = "4")]
    pub pre: String,
    /// Build metadata, or empty.
    #[prost(string, tag = "5")]
    pub build: String,
}

impl std::fmt::Display for SemanticVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SemanticVersion { major, minor, patch, pre, build } = self;
        write!(f, "{major}.{minor}.{patch}")?;
        if !pre.is_empty() {
            write!(f, "-{pre}")?;
        }
        if !build.is_empty() {
            write!(f, "+{build}")?;
        }
        Ok(())
    }
}

/// The version of a receipt's format.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CompatVersion {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub value: u32,
}

/// How a program ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExitCode {
    /// One of the ends.
    #[prost(oneof = "ExitKind", tags = "1, 2, 3, 4")]
    pub kind: Option<ExitKind>,
}

/// The ends of a program.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ExitKind {
    /// Ended for good.
    #[prost(uint32, tag = "1")]
    Halted(u32),
    /// Paused until it is resumed.
    #[prost(uint32, tag = "2")]
    Paused(u32),
    /// A segment that is not the last one.
    #[prost(message, tag = "3")]
    SystemSplit(()),
    /// Ended by a limit.
    #[prost(message, tag = "4")]
    SessionLimit(()),
}

impl ExitCode {
    /// Returns the message for an end; `None` for an undefined one.
    pub fn new(exit: Exit) -> Option<ExitCode> {
        let kind = match exit {
            Exit::Halted(code) => ExitKind::Halted(code.into()),
            Exit::Paused(code) => ExitKind::Paused(code.into()),
            Exit::Unknown(_) => return None,
        };
        Some(ExitCode { kind: Some(kind) })
    }

    /// Returns the two numbers by which a claim's digest names the end.
    pub fn pair(&self) -> Option<(u32, u32)> {
        Some(match self.kind.as_ref()? {
            ExitKind::Halted(code) => (0, *code),
            ExitKind::Paused(code) => (1, *code),
            ExitKind::SystemSplit(()) => (2, 0),
            ExitKind::SessionLimit(()) => (2, 2),
        })
    }
}
