//! R0VM's own errors in an [`Error`].

use crate::error::Error;
use crate::risc0::MachineError;
use crate::risc0::host::HostError;

/// On machine `r0vm`.
impl Error {
    /// R0VM's own reason why it could not carry out a step, if that is what ended the run.
    pub fn risc0(&self) -> Option<&MachineError> {
        match self {
            Error::Machine(failure) => failure.error.downcast_ref(),
            _ => None,
        }
    }

    /// What the host refused, if that is what ended the run.
    pub fn host(&self) -> Option<&HostError> {
        match self.risc0() {
            Some(MachineError::Host(error)) => Some(error),
            _ => None,
        }
    }
}
