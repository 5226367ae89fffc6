//! Fuzzes the server that stands in for r0vm with what a host sends it.
//!
//! The bytes are pieces, each with its length in two bytes before it: the greeting, the request, and the answers to the
//! server's messages. An empty greeting is the right one. A request without a program gets one, and each has a limit, so
//! that guests end.
#![no_main]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tachy_r0vm::protocol::api::{Asset, AssetKind, ExecutorEnv, HelloRequest, RequestKind, ServerRequest};
use tachy_r0vm::protocol::base::SemanticVersion;
use tachy_r0vm::{SegmentsFor, Settings, serve_streams};

const GUEST: &[u8] = include_bytes!("../../guests/r0vm/bin/calls.bin");
/// Enough for the guest to reach its end.
const LIMIT_CYCLES: u64 = 20_000;

fn send(stream: &mut UnixStream, body: &[u8]) -> bool {
    let frame = [&(body.len() as u32).to_le_bytes(), body].concat();
    stream.write_all(&frame).is_ok()
}

fn receive(stream: &mut UnixStream) -> bool {
    let mut length = [0; 4];
    let mut body = Vec::new();
    stream.read_exact(&mut length).is_ok()
        && stream.take(u32::from_le_bytes(length).into()).read_to_end(&mut body).is_ok()
        && body.len() == u32::from_le_bytes(length) as usize
}

fn pieces(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (piece, later) = rest.split_at(rest.len().min(u16::from_le_bytes(*length).into()));
        pieces.push(piece.to_vec());
        bytes = later;
    }
    pieces
}

/// Gives a request a program and a limit.
fn completed(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut request) = ServerRequest::decode(body.as_slice()) else { return body };
    let env = match &mut request.kind {
        Some(RequestKind::Execute(request)) => &mut request.env,
        Some(RequestKind::Prove(request)) => &mut request.env,
        _ => return body,
    };
    if let Some(ExecutorEnv { binary, session_limit, .. }) = env {
        *session_limit = Some(LIMIT_CYCLES);
        if !matches!(binary, Some(Asset { kind: Some(AssetKind::Inline(bytes)) }) if bytes.len() > 100) {
            *binary = Some(Asset { kind: Some(AssetKind::Inline(GUEST.to_vec())) });
        }
    }
    request.encode_to_vec()
}

fn play(pieces: Vec<Vec<u8>>, mut stream: UnixStream) {
    let version = SemanticVersion { major: 3, minor: 0, patch: 6, ..SemanticVersion::default() };
    let mut pieces = pieces.into_iter();
    let hello = pieces.next().filter(|hello| !hello.is_empty());
    let hello = hello.unwrap_or_else(|| HelloRequest { version: Some(version) }.encode_to_vec());
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("the system has timeouts");
    if !send(&mut stream, &hello) || !receive(&mut stream) {
        return;
    }
    let request = pieces.next().map(completed).unwrap_or_default();
    if !send(&mut stream, &request) {
        return;
    }
    // Answers repeat, so that a short input lasts for a whole session.
    let answers: Vec<Vec<u8>> = pieces.collect();
    for answer in answers.iter().cycle().take(10_000) {
        if !receive(&mut stream) || !send(&mut stream, answer) {
            return;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (ours, theirs) = UnixStream::pair().expect("the system has sockets");
    let pieces = pieces(bytes);
    let host = thread::spawn(move || play(pieces, ours));
    let settings = Settings {
        segments: SegmentsFor::Everybody,
        disk_cache: None,
        // No server of RISC Zero's is to be found.
        variable: Box::new(|_| None),
        say: Box::new(|_| {}),
        exit_after: None,
    };
    let copy = || theirs.try_clone().expect("the system has descriptors");
    // How it ends does not matter, as long as it ends.
    let _ = serve_streams(copy(), copy(), &settings);
    let _ = theirs.shutdown(std::net::Shutdown::Both);
    host.join().expect("the host does not panic");
});
