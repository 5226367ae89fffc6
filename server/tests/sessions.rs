//! Sessions with a host in the same process: what is served, and what a hostile or dying host can do.

mod host;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use host::*;
use tachy_r0vm::protocol::api::*;
use tachy_r0vm::protocol::base::{ExitCode, ExitKind};
use tachy_r0vm::{SegmentsFor, ServeError, Settings, serve_streams};

fn settings() -> Settings {
    Settings {
        segments: SegmentsFor::Everybody,
        disk_cache: None,
        variable: Box::new(|_| None),
        say: Box::new(|_| {}),
        exit_after: None,
    }
}

/// Serves a host in a thread of its own, and returns what the host and the server came to.
fn with_host<R: Send>(
    host: impl FnOnce(Host<UnixStream>) -> R + Send,
    settings: impl FnOnce() -> Settings + Send,
) -> (R, Result<u8, ServeError>) {
    let (ours, theirs) = UnixStream::pair().expect("the system has sockets");
    thread::scope(|scope| {
        let server = scope.spawn(move || {
            let reader = theirs.try_clone().expect("the system has descriptors");
            let served = serve_streams(reader, theirs.try_clone().expect("the system has descriptors"), &settings());
            // As the end of the process would.
            let _ = theirs.shutdown(std::net::Shutdown::Both);
            served
        });
        let done = host(Host(ours));
        (done, server.join().expect("the server does not panic"))
    })
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Answers reads of descriptor 0 with some bytes, then with nothing.
fn input(mut bytes: Vec<u8>) -> impl FnMut(&IoKind) -> Result<Vec<u8>, String> {
    move |kind| match kind {
        IoKind::Posix(PosixIo { fd: 0, cmd: Some(PosixCmd { kind: Some(PosixKind::Read(wanted)) }) }) => {
            let rest = bytes.split_off(bytes.len().min(*wanted as usize));
            Ok(std::mem::replace(&mut bytes, rest))
        }
        IoKind::Trace(_) => Ok(Vec::new()),
        other => Err(format!("unexpected: {other:?}")),
    }
}

fn run(request: ServerRequest, answer: impl FnMut(&IoKind) -> Result<Vec<u8>, String> + Send) -> Ended {
    let (ended, served) = with_host(|mut host| host.run(&request, answer), settings);
    assert_eq!(served.expect("the host is served"), 0);
    ended.expect("the session ends")
}

/// The session's result, which must be one.
fn result(ended: &Ended) -> &SessionInfo {
    ended.result.as_ref().expect("the guest ends well")
}

#[test]
fn a_guest_is_executed() {
    let ended = run(execute(environment("fib")), input(words(&[15])));
    let SessionInfo { segments, journal, exit_code, receipt_claim } = result(&ended);
    assert_eq!(*segments, 1);
    assert!(String::from_utf8_lossy(journal).contains("fib(15) = 610"), "{journal:?}");
    assert_eq!(*exit_code, Some(ExitCode { kind: Some(ExitKind::Halted(0)) }));
    assert!(receipt_claim.is_some());
    assert_eq!(ended.segments.len(), 1);
    assert!(ended.sizes[0] > 10_000, "{:?}", ended.sizes);
}

/// A guest that pauses has the same claim whether segments are made or not: the root of its memory is computed in two
/// ways.
#[test]
fn segments_can_be_left_out() {
    for (guest, words_in) in [("pause", &[3, 10, 20, 30, 40][..]), ("recursion", &[2, 6, 500]), ("smc", &[5])] {
        let request = || execute(ExecutorEnv { segment_limit_po2: Some(14), ..environment(guest) });
        let whole = run(request(), input(words(words_in)));
        let never = || Settings { segments: SegmentsFor::Nobody, ..settings() };
        let (empty, served) = with_host(|mut host| host.run(&request(), input(words(words_in))), never);
        served.expect("the host is served");
        let empty = empty.expect("the session ends");
        assert_eq!(empty.result, whole.result, "{guest}");
        assert_eq!(empty.segments, whole.segments, "{guest}");
        assert!(empty.sizes.iter().all(|bytes| *bytes == 0), "{:?}", empty.sizes);
    }
}

#[test]
fn events_are_sent_ahead_and_each_is_answered() {
    let env = ExecutorEnv { trace_events: Some(()), ..environment("fib") };
    let ended = run(execute(env), input(words(&[5])));
    result(&ended);
    assert!(ended.events > 5_000, "{}", ended.events);
}

#[test]
fn an_event_that_the_host_refuses_ends_the_session() {
    let env = || ExecutorEnv { trace_events: Some(()), ..environment("fib") };
    for at in [1, 2, 5_000] {
        let mut events = 0;
        let mut reads = input(words(&[5]));
        let ended = run(execute(env()), move |kind| {
            events += u32::from(matches!(kind, IoKind::Trace(_)));
            match events == at {
                true => Err("no more".to_owned()),
                false => reads(kind),
            }
        });
        assert_eq!(ended.result, Err("no more".to_owned()), "event {at}");
    }
}

/// A host may refuse any segment, even the last one, and at most one more is made meanwhile.
#[test]
fn segments_that_the_host_refuses() {
    let request = || execute(ExecutorEnv { segment_limit_po2: Some(14), ..environment("recursion") });
    let all = run(request(), input(words(&[2, 6, 500]))).segments.len() as u32;
    assert!(all > 3, "{all}");
    for never in [false, true] {
        for at in [0, 2, all - 2, all - 1] {
            let segments = if never { SegmentsFor::Nobody } else { SegmentsFor::Everybody };
            let refused = |index| (index == at).then(|| "no room\nfor it".to_owned());
            let (ended, served) = with_host(
                |mut host| host.run_with(&request(), input(words(&[2, 6, 500])), refused),
                || Settings { segments, ..settings() },
            );
            assert_eq!(served.expect("the host is served"), 0);
            let ended = ended.expect("the session ends");
            assert_eq!(ended.result, Err("no room\nfor it".to_owned()), "segment {at}");
            assert!((at + 1..=at + 2).contains(&(ended.segments.len() as u32)), "{at}: {:?}", ended.segments);
        }
    }
}

#[test]
fn segments_go_into_a_folder_and_follow_no_link() {
    let folder = tempfile::tempdir().expect("the system has files");
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "as it was").expect("the system has files");
    std::os::unix::fs::symlink(&precious, folder.path().join("segment-0")).expect("the system has links");
    let target = AssetTarget::Path(folder.path().to_str().expect("it is text").to_owned());
    let mut request = execute(ExecutorEnv { segment_limit_po2: Some(14), ..environment("recursion") });
    let Some(RequestKind::Execute(ExecuteRequest { segments_out, .. })) = &mut request.kind else { panic!() };
    *segments_out = Some(AssetRequest { kind: Some(target) });
    let ended = run(request, input(words(&[2, 6, 500])));
    assert_eq!(std::fs::read_to_string(&precious).expect("it is there"), "as it was");
    for (index, ..) in &ended.segments {
        let segment = std::fs::read(folder.path().join(format!("segment-{index}"))).expect("it was written");
        assert_eq!(segment[..4], index.to_le_bytes());
    }
    let files = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(files, ended.segments.len() + 1, "nothing else is left there");
    assert!(ended.segments.len() > 2, "{:?}", ended.segments);
}

/// A profile counts every user cycle of the session.
#[test]
fn profiles_are_complete() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Profile {
        #[prost(message, repeated, tag = "2")]
        sample: Vec<Sample>,
        #[prost(message, repeated, tag = "4")]
        location: Vec<Numbered>,
        #[prost(message, repeated, tag = "5")]
        function: Vec<Numbered>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Sample {
        #[prost(uint64, repeated, tag = "1")]
        location: Vec<u64>,
        #[prost(int64, repeated, tag = "2")]
        value: Vec<i64>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Numbered {
        #[prost(uint64, tag = "1")]
        id: u64,
    }
    let folder = tempfile::tempdir().expect("the system has files");
    let path = folder.path().join("profile");
    let pprof_out = path.to_str().expect("it is text").to_owned();
    let env = ExecutorEnv { pprof_out, segment_limit_po2: Some(14), ..environment("recursion") };
    let ended = run(execute(env), input(words(&[2, 6, 500])));
    let cycles: u64 = ended.segments.iter().map(|(_, _, cycles)| u64::from(*cycles)).sum();
    let profile: Profile = prost::Message::decode(&*std::fs::read(&path).expect("it was written")).expect("it is one");
    let counted: i64 = profile.sample.iter().flat_map(|sample| &sample.value).sum();
    assert_eq!(counted as u64, cycles);
    let ids: Vec<u64> = profile.location.iter().map(|location| location.id).collect();
    assert!(profile.sample.iter().all(|sample| sample.location.iter().all(|id| ids.contains(id))));
    assert!(profile.sample.iter().any(|sample| sample.location.len() > 20), "the guest calls deeply");
    assert!(!profile.function.is_empty());
}

/// Whatever a request lacks is an answer with the text of RISC Zero's server.
#[test]
fn requests_that_lack_something() {
    let bare = |env: Option<ExecutorEnv>, kind: Option<AssetTarget>| {
        let segments_out = Some(AssetRequest { kind });
        ServerRequest { kind: Some(RequestKind::Execute(ExecuteRequest { env, segments_out })) }
    };
    let env = || environment("fib");
    let inline_segments = || Some(AssetTarget::Inline(()));
    let with = |env: ExecutorEnv| bare(Some(env), inline_segments());
    let assumption = |kind| ExecutorEnv { assumptions: vec![AssumptionReceipt { kind }], ..env() };
    let cases = [
        (bare(None, inline_segments()), "Malformed error: ExecuteRequest.env"),
        (with(ExecutorEnv { binary: None, ..env() }), "Malformed error: ExecuteRequest.binary"),
        (with(ExecutorEnv { binary: Some(Asset { kind: None }), ..env() }), "Malformed error: Asset.kind"),
        (with(ExecutorEnv { binary: inline(b"no program".to_vec()), ..env() }), "Malformed ProgramBinary"),
        (
            with(ExecutorEnv { binary: Some(Asset { kind: Some(AssetKind::Redis("r".into())) }), ..env() }),
            "as_bytes not supported for redis",
        ),
        (
            with(ExecutorEnv { binary: Some(Asset { kind: Some(AssetKind::Path("/no/such".into())) }), ..env() }),
            "No such file or directory (os error 2)",
        ),
        (bare(Some(env()), None), "Malformed error: AssetRequest.kind"),
        (bare(Some(env()), Some(AssetTarget::Redis(Vec::new()))), "from_bytes not supported for redis"),
        (with(ExecutorEnv { povw_job_id: vec![1], ..env() }), "Malformed error: ExecutorEnv.povw_job_id"),
        (with(ExecutorEnv { keccak_max_po2: Some(13), ..env() }), "invalid keccak po2 13. Expected range: 14..=18"),
        (with(ExecutorEnv { segment_limit_po2: Some(12), ..env() }), "the segment limit po2 is 12, expected 13..=31"),
        (with(ExecutorEnv { segment_limit_po2: Some(99), ..env() }), "the segment limit po2 is 99, expected 13..=31"),
        (with(assumption(None)), "Malformed error: Assumption.kind"),
        (
            with(assumption(Some(AssumptionKind::Proven(Asset { kind: Some(AssetKind::Inline(Vec::new())) })))),
            "Malformed error: InnerReceipt.kind",
        ),
        (
            with(assumption(Some(AssumptionKind::Unresolved(Asset { kind: Some(AssetKind::Inline(Vec::new())) })))),
            "Malformed error: Assumption.claim",
        ),
    ];
    for (request, text) in cases {
        let ended = run(request, input(words(&[1])));
        assert_eq!(ended.result, Err(text.to_owned()));
    }
}

#[test]
fn variables_of_the_process_have_the_last_word() {
    let settings =
        || Settings { variable: Box::new(|name| (name == "RISC0_KECCAK_PO2").then(|| "19".to_owned())), ..settings() };
    let (ended, _) = with_host(|mut host| host.run(&execute(environment("fib")), input(words(&[1]))), settings);
    let text = "invalid keccak po2 19. Expected range: 14..=18";
    assert_eq!(ended.expect("the session ends").result, Err(text.to_owned()));
}

#[test]
fn more_bytes_than_were_asked_for_are_an_error() {
    let ended = run(execute(environment("fib")), |_| Ok(vec![0; 10_000]));
    let text = ended.result.expect_err("the answer is too long");
    assert!(text.contains("10000 bytes of descriptor 0 where 8192"), "{text}");
}

#[test]
fn proofs_without_a_server_are_refused_in_a_sentence() {
    for kind in [
        RequestKind::Prove(ProveRequest::default()),
        RequestKind::ProveSegment(Vec::new()),
        RequestKind::Lift(vec![1, 2, 3]),
        RequestKind::Verify(Vec::new()),
        RequestKind::Union(Vec::new()),
    ] {
        let ended = run(ServerRequest { kind: Some(kind) }, |_| Ok(Vec::new()));
        let text = ended.result.expect_err("nothing is proven");
        assert!(text.contains("install one (rzup install"), "{text}");
    }
}

/// What is no request at all ends the server, which says nothing more: the host is waiting for the process.
#[test]
fn messages_that_are_none() {
    let hello = frame(&prost::Message::encode_to_vec(&hello(3, 0, 6)));
    let after_hello = |rest: &[u8]| [hello.as_slice(), rest].concat();
    // A group that is nested more often than a decoder follows.
    let nested = [0x7b; 10_000];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("half a length", vec![1, 0]),
        ("a greeting of 4 GiB", vec![0xff; 4]),
        ("a greeting that is none", frame(b"\xff\xff\xff")),
        ("a greeting without version", frame(b"")),
        ("half a greeting", hello[..5].to_vec()),
        ("no request", hello.clone()),
        ("half a request", after_hello(&[9, 0, 0, 0, 1])),
        ("a request of 4 GiB that does not come", after_hello(&[0xff; 4])),
        ("a request that is none", after_hello(&frame(b""))),
        ("an unknown request", after_hello(&frame(&[0x52, 0]))),
        ("a nested request", after_hello(&frame(&nested))),
        ("a request of the wrong type", after_hello(&frame(&[0x08, 1]))),
    ];
    for (name, bytes) in cases {
        let (_, served) = with_host(
            |mut host| {
                // The server may have seen enough before all of it is written.
                let _ = host.0.write_all(&bytes);
                let _ = host.0.shutdown(std::net::Shutdown::Write);
                let _ = host.0.read_to_end(&mut Vec::new());
            },
            settings,
        );
        assert!(served.is_err(), "{name}: {served:?}");
    }
}

#[test]
fn clients_of_other_versions_are_told_so() {
    for (major, minor, welcome) in [(3, 0, true), (3, 1, false), (4, 0, false), (2, 9, false), (0, 0, false)] {
        let (reply, served) = with_host(
            |mut host| {
                host.send(&hello(major, minor, 1)).expect("the server reads");
                host.receive::<HelloReply>().expect("the server answers")
            },
            settings,
        );
        assert!(served.is_err(), "there was no request");
        assert_eq!(matches!(reply.kind, Some(HelloKind::Ok(_))), welcome, "{major}.{minor}: {reply:?}");
    }
}

/// Lists that are far longer than any host's take memory in proportion to the message.
#[test]
fn huge_lists() {
    let env = ExecutorEnv {
        read_fds: (0..300_000).collect(),
        write_fds: (0..300_000).collect(),
        args: vec![String::new(); 100_000],
        env_vars: (0..100_000).map(|number| (number.to_string(), String::new())).collect(),
        slice_ios: (0..100_000).map(|number| number.to_string()).collect(),
        ..environment("fib")
    };
    result(&run(execute(env), input(words(&[1]))));
}

/// A host that goes away, at any time, stops the guest.
#[test]
fn hosts_that_die() {
    for after in [0, 1, 2, 3] {
        let env = ExecutorEnv { trace_events: (after == 3).then_some(()), ..environment("trap") };
        let (_, served) = with_host(
            |mut host| {
                host.greet();
                // Trap 22 is a loop without end.
                host.send(&execute(env)).expect("the server reads");
                for _ in 0..after {
                    host.receive_bytes();
                    let kind = IoReplyKind::Ok(words(&[22]));
                    let _ = host.send(&OnIoReply { kind: Some(kind) });
                }
            },
            settings,
        );
        assert!(matches!(served, Err(ServeError::Gone(_))), "after {after} answers: {served:?}");
    }
}

#[test]
fn answers_that_break_the_protocol() {
    // No message at all, one that nobody asked for, one that never ends.
    for answer in [frame(&[0xff; 3]), [frame(&[0x0a, 0]), frame(&[0x0a, 0])].concat(), vec![0xff; 4]] {
        let (_, served) = with_host(
            |mut host| {
                host.greet();
                host.send(&execute(environment("trap"))).expect("the server reads");
                host.receive_bytes();
                let _ = host.0.write_all(&answer);
                let _ = host.0.shutdown(std::net::Shutdown::Write);
                while host.receive_bytes().is_some() {}
            },
            settings,
        );
        // A malformed answer is an error of the guest's, which the host is told, before the connection ends.
        let is_told = answer.len() == 7;
        assert!(served.is_err() || is_told, "{answer:?}: {served:?}");
    }
}

/// A host that takes long is waited for, and one that sends byte by byte, too.
#[test]
fn slow_hosts() {
    let mut reads = input(words(&[5]));
    let ended = run(execute(environment("fib")), move |kind| {
        thread::sleep(std::time::Duration::from_millis(300));
        reads(kind)
    });
    result(&ended);
    let (reply, _) = with_host(
        |mut host| {
            for byte in frame(&prost::Message::encode_to_vec(&hello(3, 0, 6))) {
                host.0.write_all(&[byte]).expect("the server reads");
                thread::sleep(std::time::Duration::from_millis(5));
            }
            host.receive::<HelloReply>()
        },
        settings,
    );
    assert!(reply.is_some());
}
