//! The environment of an execution, with the names and accepted types of risc0-zkvm's `ExecutorEnv`. This file must not
//! know how a guest runs.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Result, bail};
use bytes::Bytes;
use risc0_binfmt::PovwJobId;
use risc0_zkvm::{AssumptionReceipt, CoprocessorCallback, Digest, TraceCallback};
use serde::Serialize;

/// Answers a system call of the host's own, as risc0-zkvm's trait of this name.
pub trait SliceIo {
    /// Returns the bytes for the guest, from those that it sent.
    ///
    /// # Errors
    /// An error ends the session with this error.
    fn handle_io(&mut self, syscall: &str, from_guest: Bytes) -> Result<Bytes>;
}

struct FromFn<F>(F);

impl<F: Fn(Bytes) -> Result<Bytes>> SliceIo for FromFn<F> {
    fn handle_io(&mut self, _: &str, from_guest: Bytes) -> Result<Bytes> {
        (self.0)(from_guest)
    }
}

/// The streams, calls, inputs and limits of a guest.
#[derive(Default)]
pub struct ExecutorEnv<'a> {
    pub(crate) env_vars: HashMap<String, String>,
    pub(crate) args: Vec<String>,
    pub(crate) keccak_max_po2: Option<u32>,
    pub(crate) segment_limit_po2: Option<u32>,
    pub(crate) session_limit: Option<u64>,
    pub(crate) input: Vec<u8>,
    pub(crate) readers: BTreeMap<u32, Box<dyn Read + 'a>>,
    pub(crate) writers: BTreeMap<u32, Box<dyn Write + 'a>>,
    pub(crate) slices: BTreeMap<String, Box<dyn SliceIo + 'a>>,
    pub(crate) trace: Vec<Box<dyn TraceCallback + 'a>>,
    pub(crate) assumptions: Vec<AssumptionReceipt>,
    pub(crate) segment_path: Option<PathBuf>,
    pub(crate) input_digest: Option<Digest>,
    pub(crate) coprocessor: Option<Rc<RefCell<dyn CoprocessorCallback + 'a>>>,
    pub(crate) povw: Option<PovwJobId>,
}

impl<'a> ExecutorEnv<'a> {
    /// Returns a builder with RISC Zero's defaults: no input, and the guest's output goes to this process's streams.
    pub fn builder() -> ExecutorEnvBuilder<'a> {
        ExecutorEnvBuilder::default()
    }
}

impl std::fmt::Debug for ExecutorEnv<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ExecutorEnv");
        shown.field("segment_limit_po2", &self.segment_limit_po2).field("session_limit", &self.session_limit);
        shown.finish_non_exhaustive()
    }
}

fn keccak_po2(limit: u32) -> Result<u32> {
    if !(14..=18).contains(&limit) {
        bail!("invalid keccak po2 {limit}. Expected range: 14..=18");
    }
    Ok(limit)
}

/// Builds an [`ExecutorEnv`].
#[derive(Debug, Default)]
pub struct ExecutorEnvBuilder<'a> {
    env: ExecutorEnv<'a>,
}

impl<'a> ExecutorEnvBuilder<'a> {
    /// Returns the environment, and empties the builder. The variable `RISC0_KECCAK_PO2` replaces
    /// [`Self::keccak_max_po2`].
    ///
    /// # Errors
    /// Fails if that variable is no number that the setting accepts.
    pub fn build(&mut self) -> Result<ExecutorEnv<'a>> {
        let mut env = std::mem::take(&mut self.env);
        if let Ok(po2) = std::env::var("RISC0_KECCAK_PO2") {
            env.keccak_max_po2 = Some(keccak_po2(po2.parse()?)?);
        }
        if !env.input.is_empty() {
            let input = std::mem::take(&mut env.input);
            env.readers.insert(0, Box::new(std::io::Cursor::new(input)));
        }
        Ok(env)
    }

    /// Limits segments to 2^`limit` cycles, 13 to 24; 20 by default.
    pub fn segment_limit_po2(&mut self, limit: u32) -> &mut Self {
        self.env.segment_limit_po2 = Some(limit);
        self
    }

    /// Limits Keccak proofs to 2^`limit` cycles, 14 to 18; 17 by default.
    ///
    /// # Errors
    /// Refuses other numbers.
    pub fn keccak_max_po2(&mut self, limit: u32) -> Result<&mut Self> {
        self.env.keccak_max_po2 = Some(keccak_po2(limit)?);
        Ok(self)
    }

    /// Limits the session's user cycles; unlimited by default.
    pub fn session_limit(&mut self, limit: Option<u64>) -> &mut Self {
        self.env.session_limit = limit;
        self
    }

    /// Sets the guest's environment to these variables.
    pub fn env_vars(&mut self, vars: HashMap<String, String>) -> &mut Self {
        self.env.env_vars = vars;
        self
    }

    /// Adds a variable to the guest's environment.
    pub fn env_var(&mut self, name: &str, val: &str) -> &mut Self {
        self.env.env_vars.insert(name.to_owned(), val.to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: &[String]) -> &mut Self {
        self.env.args.extend_from_slice(args);
        self
    }

    /// Adds a value to the input, in RISC Zero's format; the guest reads it with `env::read`.
    ///
    /// # Errors
    /// Fails if the value cannot be written in that format.
    pub fn write<T: Serialize>(&mut self, data: &T) -> Result<&mut Self> {
        let words = risc0_zkvm::serde::to_vec(data)?;
        self.env.input.extend_from_slice(bytemuck::cast_slice(&words));
        Ok(self)
    }

    /// Adds numbers to the input, as they lie in memory.
    pub fn write_slice<T: bytemuck::Pod>(&mut self, slice: &[T]) -> &mut Self {
        self.env.input.extend_from_slice(bytemuck::cast_slice(slice));
        self
    }

    /// Adds bytes to the input, preceded by their length.
    pub fn write_frame(&mut self, payload: &[u8]) -> &mut Self {
        self.env.input.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        self.env.input.extend_from_slice(payload);
        self
    }

    /// Sets the stream of descriptor 0. Input that is written to this builder replaces it.
    pub fn stdin(&mut self, reader: impl Read + 'a) -> &mut Self {
        self.env.readers.insert(0, Box::new(BufReader::new(reader)));
        self
    }

    /// Sets the stream of descriptor 1.
    pub fn stdout(&mut self, writer: impl Write + 'a) -> &mut Self {
        self.write_fd(1, writer)
    }

    /// Sets the stream of descriptor 2.
    pub fn stderr(&mut self, writer: impl Write + 'a) -> &mut Self {
        self.write_fd(2, writer)
    }

    /// Sets the stream that the guest reads from a descriptor.
    pub fn read_fd(&mut self, fd: u32, reader: impl BufRead + 'a) -> &mut Self {
        self.env.readers.insert(fd, Box::new(reader));
        self
    }

    /// Sets the stream that the guest writes to a descriptor. Descriptor 3 is the journal; a stream for it is never
    /// written.
    pub fn write_fd(&mut self, fd: u32, writer: impl Write + 'a) -> &mut Self {
        self.env.writers.insert(fd, Box::new(writer));
        self
    }

    /// Adds a handler for the system call `channel`.
    pub fn slice_io(&mut self, channel: &str, handler: impl SliceIo + 'a) -> &mut Self {
        self.env.slices.insert(channel.to_owned(), Box::new(handler));
        self
    }

    /// Adds a function for the system call `channel`.
    pub fn io_callback<C: AsRef<str>>(
        &mut self,
        channel: C,
        callback: impl Fn(Bytes) -> Result<Bytes> + 'a,
    ) -> &mut Self {
        self.slice_io(channel.as_ref(), FromFn(callback))
    }

    /// Adds a claim that the guest may verify: a receipt, or a bare assumption.
    pub fn add_assumption(&mut self, assumption: impl Into<AssumptionReceipt>) -> &mut Self {
        self.env.assumptions.push(assumption.into());
        self
    }

    /// Adds a callback that gets each trace event.
    pub fn trace_callback(&mut self, callback: impl TraceCallback + 'a) -> &mut Self {
        self.env.trace.push(Box::new(callback));
        self
    }

    /// Sets the folder in which [`ExecutorImpl::run`](crate::ExecutorImpl::run) keeps segments.
    pub fn segment_path<P: AsRef<Path>>(&mut self, path: P) -> &mut Self {
        self.env.segment_path = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the digest that the session claims as its input.
    pub fn input_digest(&mut self, digest: Digest) -> &mut Self {
        self.env.input_digest = Some(digest);
        self
    }

    /// Sets who gets requests to prove Keccak while the guest runs.
    pub fn coprocessor_callback(&mut self, callback: impl CoprocessorCallback + 'a) -> &mut Self {
        self.coprocessor_callback_ref(Rc::new(RefCell::new(callback)))
    }

    /// Does the same with a callback that the caller keeps, too.
    pub fn coprocessor_callback_ref(&mut self, callback: Rc<RefCell<dyn CoprocessorCallback + 'a>>) -> &mut Self {
        self.env.coprocessor = Some(callback);
        self
    }

    /// Counts the proofs of the session as verifiable work of this job.
    pub fn povw(&mut self, povw_job_id: impl Into<PovwJobId>) -> &mut Self {
        self.env.povw = Some(povw_job_id.into());
        self
    }
}
