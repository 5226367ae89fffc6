//! System calls that the caller defines: the guest sends bytes and gets bytes back. This file must not know their
//! meaning.
//!
//! A guest makes such a call at least twice. The first call has no buffer and returns the length of the answer; the
//! others copy the answer, piece by piece.

use super::guest::{A3, A4, Guest, Region};
use super::quota::Quota;
use super::streams::copy;
use super::{CallbackError, HostError};

/// Answers a caller's own system call.
pub trait SliceIo: Send {
    /// Returns the bytes for the guest, given the bytes that it sent to the system call `name`.
    ///
    /// # Errors
    /// The implementer's own errors; they end the run with [`HostError::Callback`].
    fn handle_io(&mut self, name: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError>;
}

/// A closure that answers one system call.
pub(super) struct Callback<F>(pub(super) F);

impl<F: FnMut(&[u8]) -> Result<Vec<u8>, CallbackError> + Send> SliceIo for Callback<F> {
    fn handle_io(&mut self, _: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError> {
        (self.0)(from_guest)
    }
}

/// One such system call, and the part of its answer that the guest has not fetched yet.
pub(super) struct Channel<'env> {
    handler: Box<dyn SliceIo + 'env>,
    answer: Option<(Vec<u8>, usize)>,
}

impl<'env> Channel<'env> {
    pub(super) fn new(handler: impl SliceIo + 'env) -> Channel<'env> {
        Channel { handler: Box::new(handler), answer: None }
    }

    /// Carries out the call. Returns a0 and the number of bytes moved in either direction.
    pub(super) fn call(
        &mut self,
        name: &str,
        guest: &dyn Guest,
        quota: &mut Quota,
        to_guest: &mut [u8],
    ) -> Result<(u32, u64), HostError> {
        if let Some((answer, fetched)) = self.answer.take() {
            let bytes = copy(answer.get(fetched..).unwrap_or_default(), to_guest);
            match fetched + bytes < answer.len() {
                true => self.answer = Some((answer, fetched + bytes)),
                false => quota.give(answer.len() as u64),
            }
            return Ok((bytes as u32, bytes as u64));
        }
        let region = Region::new(guest.register(A3), guest.register(A4))?;
        if !to_guest.is_empty() {
            let reason = "a buffer of 0 bytes must ask for the answer's length first".to_owned();
            let risc0 = Some("invalid sys_slice_io call".to_owned());
            return Err(HostError::Arguments { syscall: "slice io", reason, risc0 });
        }
        quota.take(region.bytes().into())?;
        let answer = self.handler.handle_io(name, &region.load(guest));
        quota.give(region.bytes().into());
        let answer = answer.map_err(|source| HostError::Callback { name: name.to_owned(), source })?;
        let bytes = answer.len() as u64;
        quota.take(bytes)?;
        let length = u32::try_from(bytes).map_err(|_| HostError::KeptLimit { bytes, limit_bytes: u32::MAX.into() })?;
        self.answer = Some((answer, 0));
        Ok((length, region.bytes().into()))
    }
}
