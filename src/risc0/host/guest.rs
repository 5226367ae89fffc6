//! The guest as the host sees it. It must not know how a guest runs.

use super::HostError;

/// Registers a0 to a5, in which system calls take their arguments.
pub(super) const A3: u8 = 13;
pub(super) const A4: u8 = 14;
pub(super) const A5: u8 = 15;

/// The guest as the host may look at it: by peeking, which costs nothing and pages nothing in.
///
/// Words of a register bank are the registers themselves. Memory that was never touched is what the image has, or zero.
pub trait Guest {
    /// Register `number`, 0 to 31, of the *user's* bank: the kernel asks on the user's behalf.
    fn register(&self, number: u8) -> u32;

    /// The word at `address`, whose low two bits are ignored.
    fn word(&self, address: u32) -> u32;

    /// Fills `buffer` with the bytes from `address`, which end below 2^32.
    fn bytes(&self, address: u32, buffer: &mut [u8]) {
        for (address, byte) in (address..=u32::MAX).zip(buffer) {
            *byte = (self.word(address & !3) >> (address % 4 * 8)) as u8;
        }
    }

    /// Cycles of the session so far that are the guest's own (the reference's user cycles), the first one of the ecall
    /// at hand included.
    fn user_cycles(&self) -> u64;

    /// Address of the user's ecall instruction.
    fn pc(&self) -> u32;
}

/// A range of the guest's memory that was found to lie inside the address space.
#[derive(Clone, Copy)]
pub(super) struct Region {
    address: u32,
    bytes: u32,
}

impl Region {
    /// A region ends below 2^32; the reference refuses the one that ends there, too.
    pub(super) fn new(address: u32, bytes: u32) -> Result<Region, HostError> {
        match address.checked_add(bytes) {
            Some(_) => Ok(Region { address, bytes }),
            None => Err(HostError::Region { address, bytes }),
        }
    }

    pub(super) fn bytes(self) -> u32 {
        self.bytes
    }

    /// All of it. Who calls has found the size bearable.
    pub(super) fn load(self, guest: &dyn Guest) -> Vec<u8> {
        let mut data = vec![0; self.bytes as usize];
        guest.bytes(self.address, &mut data);
        data
    }

    /// An array from its beginning, as far as it reaches.
    pub(super) fn load_array<const N: usize>(self, guest: &dyn Guest) -> [u8; N] {
        let mut data = [0; N];
        let bytes = N.min(self.bytes as usize);
        guest.bytes(self.address, data.get_mut(..bytes).unwrap_or_default());
        data
    }

    /// Piece by piece, so that a length that a guest makes up takes no memory.
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
