//! The host of R0VM's guests: what answers when a guest asks the world for something.
//!
//! A guest's system call reaches its kernel, and the kernel asks the host with two machine ecalls: `read`, which names
//! the call and has a buffer filled, and `write`, which only carries the kernel's own messages. What the call is about,
//! the host finds by peeking at the guest's registers and memory, which costs the guest nothing. Everything here follows
//! risc0-zkvm 3.0.6: names, lengths, results, refusals. Where that panics or keeps what it is given without end, there
//! is an error; so there is where one call writes more than 256 MiB.
//!
//! [`Host`] is all that a machine needs to know. [`HostEnv`] is the host that comes with the library, made by a builder
//! with the reference's vocabulary. [`serde`](crate::risc0::serde) is the format in which values go to
//! the guest and come back.
//!
//! The host must not know machines or engines; it sees a guest as a [`Guest`] and nothing more. It prints nothing, and
//! what it answers is a function of what the caller configured, of the seed for random bytes, and of what the guest did:
//! no clock, no variables of the process. The seed is drawn from the system when the host is built, unless it is given.

mod assumptions;
mod builder;
mod env;
mod error;
mod guest;
mod keccak;
mod quota;
mod slice_io;
mod streams;
mod syscalls;

pub use assumptions::{Assumption, AssumptionUse};
pub use builder::HostEnvBuilder;
pub use env::{HostEnv, HostOutput, Journal, SyscallCount};
pub use error::{CallbackError, HostError};
pub use guest::Guest;
pub use keccak::KeccakRequest;
pub use slice_io::SliceIo;

/// A digest as it lies in the guest's memory: eight little-endian words.
pub type Digest = [u8; 32];

/// What machine ecalls 1 (read) and 2 (write) ask of the world.
pub trait Host: Send {
    /// Machine ecall 1. `descriptor` is the address of a system call's name, which is carried out and fills `buffer`;
    /// or 0, which asks for the results (a0, a1) of the system call before it, 8 bytes. Says how much of the buffer was
    /// filled: all of it after a system call, 8 bytes for results, even in a longer buffer.
    ///
    /// # Errors
    /// Whatever the host refuses; the run ends with it, and the session with the run. What streams and callbacks did by
    /// then is done. After [`HostError::OutputLimit`] alone the run can go on, with the same call, of which nothing may have
    /// been done. After a panic it can go on as well: the same call is made again.
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError>;

    /// Machine ecall 2: the kernel says something. Gives what the guest gets for it.
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
