//! The names of the machines. This is plain data; other modules define what a machine does.

use std::fmt;

/// The machines that run programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MachineKind {
    /// Any static RV32IM program with a handful of Linux system calls.
    #[default]
    Bare,
    /// RISC Zero's R0VM 3.0, step for step and cycle for cycle.
    #[cfg(feature = "risc0")]
    R0vm,
}

impl fmt::Display for MachineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MachineKind::Bare => "bare",
            #[cfg(feature = "risc0")]
            MachineKind::R0vm => "r0vm",
        })
    }
}
