//! How a run ends without an error. Plain data; it must not know what runs.

/// How a run without an error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The program ended for good with this code.
    Exited {
        /// The program's exit code; a shell sees the low eight bits.
        code: u32,
    },
    /// The program paused with this code; only programs of machine `r0vm` can.
    /// [`Session::resume`](crate::Session::resume) lets it continue.
    Paused {
        /// The program's exit code.
        code: u32,
    },
    /// The requested step was reached; the session can continue.
    Reached,
}
