//! Errors of R0VM's own. This file must not know how a run ends.

use thiserror::Error;

use super::host::HostError;
use super::machine::BigIntError;
use crate::error;
use crate::machine::StepError;

/// Why R0VM cannot carry out a step. [`tachy::Error::Machine`](crate::Error::Machine) contains it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The host refused the guest's request.
    #[error("the host refused the guest's call")]
    Host(#[source] HostError),
    /// A big-integer ecall is invalid.
    #[error("{0}")]
    BigInt(BigIntError),
    /// The program did something that the machine does not define.
    #[error("machine r0vm cannot carry out {what} {word:#010x}")]
    Illegal {
        /// What is wrong.
        what: &'static str,
        /// The offending word.
        word: u32,
    },
    /// An instruction took more cycles than fit into a segment; larger segments may hold it.
    #[error("segments of 2^{po2} cycles are too small for the instruction that ends")]
    SegmentTooSmall {
        /// Base-2 logarithm of a segment's cycles.
        po2: u32,
    },
}

impl error::MachineError for MachineError {
    fn kind(&self) -> &'static str {
        match self {
            MachineError::Host(HostError::OutputLimit { .. }) => "output-limit",
            MachineError::Host(HostError::Stream { .. }) => "stream",
            MachineError::Host(_) => "host",
            MachineError::BigInt(_) => "bigint",
            MachineError::Illegal { .. } => "machine",
            MachineError::SegmentTooSmall { .. } => "segment-too-small",
        }
    }

    fn is_limit(&self) -> bool {
        matches!(self, MachineError::Host(HostError::OutputLimit { .. }))
    }

    fn is_deterministic(&self) -> bool {
        matches!(self, MachineError::BigInt(_) | MachineError::Illegal { .. })
    }
}

/// Makes the error for something that the machine does not define.
pub(super) fn illegal(what: &'static str, word: u32) -> StepError {
    MachineError::Illegal { what, word }.into()
}

/// Makes the error for a refusal by the host.
pub(super) fn host_error(error: HostError) -> StepError {
    MachineError::Host(error).into()
}
