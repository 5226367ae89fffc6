//! The library's own host: its configuration, and what a guest has made of it. This file must not know how system calls
//! are carried out.

use std::collections::BTreeMap;

use ::serde::de::DeserializeOwned;

use super::assumptions::Assumptions;
use super::keccak::Keccak;
use super::quota::Quota;
use super::slice_io::Channel;
use super::streams::Streams;
use super::{AssumptionUse, Digest, HostEnvBuilder, HostError, KeccakRequest};
use crate::callers::{self, Input, Output};
use crate::risc0::serde;

/// Default size of segments.
const DEFAULT_SEGMENT_PO2: u32 = 20;

/// The environment of a guest, and the results that the guest leaves there. Made by [`HostEnv::builder`]. It serves one
/// session, including pauses.
///
/// ```
/// use tachy::risc0::host::HostEnv;
///
/// let env = HostEnv::builder().write(&(7u32, "seven"))?.env_var("RUST_BACKTRACE", "1").build()?;
/// # Ok::<(), tachy::risc0::host::HostError>(())
/// ```
pub struct HostEnv<'env> {
    pub(super) args: Vec<String>,
    pub(super) env_vars: BTreeMap<String, String>,
    pub(super) session_limit: Option<u64>,
    pub(super) segment_limit_po2: Option<u32>,
    pub(super) input_digest: Option<Digest>,
    pub(super) povw: Option<([u8; 20], u64)>,
    pub(super) streams: Streams<'env>,
    pub(super) channels: BTreeMap<String, Channel<'env>>,
    pub(super) assumptions: Assumptions,
    pub(super) keccak: Keccak<'env>,
    pub(super) random: Input<'env>,
    pub(super) random_seed: Option<[u8; 32]>,
    pub(super) kernel_output: Output<'env>,
    pub(super) quota: Quota,
    /// a0 and a1 of the last system call.
    pub(super) results: (u32, u32),
    pub(super) counts: BTreeMap<String, SyscallCount>,
}

impl<'env> HostEnv<'env> {
    /// Returns a builder with the defaults: no input, and output that is dropped.
    pub fn builder() -> HostEnvBuilder<'env> {
        HostEnvBuilder::new()
    }

    /// Returns the limit of the session's user cycles; reaching it is an error.
    pub fn session_limit(&self) -> Option<u64> {
        self.session_limit
    }

    /// Returns the base-2 logarithm of the largest segment's cycles; 20 by default.
    pub fn segment_limit_po2(&self) -> u32 {
        self.segment_limit_po2.unwrap_or(DEFAULT_SEGMENT_PO2)
    }

    /// Returns [`HostEnv::segment_limit_po2`], or `None` if it was not set.
    pub(crate) fn given_segment_limit_po2(&self) -> Option<u32> {
        self.segment_limit_po2
    }

    /// Returns [`HostEnv::input_digest`], or `None` if it was not set.
    pub(crate) fn given_input_digest(&self) -> Option<Digest> {
        self.input_digest
    }

    /// Returns the work log and job that count the proofs of the session's segments, if any.
    pub fn povw(&self) -> Option<([u8; 20], u64)> {
        self.povw
    }

    /// Returns the digest that the guest gets as its input; zero by default.
    pub fn input_digest(&self) -> Digest {
        self.input_digest.unwrap_or_default()
    }

    /// Returns the seed of the guest's random bytes, either set or drawn by the system. Returns `None` if the caller
    /// supplies the bytes.
    pub fn random_seed(&self) -> Option<[u8; 32]> {
        self.random_seed
    }

    /// Returns the journal so far, whether or not the guest will commit to it.
    pub fn journal(&self) -> &[u8] {
        self.streams.journal()
    }

    /// Returns the number of bytes written so far to the caller's streams.
    pub fn output_bytes(&self) -> u64 {
        self.streams.output_bytes()
    }

    /// Limits the output of the next run, in addition to the host's own limit.
    pub(crate) fn set_run_limit_output(&mut self, bytes: Option<u64>) {
        self.streams.limit_run_output_bytes = bytes;
    }

    /// Returns the counts of system calls carried out so far, by name. Standard calls appear without their path
    /// (`SYS_READ`).
    pub fn counts(&self) -> impl Iterator<Item = (&str, SyscallCount)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// Flushes the caller's streams.
    ///
    /// # Errors
    /// Returns [`HostError::Stream`] if a stream fails.
    pub fn flush(&mut self) -> Result<(), HostError> {
        self.streams.flush()
    }

    /// Ends a run, either paused or halted, and returns its results. `committed` states whether its output digest is
    /// nonzero: the journal counts only then. The next run begins with an empty journal.
    pub fn finish(&mut self, committed: bool) -> HostOutput {
        let bytes = self.streams.take_journal();
        HostOutput {
            journal: committed.then_some(Journal { bytes }),
            assumptions: self.assumptions.take_used(&mut self.quota),
            keccaks: self.keccak.take_requests(&mut self.quota),
        }
    }

    /// Carries out a call as a unit. If the caller's code panics, the host returns to its earlier state. Streams move
    /// no byte twice when the guest repeats the call.
    pub(super) fn whole<R>(&mut self, call: impl FnOnce(&mut Self) -> Result<R, HostError>) -> Result<R, HostError> {
        let (output_bytes, kept_bytes) = (self.streams.output_bytes(), self.quota.bytes());
        let answered = callers::call(|| call(self));
        let done = matches!(answered, Ok(Ok(_)));
        self.streams.end_call(done);
        self.random.end_step(done);
        self.kernel_output.end_step(done);
        answered.unwrap_or_else(|panic| {
            self.streams.set_output_bytes(output_bytes);
            self.quota.set_bytes(kept_bytes);
            panic.resume()
        })
    }

    /// Counts a system call.
    pub(super) fn count(&mut self, name: &str, bytes: u64) {
        let count = match self.counts.get_mut(name) {
            Some(count) => count,
            None => self.counts.entry(name.to_owned()).or_default(),
        };
        count.calls += 1;
        count.bytes += bytes;
    }
}

/// Counts of one system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyscallCount {
    /// Calls that were not refused. Each request of the kernel counts as one read or write.
    pub calls: u64,
    /// Bytes of data moved between host and guest, without names and results.
    pub bytes: u64,
}

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOutput {
    /// The journal, if the run committed to one.
    pub journal: Option<Journal>,
    /// The assumptions that were used, last used first.
    pub assumptions: Vec<AssumptionUse>,
    /// Batches of Keccak permutations to prove, in order.
    pub keccaks: Vec<KeccakRequest>,
}

/// The public output of a guest.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Journal {
    /// The bytes as the guest wrote them.
    pub bytes: Vec<u8>,
}

impl Journal {
    /// Decodes the value at the start of the journal, in the format of [`risc0::serde`](crate::risc0::serde) that
    /// guests commit.
    ///
    /// # Errors
    /// Fails as [`serde::from_bytes`] does.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde::Error> {
        serde::from_bytes(&self.bytes)
    }
}

impl std::fmt::Debug for HostEnv<'_> {
    /// Prints settings and counts, without the guest's input and output.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("HostEnv");
        shown.field("args", &self.args).field("env_vars", &self.env_vars.keys());
        shown.field("session_limit", &self.session_limit).field("segment_limit_po2", &self.segment_limit_po2);
        shown.field("input_digest", &self.input_digest).field("journal_bytes", &self.journal().len());
        shown.finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}
