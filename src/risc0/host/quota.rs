//! Counts the bytes that a guest has the host keep, so that it cannot fill the host's memory. It must not know what for.

use super::HostError;

/// What is kept and what may be.
pub(super) struct Quota {
    bytes: u64,
    pub(super) limit_bytes: u64,
}

impl Quota {
    pub(super) fn new(limit_bytes: u64) -> Quota {
        Quota { bytes: 0, limit_bytes }
    }

    /// Counts `bytes` more, before they are kept.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), HostError> {
        let total = self.bytes.saturating_add(bytes);
        if total > self.limit_bytes {
            return Err(HostError::KeptLimit { bytes: total, limit_bytes: self.limit_bytes });
        }
        self.bytes = total;
        Ok(())
    }

    /// What is kept now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// As much is kept as before, after a call that was not done.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// These are kept no longer.
    pub(super) fn give(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
