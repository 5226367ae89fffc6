//! R0VM's own errors inside an [`Error`]. This file must not know why they occur.

use crate::error::Error;
use crate::risc0::MachineError;
use crate::risc0::host::HostError;

/// For machine `r0vm`.
impl Error {
    /// Returns R0VM's own reason for failing a step, if that ended the run.
    pub fn risc0(&self) -> Option<&MachineError> {
        match self {
            Error::Machine(failure) => failure.error.downcast_ref(),
            _ => None,
        }
    }

    /// Returns the host's error, if that ended the run.
    pub fn host(&self) -> Option<&HostError> {
        match self.risc0() {
            Some(MachineError::Host(error)) => Some(error),
            _ => None,
        }
    }
}
