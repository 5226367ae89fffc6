//! Configures a host, in the reference's vocabulary. It must not know what guests do with it.

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

/// Segments that can be proven.
const SEGMENT_PO2: RangeInclusive<u32> = 13..=24;
/// The longest journal: the reference's 100 MB.
const DEFAULT_JOURNAL_BYTES: u64 = 100 << 20;
/// What a guest may have the host keep, other than the journal.
const DEFAULT_KEPT_BYTES: u64 = 256 << 20;

/// Configures a [`HostEnv`].
pub struct HostEnvBuilder<'env> {
    env: HostEnv<'env>,
    /// What the guest reads from stdin, if anything was written.
    input: Vec<u8>,
    /// Descriptors that the guest can read, and write, so far.
    sources: BTreeSet<u32>,
    targets: BTreeSet<u32>,
    /// Whether the guest's random bytes are to follow from a seed of the system's.
    draws_seed: bool,
    /// The first setting that makes no sense.
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

    /// The host; the builder is as new afterwards.
    ///
    /// # Errors
    /// [`HostError::Configuration`]: the first setting that makes no sense. [`HostError::Seed`]: the system gives no random
    /// bytes, and neither [`Self::random_seed`] nor [`Self::random`] was called.
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

    /// Adds a value to the guest's input, in the format of [`words`]; the guest takes it with `env::read`.
    ///
    /// # Errors
    /// As [`serde::to_words`].
    pub fn write<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<&mut Self, HostError> {
        for word in serde::to_words(data)? {
            self.input.extend(word.to_le_bytes());
        }
        Ok(self)
    }

    /// Adds numbers to the guest's input, as they lie in memory; the guest takes them with `env::read_slice`.
    pub fn write_slice<T: NoUninit>(&mut self, slice: &[T]) -> &mut Self {
        self.input.extend_from_slice(bytemuck::cast_slice(slice));
        self
    }

    /// Adds bytes to the guest's input, their number before them; the guest takes them with `env::read_frame`. There may
    /// be up to 2^32 - 1.
    pub fn write_frame(&mut self, payload: &[u8]) -> &mut Self {
        match u32::try_from(payload.len()) {
            Ok(bytes) => self.input.extend(bytes.to_le_bytes()),
            Err(_) => self.refuse("a frame's size in bytes", payload.len(), format!("up to {}", u32::MAX)),
        }
        self.input.extend_from_slice(payload);
        self
    }

    /// What the guest reads from descriptor 0; not together with what is written here.
    pub fn stdin(&mut self, reader: impl Read + Send + 'env) -> &mut Self {
        self.read_fd(STDIN, reader)
    }

    /// Takes what the guest writes to descriptor 1, and logs. It is dropped by default.
    pub fn stdout(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.write_fd(STDOUT, writer)
    }

    /// Takes what the guest writes to descriptor 2. It is dropped by default.
    pub fn stderr(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.write_fd(STDERR, writer)
    }

    /// What the guest reads from a descriptor, which can be given once. A read goes on until it has what was asked for or
    /// the stream ends, as RISC Zero's does, so that a run does not depend on the pieces in which input arrives.
    pub fn read_fd(&mut self, descriptor: u32, reader: impl Read + Send + 'env) -> &mut Self {
        if !self.sources.insert(descriptor) {
            self.refuse("a descriptor to read", descriptor, "one input for each descriptor".to_owned());
        }
        self.env.streams.add_source(descriptor, reader);
        self
    }

    /// Takes what the guest writes to a descriptor, which can be given once. Descriptor 3 is the journal and cannot be
    /// given.
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

    /// Takes what the kernel itself says (machine ecall 2), such as why it panicked. It is dropped by default.
    pub fn kernel_output(&mut self, writer: impl Write + Send + 'env) -> &mut Self {
        self.env.kernel_output = Output::new(writer);
        self
    }

    /// Adds arguments. The guest sees exactly these, no program name before them.
    pub fn args<A: Into<String>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.env.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the guest's environment, which can be given once.
    pub fn env_var(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let name = name.into();
        if self.env.env_vars.contains_key(&name) {
            self.refuse("a variable", &name, "one value for each name".to_owned());
        }
        self.env.env_vars.insert(name, value.into());
        self
    }

    /// Sets all variables of the guest's environment: there are no others, and those that were given before are gone.
    pub fn env_vars<K: Into<String>, V: Into<String>>(&mut self, vars: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.env.env_vars = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self
    }

    /// Limits the session's user cycles; none by default.
    pub fn session_limit(&mut self, cycles: Option<u64>) -> &mut Self {
        self.env.session_limit = cycles;
        self
    }

    /// Limits segments to 2^`po2` cycles, 13 to 24; 20 by default.
    pub fn segment_limit_po2(&mut self, po2: u32) -> &mut Self {
        if !SEGMENT_PO2.contains(&po2) {
            self.refuse("the segment limit po2", po2, format!("{SEGMENT_PO2:?}"));
        }
        self.env.segment_limit_po2 = Some(po2);
        self
    }

    /// Sets the digest that the guest finds as its input.
    pub fn input_digest(&mut self, digest: Digest) -> &mut Self {
        self.env.input_digest = Some(digest);
        self
    }

    /// Has the proofs of the session's segments counted as verifiable work, in a job of a log: each segment is given its
    /// name there. The log is a 160-bit number, big-endian.
    pub fn povw(&mut self, log: [u8; 20], job: u64) -> &mut Self {
        self.env.povw = Some((log, job));
        self
    }

    /// Adds an assumption that the guest may have verified.
    pub fn add_assumption(&mut self, assumption: Assumption) -> &mut Self {
        self.env.assumptions.add(assumption);
        self
    }

    /// Answers the system call `name` of the caller's own. One of a standard call's full name takes its place.
    pub fn slice_io(&mut self, name: impl Into<String>, handler: impl SliceIo + 'env) -> &mut Self {
        let name = name.into();
        if name.len() > MAX_NAME_BYTES || name.contains('\0') {
            self.refuse("the name of a system call", &name, format!("at most {MAX_NAME_BYTES} bytes, none of them 0"));
        }
        self.env.channels.insert(name, Channel::new(handler));
        self
    }

    /// Answers the system call `name` of the caller's own by a closure: what the guest sent to what it gets.
    pub fn io_callback(
        &mut self,
        name: impl Into<String>,
        callback: impl FnMut(&[u8]) -> Result<Vec<u8>, CallbackError> + Send + 'env,
    ) -> &mut Self {
        self.slice_io(name, Callback(callback))
    }

    /// Limits Keccak proofs to 2^`po2` cycles, 14 to 18; 17 by default. A batch has 2^`po2` / 200 permutations at most.
    pub fn keccak_max_po2(&mut self, po2: u32) -> &mut Self {
        match keccak::PO2.contains(&po2) {
            true => self.env.keccak.po2 = po2,
            false => self.refuse("the Keccak po2", po2, format!("{:?}", keccak::PO2)),
        }
        self
    }

    /// Takes batches of Keccak permutations as the guest closes them, instead of keeping them for the end.
    pub fn coprocessor_callback(
        &mut self,
        callback: impl FnMut(KeccakRequest) -> Result<(), CallbackError> + Send + 'env,
    ) -> &mut Self {
        self.env.keccak.coprocessor = Some(Box::new(callback));
        self
    }

    /// Where the guest's random bytes come from. By default they are those of [`Self::random_seed`] with a seed that the
    /// system draws when the host is built.
    pub fn random(&mut self, source: impl Read + Send + 'env) -> &mut Self {
        (self.env.random, self.env.random_seed, self.draws_seed) = (Input::new(source), None, false);
        self
    }

    /// Has the guest's random bytes follow from a seed: they are the output of BLAKE3 without input, keyed with it. With
    /// the same seed a run repeats exactly; [`HostEnv::random_seed`] gives the one that was drawn. Whoever knows the seed
    /// knows the bytes.
    pub fn random_seed(&mut self, seed: [u8; 32]) -> &mut Self {
        self.random(seeded(seed));
        self.env.random_seed = Some(seed);
        self
    }

    /// Limits the journal, those of a session's parts together; 100 MiB by default.
    pub fn limit_journal_bytes(&mut self, bytes: u64) -> &mut Self {
        self.env.streams.limit_journal_bytes = bytes;
        self
    }

    /// Limits what the guest and its kernel write to the caller's streams, all of them together, beside
    /// [`Limits::output_bytes`](crate::Limits::output_bytes); not limited by default.
    pub fn limit_output_bytes(&mut self, bytes: Option<u64>) -> &mut Self {
        self.env.streams.limit_output_bytes = bytes;
        self
    }

    /// Limits what the host keeps for the guest at any time: in pipes (which may take up to four times as much), between
    /// it and callbacks, of Keccak and of assumptions; 256 MiB by default.
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
