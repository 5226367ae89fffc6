//! Sessions whose bytes are damaged at random: nothing panics, nothing hangs, and the host always learns an end. Each
//! session follows from its number. `TACHY_SESSIONS` runs as many, `TACHY_SEED` from another number on.

mod host;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use host::*;
use prost::Message;
use tachy_r0vm::protocol::api::*;
use tachy_r0vm::{SegmentsFor, Settings, serve_streams};

/// A generator of numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Damages bytes in one of the ways in which a peer's may be wrong.
fn damage(numbers: &mut Numbers, bytes: &mut Vec<u8>) {
    // Most messages begin with what matters, and a program fills the rest.
    let near = if numbers.below(4) == 0 { bytes.len() } else { bytes.len().min(64) };
    let at = numbers.below(near);
    match numbers.below(7) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << numbers.below(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = numbers.next() as u8),
        2 => bytes.truncate(at),
        3 => bytes.insert(at.min(bytes.len()), numbers.next() as u8),
        4 => {
            bytes.drain(at..(at + numbers.below(9)).min(bytes.len()));
        }
        5 => {
            let piece: Vec<u8> = bytes.iter().skip(at).take(numbers.below(20)).copied().collect();
            bytes.splice(at..at, piece);
        }
        _ => bytes.iter_mut().skip(at).take(5).for_each(|byte| *byte = 0xff),
    }
}

/// A request that uses much of the protocol.
fn request(numbers: &mut Numbers) -> ServerRequest {
    let (guest, trace) = [("calls", None), ("streams", None), ("verify", None), ("fib", Some(()))][numbers.below(4)];
    let env = ExecutorEnv {
        env_vars: [("GREETING".to_owned(), "hello".to_owned())].into(),
        args: vec!["calls".to_owned()],
        slice_ios: vec!["echo".to_owned()],
        read_fds: vec![0, 4],
        write_fds: vec![1, 2, 5],
        session_limit: Some(20_000),
        segment_limit_po2: Some(14),
        trace_events: trace,
        coprocessor: true,
        keccak_max_po2: Some(15),
        povw_job_id: vec![7; 28],
        ..environment(guest)
    };
    match numbers.below(3) {
        0 => ServerRequest {
            kind: Some(RequestKind::Prove(ProveRequest {
                env: Some(env),
                opts: Some(ProverOpts { is_dev_mode: true }),
                receipt_out: Some(AssetRequest { kind: Some(AssetTarget::Inline(())) }),
            })),
        },
        _ => execute(env),
    }
}

/// The host's side of a session. It answers whatever comes, and damages some of what it sends.
fn play(number: u64, stream: UnixStream) {
    let mut numbers = Numbers(number);
    // A guest that was damaged into a loop is given up, as by a user.
    stream.set_read_timeout(Some(Duration::from_millis(30))).expect("the system has timeouts");
    let damaged = numbers.below(4);
    let mut out = stream_copy(&stream);
    let mut send = |index: usize, numbers: &mut Numbers, body: Vec<u8>| {
        let mut frame = frame(&body);
        if index == damaged || (index > 3 && numbers.below(200) == 0) {
            for _ in 0..=numbers.below(3) {
                damage(numbers, &mut frame);
            }
        }
        out.write_all(&frame).is_ok()
    };
    let mut replies = stream;
    let request = request(&mut numbers).encode_to_vec();
    if !send(0, &mut numbers, hello(3, 0, 6).encode_to_vec()) || !receive(&mut replies) {
        return;
    }
    if !send(1, &mut numbers, request) {
        return;
    }
    for index in 2..5_000 {
        if !receive(&mut replies) {
            return;
        }
        // Nobody looks at the question, so the kind of the answer is right in two cases of three.
        let kind = match numbers.below(3) {
            0 => IoReplyKind::Ok(vec![numbers.next() as u8; numbers.below(300)]),
            1 => IoReplyKind::Ok(Vec::new()),
            _ if numbers.below(50) == 0 => IoReplyKind::Error(GenericError { reason: "no".to_owned() }),
            _ => IoReplyKind::Ok(vec![1; 4]),
        };
        if !send(index, &mut numbers, OnIoReply { kind: Some(kind) }.encode_to_vec()) {
            return;
        }
    }
}

fn stream_copy(stream: &UnixStream) -> UnixStream {
    stream.try_clone().expect("the system has descriptors")
}

/// Receives one message; the server's are never damaged.
fn receive(stream: &mut UnixStream) -> bool {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return false;
    }
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).is_ok()
}

/// Plays one session. Returns whether the host was served to the end.
fn session(number: u64) -> bool {
    let (ours, theirs) = UnixStream::pair().expect("the system has sockets");
    let host = thread::spawn(move || play(number, ours));
    let settings = Settings {
        segments: if number.is_multiple_of(2) { SegmentsFor::Everybody } else { SegmentsFor::Nobody },
        disk_cache: None,
        variable: Box::new(|_| None),
        say: Box::new(|_| {}),
        exit_after: None,
    };
    // How it ends does not matter, as long as it ends.
    let served = serve_streams(stream_copy(&theirs), stream_copy(&theirs), &settings);
    let _ = theirs.shutdown(std::net::Shutdown::Both);
    host.join().unwrap_or_else(|_| panic!("the host of session {number} panicked"));
    served.is_ok()
}

#[test]
fn damaged_sessions_end() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let (first, count) = (number("TACHY_SEED").unwrap_or(0), number("TACHY_SESSIONS").unwrap_or(3_000));
    let (next, to_the_end) = (AtomicU64::new(first), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < first + count
                {
                    let played = std::panic::catch_unwind(|| session(number));
                    let served = played.unwrap_or_else(|_| panic!("session {number} panicked"));
                    to_the_end.fetch_add(u64::from(served), Ordering::Relaxed);
                }
            });
        }
    });
    // Damage does not always matter, and not always does it matter at once.
    let served = to_the_end.into_inner();
    println!("{served} of {count} were served to the end");
    assert!((count / 50..count - count / 50).contains(&served), "{served} of {count} were served to the end");
}
