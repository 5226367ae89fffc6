//! How a run ends that does not fail. Plain data; it must not know what runs.

/// How a run that was no error ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The program ended for good with this code.
    Exited {
        /// The value it gave; a shell sees the low eight bits.
        code: u32,
    },
    /// The program paused with this code, as programs of machine `r0vm` can: [`Session::resume`](crate::Session::resume)
    /// makes it go on.
    Paused {
        /// The value it gave.
        code: u32,
    },
    /// The step asked for was reached; the session can go on.
    Reached,
}
