//! The host's view of a guest. This file must not know how a guest runs.

use super::HostError;

/// Registers a3 to a5, the arguments of system calls that the host reads.
pub(super) const A3: u8 = 13;
pub(super) const A4: u8 = 14;
pub(super) const A5: u8 = 15;

/// The guest as the host sees it. Peeking costs nothing and pages nothing in.
///
/// Words of a register bank are the registers themselves. Memory that was never touched has the image's contents, or
/// zero.
pub trait Guest {
    /// Returns register `number`, 0 to 31, of the *user's* bank, because the kernel asks on behalf of the user.
    fn register(&self, number: u8) -> u32;

    /// Returns the word at `address`, whose low two bits are ignored.
    fn word(&self, address: u32) -> u32;

    /// Fills `buffer` with the bytes from `address`. They end below 2^32.
    fn bytes(&self, address: u32, buffer: &mut [u8]) {
        for (address, byte) in (address..=u32::MAX).zip(buffer) {
            *byte = (self.word(address & !3) >> (address % 4 * 8)) as u8;
        }
    }

    /// Returns the session's cycles of the guest itself (the reference's user cycles), including the first one of the
    /// current ecall.
    fn user_cycles(&self) -> u64;

    /// Returns the address of the user's ecall instruction.
    fn pc(&self) -> u32;
}

/// A range of guest memory, checked to lie inside the address space.
#[derive(Clone, Copy)]
pub(super) struct Region {
    address: u32,
    bytes: u32,
}

impl Region {
    /// Checks a range. It must end below 2^32; the reference also refuses one that ends there.
    pub(super) fn new(address: u32, bytes: u32) -> Result<Region, HostError> {
        match address.checked_add(bytes) {
            Some(_) => Ok(Region { address, bytes }),
            None => Err(HostError::Region { address, bytes }),
        }
    }

    pub(super) fn bytes(self) -> u32 {
        self.bytes
    }

    /// Loads all of it. The caller has checked that the size is acceptable.
    pub(super) fn load(self, guest: &dyn Guest) -> Vec<u8> {
        let mut data = vec![0; self.bytes as usize];
        guest.bytes(self.address, &mut data);
        data
    }

    /// Loads an array from its start. A shorter region fills only part of it.
    pub(super) fn load_array<const N: usize>(self, guest: &dyn Guest) -> [u8; N] {
        let mut data = [0; N];
        let bytes = N.min(self.bytes as usize);
        guest.bytes(self.address, data.get_mut(..bytes).unwrap_or_default());
        data
    }

    /// Passes the region on piece by piece, so that a length made up by the guest allocates no memory.
    pub(super) fn for_each_piece(
        self,
        guest: &dyn Guest,
        mut piece: impl FnMut(&[u8]) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let mut buffer = [0; 8 << 10];
        let mut done = 0;
        while done < self.bytes {
            let bytes = (self.bytes - done).min(buffer.len() as u32);
            let part = buffer.get_mut(..bytes as usize).unwrap_or_default();
            guest.bytes(self.address + done, part);
            piece(part)?;
            done += bytes;
        }
        Ok(())
    }
}
