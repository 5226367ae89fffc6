//! Counts the bytes that the host keeps for a guest, so that the guest cannot exhaust the host's memory. It must not
//! know their purpose.

use super::HostError;

/// Bytes kept, and their limit.
pub(super) struct Quota {
    bytes: u64,
    pub(super) limit_bytes: u64,
}

impl Quota {
    pub(super) fn new(limit_bytes: u64) -> Quota {
        Quota { bytes: 0, limit_bytes }
    }

    /// Counts `bytes` more before they are stored.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), HostError> {
        let total = self.bytes.saturating_add(bytes);
        if total > self.limit_bytes {
            return Err(HostError::KeptLimit { bytes: total, limit_bytes: self.limit_bytes });
        }
        self.bytes = total;
        Ok(())
    }

    /// Returns the number of bytes kept now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Restores an earlier count, after a call that was not carried out.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Releases `bytes`.
    pub(super) fn give(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
