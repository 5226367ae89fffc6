//! Configures a host, in the reference's vocabulary. This file must not know how guests use it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Write};
use std::ops::RangeInclusive;

use ::serde::Serialize;
use bytemuck::NoUninit;

use super::assumptions::Assumptions;
use super::keccak::{self, Keccak};
use super::quota::Quota;
use super::slice_io::{Callback, Channel};
use super::streams::{JOURNAL, STDERR, STDIN, STDOUT, Streams};
use super::syscalls::MAX_NAME_BYTES;
use super::{Assumption, CallbackError, Digest, HostEnv, HostError, KeccakRequest, SliceIo};
use crate::callers::{Input, Output};
use crate::risc0::serde;

/// Sizes of segments that can be executed. RISC Zero's prover takes up to 24.
const SEGMENT_PO2: RangeInclusive<u32> = 13..=31;
/// Default limit of the journal: the reference's 100 MB.
const DEFAULT_JOURNAL_BYTES: u64 = 100 << 20;
/// Default limit of the bytes that the host keeps for a guest, apart from the journal.
const DEFAULT_KEPT_BYTES: u64 = 256 << 20;

/// Configures a [`HostEnv`].
pub struct HostEnvBuilder<'env> {
    env: HostEnv<'env>,
    /// The guest's stdin, if anything was written to it.
    input: Vec<u8>,
    /// Readable and writable descriptors of the guest so far.
    sources: BTreeSet<u32>,
    targets: BTreeSet<u32>,
    /// Whether the guest's random bytes derive from a seed that the system draws.
    draws_seed: bool,
    /// The first invalid setting.
    fault: Option<HostError>,
}

impl<'env> HostEnvBuilder<'env> {
    pub(super) fn new() -> HostEnvBuilder<'env> {
        let env = HostEnv {
            args: Vec::new(),
            env_vars: BTreeMap::new(),
            session_limit: None,
            segment_limit_po2: None,
            input_digest: None,
            povw: None,
            streams: Streams::new(DEFAULT_JOURNAL_BYTES),
            channels: BTreeMap::new(),
            assumptions: Assumptions::default(),
            keccak: Keccak::new(keccak::DEFAULT_PO2),
            random: Input::new(io::empty()),
            random_seed: None,
            kernel_output: Output::new(io::sink()),
            quota: Quota::new(DEFAULT_KEPT_BYTES),
            results: (0, 0),
            counts: BTreeMap::new(),
        };
        HostEnvBuilder {
            env,
            input: Vec::new(),
            sources: BTreeSet::new(),
            targets: BTreeSet::new(),
            draws_seed: true,
            fault: None,
        }
    }

    /// Builds the host, and resets the builder.
    ///
    /// # Errors
    /// Returns [`HostError::Configuration`] for the first invalid setting. Returns [`HostError::Seed`] if the system
    /// gives no random bytes and neither [`Self::random_seed`] nor [`Self::random`] was called.
    pub fn build(&mut self) -> Result<HostEnv<'env>, HostError> {
        if !self.input.is_empty() {
            let input = std::mem::take(&mut self.input);
            self.read_fd(STDIN, Cursor::new(input));
        }
        let HostEnvBuilder { mut env, draws_seed, fault, .. } = std::mem::replace(self, HostEnvBuilder::new());
        if draws_seed && fault.is_none() {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| HostError::Seed { source: error.into() })?;
            (env.random, env.random_seed) = (Input::new(seeded(seed)), Some(seed));
        }
        fault.map_or(Ok(env), Err)
    }

    /// Adds a value to the guest's input, in the format of [`risc0::serde`](crate::risc0::serde). The guest reads it
    /// with `env::read`.
    ///
    /// # Errors
    /// Fails as [`serde::to_words`] does.
    pub fn write<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<&mut Self, HostError> {
        for word in serde::to_words(data)? {
            self.input.extend(word.to_le_bytes());
        }
        Ok(self)
    }

    /// Adds numbers to the guest's input, as they lie in memory. The guest reads them with `env::read_slice`.
    pub fn write_slice<T: NoUninit>(&mut self, slice: &[T]) -> &mut Self {
        self.input.extend_from_slice(bytemuck::cast_slice(slice));
        self
    }

    /// Adds bytes to the guest's input, preceded by their length. The guest reads them with `env::read_frame`. The
    /// maximum length is 2^32 - 1.
    pub fn write_frame(&mut self, payload: &[u8]) -> &mut Self {
        match u32::try_from(payload.len()) {
            Ok(bytes) => self.input.extend(bytes.to_le_bytes()),
            Err(_) => self.refuse("a frame's size in bytes", payload.len(), format!("up to {}", u32::MAX)),
        }
        self.input.extend_from_slice(payload);
        self
    }

    /// Sets the stream that the guest reads from descriptor 0. Excludes input that is written to this builder.
    pub fn stdin(&mut self, reader: impl Read + Send + 'env) -> &mut Self {
        self.read_fd(STDIN, reader)
    }

    /// Sets the stream for the guest's descriptor 1 and its logs. By default, they are dropped.
    pub fn stdout(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.write_fd(STDOUT, writer)
    }

    /// Sets the stream for the guest's descriptor 2. By default, its output is dropped.
    pub fn stderr(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.write_fd(STDERR, writer)
    }

    /// Sets the stream that the guest reads from a descriptor, once per descriptor. A read continues until it has the
    /// requested bytes or the stream ends, as in RISC Zero. A run therefore does not depend on the pieces in which
    /// input arrives.
    pub fn read_fd(&mut self, descriptor: u32, reader: impl Read + Send + 'env) -> &mut Self {
        if !self.sources.insert(descriptor) {
            self.refuse("a descriptor to read", descriptor, "one input for each descriptor".to_owned());
        }
        self.env.streams.add_source(descriptor, reader);
        self
    }

    /// Sets the stream that the guest writes to through a descriptor, once per descriptor. Descriptor 3 is the journal
    /// and cannot be set.
    pub fn write_fd(&mut self, descriptor: u32, writer: impl Write + Send + 'env) -> &mut Self {
        if descriptor == JOURNAL {
            self.refuse("a descriptor to write", descriptor, "another one: 3 is the journal".to_owned());
        }
        if !self.targets.insert(descriptor) {
            self.refuse("a descriptor to write", descriptor, "one output for each descriptor".to_owned());
        }
        self.env.streams.add_target(descriptor, writer);
        self
    }

    /// Sets the stream for the kernel's own messages (machine ecall 2), such as the reason of a panic. By default, they
    /// are dropped.
    pub fn kernel_output(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.env.kernel_output = Output::new(writer);
        self
    }

    /// Adds arguments. The guest sees exactly these, without a program name.
    pub fn args<A: Into<String>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.env.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the guest's environment, once per name.
    pub fn env_var(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let name = name.into();
        if self.env.env_vars.contains_key(&name) {
            self.refuse("a variable", &name, "one value for each name".to_owned());
        }
        self.env.env_vars.insert(name, value.into());
        self
    }

    /// Sets the guest's environment to exactly these variables, and removes all earlier ones.
    pub fn env_vars<K: Into<String>, V: Into<String>>(&mut self, vars: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.env.env_vars = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Limits the session's user cycles; unlimited by default.
    pub fn session_limit(&mut self, cycles: Option<u64>) -> &mut Self {
        self.env.session_limit = cycles;
        self
    }

    /// Limits segments to 2^`po2` cycles, 13 to 31; 20 by default. RISC Zero's prover takes segments of up to 2^24.
    pub fn segment_limit_po2(&mut self, po2: u32) -> &mut Self {
        if !SEGMENT_PO2.contains(&po2) {
            self.refuse("the segment limit po2", po2, format!("{SEGMENT_PO2:?}"));
        }
        self.env.segment_limit_po2 = Some(po2);
        self
    }

    /// Sets the digest that the guest gets as its input.
    pub fn input_digest(&mut self, digest: Digest) -> &mut Self {
        self.env.input_digest = Some(digest);
        self
    }

    /// Counts the proofs of the session's segments as verifiable work, in a job of a work log. Each segment gets its
    /// identifier there. The log is a 160-bit number, big-endian.
    pub fn povw(&mut self, log: [u8; 20], job: u64) -> &mut Self {
        self.env.povw = Some((log, job));
        self
    }

    /// Adds an assumption that the guest may verify.
    pub fn add_assumption(&mut self, assumption: Assumption) -> &mut Self {
        self.env.assumptions.add(assumption);
        self
    }

    /// Adds a handler for the caller's own system call `name`. The full name of a standard call replaces that call.
    pub fn slice_io(&mut self, name: impl Into<String>, handler: impl SliceIo + 'env) -> &mut Self {
        let name = name.into();
        if name.len() > MAX_NAME_BYTES || name.contains('\0') {
            self.refuse("the name of a system call", &name, format!("at most {MAX_NAME_BYTES} bytes, none of them 0"));
        }
        self.env.channels.insert(name, Channel::new(handler));
        self
    }

    /// Adds a closure for the caller's own system call `name`. It maps the bytes from the guest to the bytes for the
    /// guest.
    pub fn io_callback(
        &mut self,
        name: impl Into<String>,
        callback: impl FnMut(&[u8]) -> Result<Vec<u8>, CallbackError> + Send + 'env,
    ) -> &mut Self {
        self.slice_io(name, Callback(callback))
    }

    /// Limits Keccak proofs to 2^`po2` cycles, 14 to 18; 17 by default. A batch has at most 2^`po2` / 200 permutations.
    pub fn keccak_max_po2(&mut self, po2: u32) -> &mut Self {
        match keccak::PO2.contains(&po2) {
            true => self.env.keccak.po2 = po2,
            false => self.refuse("the Keccak po2", po2, format!("{:?}", keccak::PO2)),
        }
        self
    }

    /// Passes each batch of Keccak permutations to `callback` when the guest closes it, instead of keeping it until the
    /// end.
    pub fn coprocessor_callback(
        &mut self,
        callback: impl FnMut(KeccakRequest) -> Result<(), CallbackError> + Send + 'env,
    ) -> &mut Self {
        self.env.keccak.coprocessor = Some(Box::new(callback));
        self
    }

    /// Sets the source of the guest's random bytes. The default is that of [`Self::random_seed`], with a seed that the
    /// system draws when the host is built.
    pub fn random(&mut self, source: impl Read + Send + 'env) -> &mut Self {
        (self.env.random, self.env.random_seed, self.draws_seed) = (Input::new(source), None, false);
        self
    }

    /// Derives the guest's random bytes from a seed: they are the output of BLAKE3 for empty input, keyed with the
    /// seed. With the same seed, a run repeats exactly. [`HostEnv::random_seed`] returns a drawn seed. Anyone who knows
    /// the seed knows the bytes.
    pub fn random_seed(&mut self, seed: [u8; 32]) -> &mut Self {
        self.random(seeded(seed));
        self.env.random_seed = Some(seed);
        self
    }

    /// Limits the journals of all parts of a session together; 100 MiB by default.
    pub fn limit_journal_bytes(&mut self, bytes: u64) -> &mut Self {
        self.env.streams.limit_journal_bytes = bytes;
        self
    }

    /// Limits what the guest and its kernel write to all of the caller's streams together, in addition to
    /// [`Limits::output_bytes`](crate::Limits::output_bytes). Unlimited by default.
    pub fn limit_output_bytes(&mut self, bytes: Option<u64>) -> &mut Self {
        self.env.streams.limit_output_bytes = bytes;
        self
    }

    /// Limits the bytes that the host keeps for the guest at any time; 256 MiB by default. It counts data in pipes
    /// (which may take up to four times as much memory), data to and from callbacks, Keccak batches and assumptions.
    pub fn limit_kept_bytes(&mut self, bytes: u64) -> &mut Self {
        self.env.quota.limit_bytes = bytes;
        self
    }

    fn refuse(&mut self, what: &'static str, found: impl ToString, expected: String) {
        self.fault.get_or_insert(HostError::Configuration { what, found: found.to_string(), expected });
    }
}

fn seeded(seed: [u8; 32]) -> impl Read + Send {
    blake3::Hasher::new_keyed(&seed).finalize_xof()
}

impl std::fmt::Debug for HostEnvBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("HostEnvBuilder");
        shown.field("env", &self.env).field("input_bytes", &self.input.len()).field("fault", &self.fault);
        shown.finish_non_exhaustive()
    }
}
