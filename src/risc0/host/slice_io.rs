//! System calls that the caller defines: the guest sends bytes, and gets bytes back. It must not know what they mean.
//!
//! A guest makes such a call twice and more: the first time without a buffer, to learn how long the answer is, then to
//! have it copied, piece by piece.

use super::guest::{A3, A4, Guest, Region};
use super::quota::Quota;
use super::streams::copy;
use super::{CallbackError, HostError};

/// Answers a system call of the caller's.
pub trait SliceIo: Send {
    /// What the guest gets for what it sent to the system call `name`.
    ///
    /// # Errors
    /// The implementer's own; the run ends with [`HostError::Callback`].
    fn handle_io(&mut self, name: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError>;
}

/// A closure that answers one system call.
pub(super) struct Callback<F>(pub(super) F);

impl<F: FnMut(&[u8]) -> Result<Vec<u8>, CallbackError> + Send> SliceIo for Callback<F> {
    fn handle_io(&mut self, _: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError> {
        (self.0)(from_guest)
    }
}

/// One such system call, and what the guest has yet to fetch.
pub(super) struct Channel<'env> {
    handler: Box<dyn SliceIo + 'env>,
    answer: Option<(Vec<u8>, usize)>,
}

impl<'env> Channel<'env> {
    pub(super) fn new(handler: impl SliceIo + 'env) -> Channel<'env> {
        Channel { handler: Box::new(handler), answer: None }
    }

    /// Carries the call out; gives a0 and how many bytes went either way.
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
            return Err(HostError::Arguments { syscall: "slice io", reason });
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
