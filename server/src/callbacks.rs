//! The guest's streams, system calls of the host's own, trace events and requests for proofs, each as a call of the host.
//!
//! This file must not know how a guest runs.

use std::io::{self, Read, Write};
use std::sync::Arc;

use prost::Message;
use tachy::risc0::host::{CallbackError, KeccakRequest, SliceIo};
use tachy::risc0::{Digest, TraceEvent};

use crate::connection::{Answer, Connection};
use crate::protocol::api::{
    self, CallbackKind, ClientCallback, CoprocessorKind, EventKind, GenericKind, GenericReply, IoKind, IoReplyKind,
    OnIoReply, OnIoRequest, PosixCmd, PosixIo, PosixKind, SegmentInfo, ServerReply, ServerReplyKind,
};

/// Wraps a callback.
pub(crate) fn callback(kind: CallbackKind) -> ServerReply {
    ServerReply { kind: Some(ServerReplyKind::Ok(ClientCallback { kind: Some(kind) })) }
}

fn io(kind: IoKind) -> ServerReply {
    callback(CallbackKind::Io(OnIoRequest { kind: Some(kind) }))
}

/// The host's ends of everything that a guest uses.
#[derive(Clone)]
pub(crate) struct Callbacks(pub(crate) Arc<Connection>);

impl Callbacks {
    /// Makes a call and returns the bytes of its answer. An error has the host's text and nothing else.
    fn call(&self, kind: IoKind) -> io::Result<Vec<u8>> {
        let answer = self.0.call(&io(kind)).map_err(io::Error::other)?;
        match OnIoReply::decode(answer.as_slice()).map_err(io::Error::other)?.kind {
            Some(IoReplyKind::Ok(bytes)) => Ok(bytes),
            Some(IoReplyKind::Error(error)) => Err(io::Error::other(error.reason)),
            None => Err(io::Error::other("Malformed message")),
        }
    }

    fn posix(&self, fd: u32, kind: PosixKind) -> io::Result<Vec<u8>> {
        self.call(IoKind::Posix(PosixIo { fd, cmd: Some(PosixCmd { kind: Some(kind) }) }))
    }

    /// Sends an event ahead.
    pub(crate) fn event(&self, event: &TraceEvent) -> Result<(), String> {
        let kind = match *event {
            TraceEvent::InstructionStart { cycle, pc, insn } => {
                EventKind::InstructionStart(api::InstructionStart { cycle, pc, insn })
            }
            TraceEvent::MemorySet { address, region } => {
                EventKind::MemorySet(api::MemorySet { addr: address, region: region.to_vec() })
            }
            TraceEvent::PageIn { cycles } => EventKind::PageIn(api::PageCycles { cycles }),
            TraceEvent::PageOut { cycles } => EventKind::PageOut(api::PageCycles { cycles }),
        };
        self.0.event(&io(IoKind::Trace(api::TraceEvent { kind: Some(kind) })))
    }

    /// Passes a batch of Keccak permutations to the host.
    pub(crate) fn prove_keccak(&self, request: KeccakRequest) -> Result<(), CallbackError> {
        let KeccakRequest { claim, control_root, po2, inputs } = request;
        let request = api::ProveKeccakRequest {
            claim_digest: Some(Digest::from_bytes(claim).into()),
            po2,
            control_root: Some(Digest::from_bytes(control_root).into()),
            input: inputs.iter().flatten().flat_map(|word| word.to_le_bytes()).collect(),
        };
        let kind = Some(CoprocessorKind::ProveKeccak(request));
        self.call(IoKind::Coprocessor(api::CoprocessorRequest { kind }))?;
        Ok(())
    }

    /// Hands a segment to the host, whose answer is waited for later.
    pub(crate) fn begin_segment(&self, segment: SegmentInfo) -> Result<Answer, String> {
        let message = callback(CallbackKind::SegmentDone(api::OnSegmentDone { segment: Some(segment) }));
        self.0.begin(&message).map_err(|gone| gone.to_string())
    }

    /// Waits until the host has taken a segment.
    pub(crate) fn end_segment(&self, answer: &Answer) -> Result<(), String> {
        let answer = self.0.wait(answer).map_err(|gone| gone.to_string())?;
        match GenericReply::decode(answer.as_slice()).map_err(|error| error.to_string())?.kind {
            Some(GenericKind::Ok(())) => Ok(()),
            Some(GenericKind::Error(error)) => Err(error.reason),
            None => Err("Malformed error: GenericReply.kind".to_owned()),
        }
    }

    /// Returns a descriptor of the host.
    pub(crate) fn descriptor(&self, fd: u32) -> Descriptor {
        Descriptor { callbacks: self.clone(), fd }
    }
}

impl SliceIo for Callbacks {
    fn handle_io(&mut self, name: &str, from_guest: &[u8]) -> Result<Vec<u8>, CallbackError> {
        Ok(self.call(IoKind::Slice(api::SliceIo { name: name.to_owned(), from_guest: from_guest.to_vec() }))?)
    }
}

/// A descriptor of the host, as a stream.
pub(crate) struct Descriptor {
    callbacks: Callbacks,
    fd: u32,
}

impl Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let bytes = self.callbacks.posix(self.fd, PosixKind::Read(wanted))?;
        match buffer.get_mut(..bytes.len()) {
            Some(room) => room.copy_from_slice(&bytes),
            None => {
                let (got, fd) = (bytes.len(), self.fd);
                let reason = format!("the host gave {got} bytes of descriptor {fd} where {wanted} were asked for");
                return Err(io::Error::other(reason));
            }
        }
        Ok(bytes.len())
    }
}

impl Write for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.callbacks.posix(self.fd, PosixKind::Write(bytes.to_vec()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
