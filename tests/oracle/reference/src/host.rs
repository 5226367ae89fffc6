//! The host that the reference asks: risc0-zkvm's, with every answer determined, and counted. It must not know segments.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::rc::Rc;

use anyhow::Result;
use risc0_binfmt::{ByteAddr, MemoryImage};
use risc0_circuit_rv32im::execute::{Syscall, SyscallContext};
use risc0_zkvm::{Assumption, Bytes, ExecutorEnv, ExecutorImpl};

use crate::environment::{Environment, sequence};

const RANDOM: &str = "risc0_zkvm_platform::syscall::nr::SYS_RANDOM";
/// Names are counted up to here; the host itself reads them to their end.
const MAX_NAME_BYTES: u32 = 128;

/// Bytes that a descriptor received, while the host writes to it.
#[derive(Clone, Default)]
pub struct Stream(Rc<RefCell<Vec<u8>>>);

impl Stream {
    /// What arrived since the last time.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The host of one session.
pub struct Host {
    inner: ExecutorImpl<'static>,
    random: RefCell<Box<dyn Iterator<Item = u8>>>,
    /// First result of the last call, if that was for random bytes; the second is 0.
    random_result: Cell<Option<u32>>,
    calls: RefCell<BTreeMap<String, u64>>,
    /// Descriptor 3.
    pub journal: Stream,
    /// The other descriptors that are written.
    pub outputs: BTreeMap<u32, Stream>,
}

impl Host {
    /// A host as `environment` has it. It wants an image, but never runs it.
    pub fn new(environment: &Environment, image: MemoryImage) -> Result<Self> {
        let journal = Stream::default();
        let outputs: BTreeMap<_, _> = environment.outputs.iter().map(|&fd| (fd, Stream::default())).collect();
        let mut builder = session_environment(environment, &outputs);
        builder.write_fd(3, journal.clone());
        Ok(Self {
            inner: ExecutorImpl::new(builder.build()?, image)?,
            random: RefCell::new(Box::new(sequence(environment.random_seed))),
            random_result: Cell::default(),
            calls: RefCell::default(),
            journal,
            outputs,
        })
    }

    /// System calls since the last time, by name.
    pub fn take_calls(&self) -> BTreeMap<String, u64> {
        self.calls.take()
    }
}

/// The environment in the reference's own terms, all but the journal.
pub fn session_environment(
    environment: &Environment,
    outputs: &BTreeMap<u32, Stream>,
) -> risc0_zkvm::ExecutorEnvBuilder<'static> {
    let mut builder = ExecutorEnv::builder();
    builder
        .stdin(Cursor::new(environment.stdin.clone()))
        .args(&environment.args)
        .env_vars(environment.variables.clone().into_iter().collect())
        .segment_limit_po2(environment.po2)
        .session_limit(environment.session_limit)
        .input_digest(environment.input_digest.into());
    for (&fd, bytes) in &environment.inputs {
        builder.read_fd(fd, Cursor::new(bytes.clone()));
    }
    for (&fd, stream) in outputs {
        builder.write_fd(fd, stream.clone());
    }
    for (name, answer) in &environment.channels {
        let answer = answer.clone();
        builder.io_callback(name, move |request| Ok(Bytes::from([&answer[..], &request].concat())));
    }
    for &(claim, control_root) in &environment.assumptions {
        builder.add_assumption(Assumption { claim: claim.into(), control_root: control_root.into() });
    }
    builder
}

/// The name at `addr`; what is unreadable or too long is cut, for the host itself to complain about.
fn name_at(context: &mut impl SyscallContext, addr: u32) -> String {
    let mut name = Vec::new();
    for offset in 0..MAX_NAME_BYTES {
        match addr.checked_add(offset).map(|addr| context.peek_u8(ByteAddr(addr))) {
            Some(Ok(byte)) if byte != 0 => name.push(byte),
            _ => break,
        }
    }
    String::from_utf8_lossy(&name).into_owned()
}

impl Syscall for Host {
    fn host_read(&self, context: &mut impl SyscallContext, fd: u32, buffer: &mut [u8]) -> Result<u32> {
        let name = if fd == 0 { String::new() } else { name_at(context, fd) };
        let is_random = name == RANDOM;
        *self.calls.borrow_mut().entry(name).or_default() += 1;
        if is_random {
            // The host itself draws whole words, too.
            let mut words = vec![0; buffer.len().next_multiple_of(4)];
            words.iter_mut().zip(&mut *self.random.borrow_mut()).for_each(|(byte, random)| *byte = random);
            buffer.copy_from_slice(&words[..buffer.len()]);
            self.random_result.set(Some(words.len() as u32));
            return Ok(buffer.len() as u32);
        }
        match self.random_result.get() {
            // A buffer that results do not fit makes the host panic.
            Some(result) if fd == 0 && buffer.len() >= 8 && buffer.len().is_multiple_of(4) => {
                buffer[..8].copy_from_slice(&u64::from(result).to_le_bytes());
                return Ok(8);
            }
            Some(_) if fd != 0 => self.random_result.set(None),
            _ => {}
        }
        self.inner.host_read(context, fd, buffer)
    }

    fn host_write(&self, context: &mut impl SyscallContext, fd: u32, buffer: &[u8]) -> Result<u32> {
        self.inner.host_write(context, fd, buffer)
    }
}
