//! The host that comes with the library: what it was configured with, and what a guest has made of it. It must not know
//! how system calls are carried out.

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

/// Segments are of this size if nobody says otherwise.
const DEFAULT_SEGMENT_PO2: u32 = 20;

/// What a guest finds around it, and what it leaves there. Made by [`HostEnv::builder`]; it serves one session, pauses
/// included.
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
    /// A builder that has everything by default: no input, output that is dropped.
    pub fn builder() -> HostEnvBuilder<'env> {
        HostEnvBuilder::new()
    }

    /// User cycles that the session may take; reaching them is an error.
    pub fn session_limit(&self) -> Option<u64> {
        self.session_limit
    }

    /// The largest segment, as a power of 2 of cycles; 20 by default.
    pub fn segment_limit_po2(&self) -> u32 {
        self.segment_limit_po2.unwrap_or(DEFAULT_SEGMENT_PO2)
    }

    /// As [`HostEnv::segment_limit_po2`]; none if it was not given.
    pub(crate) fn given_segment_limit_po2(&self) -> Option<u32> {
        self.segment_limit_po2
    }

    /// As [`HostEnv::input_digest`]; none if it was not given.
    pub(crate) fn given_input_digest(&self) -> Option<Digest> {
        self.input_digest
    }

    /// The log and the job in it that the proofs of the session's segments are counted in, if there is one.
    pub fn povw(&self) -> Option<([u8; 20], u64)> {
        self.povw
    }

    /// Digest that the guest finds as its input; zero by default.
    pub fn input_digest(&self) -> Digest {
        self.input_digest.unwrap_or_default()
    }

    /// The seed from which the guest's random bytes follow: the one that was set, or else the one that the system drew.
    /// None where they come from a source of the caller's.
    pub fn random_seed(&self) -> Option<[u8; 32]> {
        self.random_seed
    }

    /// The journal so far, whether it will be kept or not.
    pub fn journal(&self) -> &[u8] {
        self.streams.journal()
    }

    /// Bytes written so far to the caller's streams.
    pub fn output_bytes(&self) -> u64 {
        self.streams.output_bytes()
    }

    /// Limits output for the run to come, beside what the host was built with.
    pub(crate) fn set_run_limit_output(&mut self, bytes: Option<u64>) {
        self.streams.limit_run_output_bytes = bytes;
    }

    /// System calls carried out so far, by name: without the path for the ones everyone has (`SYS_READ`).
    pub fn counts(&self) -> impl Iterator<Item = (&str, SyscallCount)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// Flushes the caller's streams.
    ///
    /// # Errors
    /// [`HostError::Stream`].
    pub fn flush(&mut self) -> Result<(), HostError> {
        self.streams.flush()
    }

    /// Ends a run, paused or halted, and gives what it left. `committed` says whether its output digest is not zero:
    /// only then the journal counts. The next run begins with an empty one.
    pub fn finish(&mut self, committed: bool) -> HostOutput {
        let bytes = self.streams.take_journal();
        HostOutput {
            journal: committed.then_some(Journal { bytes }),
            assumptions: self.assumptions.take_used(&mut self.quota),
            keccaks: self.keccak.take_requests(&mut self.quota),
        }
    }

    /// Carries a call out. Where the caller's code panics in it, the host is as it was before, and streams move no byte
    /// twice when the guest makes the same call again.
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

/// How often a system call was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyscallCount {
    /// Calls that were not refused; a read or write is one call for each time that the kernel asks.
    pub calls: u64,
    /// Bytes of data that went from host to guest or back, names and results apart.
    pub bytes: u64,
}

/// What a run leaves with its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOutput {
    /// The journal, if the run committed to one.
    pub journal: Option<Journal>,
    /// Assumptions that were used, the last one first.
    pub assumptions: Vec<AssumptionUse>,
    /// Batches of Keccak permutations to be proven, in order.
    pub keccaks: Vec<KeccakRequest>,
}

/// What a guest made public.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Journal {
    /// As they were written.
    pub bytes: Vec<u8>,
}

impl Journal {
    /// The value that the journal begins with, as a guest commits it: in the format of [`words`].
    ///
    /// # Errors
    /// As [`serde::from_bytes`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde::Error> {
        serde::from_bytes(&self.bytes)
    }
}

impl std::fmt::Debug for HostEnv<'_> {
    /// Settings and counts; what the guest is given and what it wrote are left out.
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
