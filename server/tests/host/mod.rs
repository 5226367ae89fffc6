//! A host for tests: the other side of the protocol, in a few lines. It must not know how the server works.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::{self, Read, Write};

use prost::Message;
use tachy_r0vm::protocol::api::*;
use tachy_r0vm::protocol::base::SemanticVersion;

/// A guest of this repository.
pub fn binary(guest: &str) -> Vec<u8> {
    // Tests of several packages use this file.
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let root =
        manifest.ancestors().find(|folder| folder.join("guests").is_dir()).expect("guests are in the repository");
    let path = root.join(format!("guests/r0vm/bin/{guest}.bin"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes in a message.
pub fn inline(bytes: Vec<u8>) -> Option<Asset> {
    Some(Asset { kind: Some(AssetKind::Inline(bytes)) })
}

/// An environment as the client of RISC Zero describes it.
pub fn environment(guest: &str) -> ExecutorEnv {
    ExecutorEnv { binary: inline(binary(guest)), read_fds: vec![0], write_fds: vec![1, 2], ..ExecutorEnv::default() }
}

/// A request to execute, with segments in messages.
pub fn execute(env: ExecutorEnv) -> ServerRequest {
    let segments_out = Some(AssetRequest { kind: Some(AssetTarget::Inline(())) });
    ServerRequest { kind: Some(RequestKind::Execute(ExecuteRequest { env: Some(env), segments_out })) }
}

/// The greeting of a version.
pub fn hello(major: u64, minor: u64, patch: u64) -> HelloRequest {
    HelloRequest { version: Some(SemanticVersion { major, minor, patch, ..SemanticVersion::default() }) }
}

/// A frame around bytes.
pub fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

/// How a session ended for the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Segments, without their content.
    pub segments: Vec<(u32, u32, u32)>,
    /// Sizes of the segments' contents in messages.
    pub sizes: Vec<usize>,
    /// The result, or the error's text.
    pub result: Result<SessionInfo, String>,
    /// Bytes that the guest wrote, by descriptor.
    pub written: std::collections::BTreeMap<u32, Vec<u8>>,
    /// Number of events.
    pub events: u64,
}

/// A host's end of a connection.
pub struct Host<S>(pub S);

impl<S: Read + Write> Host<S> {
    pub fn send(&mut self, message: &impl Message) -> io::Result<()> {
        self.0.write_all(&frame(&message.encode_to_vec()))
    }

    /// Receives a message's bytes; none at the end of the connection.
    pub fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut body).ok()?;
        Some(body)
    }

    pub fn receive<M: Message + Default>(&mut self) -> Option<M> {
        Some(M::decode(self.receive_bytes()?.as_slice()).expect("the server's messages are well-formed"))
    }

    /// Exchanges greetings.
    pub fn greet(&mut self) -> HelloReply {
        self.send(&hello(3, 0, 6)).expect("the server reads");
        self.receive().expect("the server greets")
    }

    /// Sends a request and serves it. `answer` gives the bytes for each request of the guest's but writes.
    pub fn run(
        &mut self,
        request: &ServerRequest,
        answer: impl FnMut(&IoKind) -> Result<Vec<u8>, String>,
    ) -> Option<Ended> {
        self.run_with(request, answer, |_| None)
    }

    /// As [`Host::run`], with errors for some segments, by number.
    pub fn run_with(
        &mut self,
        request: &ServerRequest,
        mut answer: impl FnMut(&IoKind) -> Result<Vec<u8>, String>,
        refused: impl Fn(u32) -> Option<String>,
    ) -> Option<Ended> {
        self.greet();
        self.send(request).expect("the server reads");
        let mut ended = Ended {
            segments: Vec::new(),
            sizes: Vec::new(),
            result: Err(String::new()),
            written: Default::default(),
            events: 0,
        };
        loop {
            let ServerReply { kind } = self.receive()?;
            let callback = match kind.expect("a reply has a kind") {
                ServerReplyKind::Error(error) => {
                    ended.result = Err(error.reason);
                    return Some(ended);
                }
                ServerReplyKind::Ok(ClientCallback { kind }) => kind.expect("a callback has a kind"),
            };
            match callback {
                CallbackKind::Io(OnIoRequest { kind }) => {
                    let kind = kind.expect("a request has a kind");
                    let answered = match &kind {
                        IoKind::Posix(PosixIo { fd, cmd: Some(PosixCmd { kind: Some(PosixKind::Write(bytes)) }) }) => {
                            ended.written.entry(*fd).or_default().extend(bytes);
                            Ok(Vec::new())
                        }
                        kind => answer(kind),
                    };
                    ended.events += u64::from(matches!(kind, IoKind::Trace(_)));
                    let kind = match answered {
                        Ok(bytes) => IoReplyKind::Ok(bytes),
                        Err(reason) => IoReplyKind::Error(GenericError { reason }),
                    };
                    self.send(&OnIoReply { kind: Some(kind) }).ok()?;
                }
                CallbackKind::SegmentDone(OnSegmentDone { segment }) => {
                    let SegmentInfo { index, po2, cycles, segment } = segment.expect("a segment is there");
                    ended.segments.push((index, po2, cycles));
                    if let Some(Asset { kind: Some(AssetKind::Inline(bytes)) }) = segment {
                        ended.sizes.push(bytes.len());
                    }
                    let kind = match refused(index) {
                        None => GenericKind::Ok(()),
                        Some(reason) => GenericKind::Error(GenericError { reason }),
                    };
                    self.send(&GenericReply { kind: Some(kind) }).ok()?;
                }
                CallbackKind::SessionDone(OnSessionDone { session }) => {
                    ended.result = Ok(session.expect("a session is there"));
                    return Some(ended);
                }
                CallbackKind::ProveDone(_) => return None,
            }
        }
    }
}
