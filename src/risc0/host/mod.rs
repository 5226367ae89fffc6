//! The host of R0VM's guests: it answers their requests to the outside.
//!
//! A guest's system call reaches its kernel. The kernel forwards it to the host with two machine ecalls. `read` names
//! the call and has a buffer filled; `write` only carries the kernel's own messages. The host finds the arguments by
//! peeking at the guest's registers and memory, which costs the guest nothing.
//!
//! Everything here follows risc0-zkvm 3.0.6: names, lengths, results, refusals. Tachy returns an error if the reference
//! panics or stores data without bound, and if one call writes more than 256 MiB.
//!
//! A machine needs to know only [`Host`]. [`HostEnv`] is the library's own host, configured with the reference's
//! vocabulary. [`serde`](crate::risc0::serde) is the format of values that pass between host and guest.
//!
//! The host must not know machines or engines; it sees a guest only as a [`Guest`]. It prints nothing. Its answers are
//! a function of the caller's configuration, the seed for random bytes, and the guest's actions: they use no clock and
//! no variables of the process. The system draws the seed when the host is built, unless the caller sets one.

mod assumptions;
mod builder;
mod env;
mod error;
mod guest;
mod keccak;
mod keccak_root;
mod quota;
mod risc0_text;
mod slice_io;
mod streams;
mod syscalls;

pub use assumptions::{Assumption, AssumptionUse};
pub use builder::HostEnvBuilder;
pub use env::{HostEnv, HostOutput, Journal, SyscallCount};
pub use error::{CallbackError, HostError};
pub use guest::Guest;
pub use keccak::KeccakRequest;
pub use keccak_root::keccak_root;
pub use slice_io::SliceIo;

/// A digest as it lies in the guest's memory: eight little-endian words.
pub type Digest = [u8; 32];

/// Answers machine ecalls 1 (read) and 2 (write).
pub trait Host: Send {
    /// Answers machine ecall 1. `descriptor` is the address of a system call's name; the host carries out that call and
    /// fills `buffer`. A `descriptor` of 0 requests the results (a0, a1) of the previous system call, 8 bytes. Returns
    /// the number of bytes filled: the whole buffer for a system call, and 8 for results, even in a longer buffer.
    ///
    /// # Errors
    /// Any error ends the run, and with it the session. Earlier effects of streams and callbacks persist. Of all
    /// errors, only [`HostError::OutputLimit`] lets the run continue. It repeats the same call, which must have had no
    /// effect. After a panic, the run can continue too, and also repeats the call.
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError>;

    /// Answers machine ecall 2: the kernel writes a message. Returns the guest's result.
    ///
    /// # Errors
    /// As for [`Host::read`].
    fn write(&mut self, guest: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError>;
}

/// A host that its caller keeps.
impl<H: Host + ?Sized> Host for &mut H {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        (**self).read(guest, descriptor, buffer)
    }

    fn write(&mut self, guest: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        (**self).write(guest, descriptor, data)
    }
}
