//! Compares Tachy's server with RISC Zero's own, message by message: for the same request and the same answers, both send
//! the same bytes. Their greetings are equal, too. Only guests without random numbers are compared.

#[path = "../../../../server/tests/host/mod.rs"]
mod host;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use host::*;
use prost::Message;
use tachy_r0vm::protocol::api::*;
use tachy_r0vm::protocol::base::DigestMessage;
use tachy_r0vm::protocol::core::Assumption;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");

/// Tachy's command line: the one in `TACHY`, or one that is built.
fn built() -> PathBuf {
    if let Some(tachy) = std::env::var_os("TACHY") {
        return tachy.into();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "tachy-cli"]).current_dir(ROOT);
    // This workspace has flags for the linker that are not for others.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
        cargo.env_remove(variable);
    }
    assert!(cargo.status().expect("cargo starts").success());
    PathBuf::from(ROOT).join("target/debug/tachy")
}

/// Tachy's command line under the name of the server.
fn tachy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("the system has files");
    let link = folder.path().join("r0vm");
    let tachy = std::fs::canonicalize(built()).expect("it is built");
    std::os::unix::fs::symlink(tachy, &link).expect("the system has links");
    (folder, link)
}

/// Returns all messages that a server sends for a request, with the host's answers.
fn messages(
    server: &std::path::Path,
    request: &ServerRequest,
    mut answer: impl FnMut(&IoKind) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has ports");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    let mut command = Command::new(server);
    command.args(["--port", &port]).env("TACHY_CACHE_DIR", "").stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("the server starts");
    let (stream, _) = listener.accept().expect("the server connects");
    let mut host = Host(stream);
    host.send(&hello(3, 0, 6)).expect("the server reads");
    let mut messages = vec![host.receive_bytes().expect("the server greets")];
    host.send(request).expect("the server reads");
    while let Some(message) = host.receive_bytes() {
        let reply = ServerReply::decode(message.as_slice()).expect("a reply");
        messages.push(message);
        let Some(ServerReplyKind::Ok(ClientCallback { kind: Some(kind) })) = reply.kind else { break };
        match kind {
            CallbackKind::Io(OnIoRequest { kind }) => {
                let bytes = answer(&kind.expect("a request has a kind"));
                host.send(&OnIoReply { kind: Some(IoReplyKind::Ok(bytes)) }).expect("the server reads");
            }
            CallbackKind::SegmentDone(_) => {
                host.send(&GenericReply { kind: Some(GenericKind::Ok(())) }).expect("the server reads");
            }
            CallbackKind::SessionDone(_) | CallbackKind::ProveDone(_) => break,
        }
    }
    assert!(child.wait().expect("it was started").success());
    messages
}

/// Answers reads of descriptor 0 with some bytes at first, and calls of the host's own with one answer.
fn answers(input: &[u32]) -> impl FnMut(&IoKind) -> Vec<u8> + use<> {
    let mut input: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    move |kind| match kind {
        IoKind::Posix(PosixIo { cmd: Some(PosixCmd { kind: Some(PosixKind::Read(_)) }), .. }) => {
            std::mem::take(&mut input)
        }
        IoKind::Slice(_) => b"an answer".to_vec(),
        _ => Vec::new(),
    }
}

fn digest(byte: u32) -> Option<DigestMessage> {
    Some(DigestMessage { words: vec![byte * 0x0101_0101; 8] })
}

#[test]
fn both_servers_send_the_same() {
    let (_folder, ours) = tachy();
    let theirs = PathBuf::from(env!("CARGO_BIN_EXE_oracle-r0vm"));
    let po2 = |env: ExecutorEnv| ExecutorEnv { segment_limit_po2: Some(14), ..env };
    let unresolved = Assumption { claim: digest(1), control_root: digest(2) }.encode_to_vec();
    let unresolved = Asset { kind: Some(AssetKind::Inline(unresolved)) };
    let verify: Vec<u32> = [vec![2, 1], vec![0x0101_0101; 8], vec![0; 8], vec![2], vec![0x0303_0303; 16]].concat();
    let calls = ExecutorEnv {
        args: vec!["one".to_owned(), "two".to_owned()],
        env_vars: [("GREETING".to_owned(), "hello".to_owned())].into(),
        slice_ios: vec!["echo".to_owned()],
        ..environment("calls")
    };
    let cases: Vec<(&str, ExecutorEnv, Vec<u32>)> = vec![
        ("fib", environment("fib"), vec![15]),
        ("segments", po2(environment("recursion")), vec![2, 6, 500]),
        ("verifiable work", ExecutorEnv { povw_job_id: (1..=28).collect(), ..environment("fib") }, vec![5]),
        ("pause", environment("pause"), vec![2, 10, 20, 30]),
        ("accelerators", environment("accelerators"), vec![1]),
        ("events", po2(ExecutorEnv { trace_events: Some(()), ..environment("accelerators") }), vec![1]),
        ("trap", environment("trap"), vec![12]),
        ("no descriptor", environment("trap"), vec![20]),
        ("unknown call", environment("trap"), vec![19]),
        ("panic", environment("trap"), vec![23]),
        ("limit", ExecutorEnv { session_limit: Some(50_000), ..environment("trap") }, vec![22]),
        (
            "assumptions",
            ExecutorEnv {
                assumptions: vec![AssumptionReceipt { kind: Some(AssumptionKind::Unresolved(unresolved)) }],
                ..environment("verify")
            },
            verify,
        ),
    ];
    let inline_target = || Some(AssetRequest { kind: Some(AssetTarget::Inline(())) });
    for (name, env, input) in cases {
        let opts = Some(ProverOpts { is_dev_mode: true });
        let prove = ProveRequest { env: Some(env.clone()), opts, receipt_out: inline_target() };
        let request = execute(env);
        let (our, their) = (messages(&ours, &request, answers(&input)), messages(&theirs, &request, answers(&input)));
        // Events are late, so they are compared among themselves.
        for is_event in [false, true] {
            let of = |messages: &[Vec<u8>]| -> Vec<Vec<u8>> {
                messages.iter().filter(|message| self::is_event(message) == is_event).cloned().collect()
            };
            assert_same(name, &of(&our), &of(&their));
        }
        assert_eq!(their.iter().any(|message| self::is_event(message)), name == "events");
        if name == "events" {
            continue;
        }
        let request = ServerRequest { kind: Some(RequestKind::Prove(prove)) };
        let is_error = |messages: &[Vec<u8>]| messages.last().is_some_and(|last| last.first() == Some(&0x12));
        let (our, their) = (messages(&ours, &request, answers(&input)), messages(&theirs, &request, answers(&input)));
        assert_same(&format!("{name}, proven"), &our, &their);
        assert!(
            !is_error(&their) || ["trap", "no descriptor", "unknown call", "panic", "limit"].contains(&name),
            "{name}"
        );
    }
    // A call of the host's own answers with what it likes; its log has the cycle, and random numbers come after it.
    let request = execute(calls);
    let (our, their) = (messages(&ours, &request, answers(&[])), messages(&theirs, &request, answers(&[])));
    let without_segments = |messages: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        messages.into_iter().filter(|message| !matches!(kind(message), Some(CallbackKind::SegmentDone(_)))).collect()
    };
    assert_same("calls", &without_segments(our), &without_segments(their));
}

/// Returns the kind of a callback.
fn kind(message: &[u8]) -> Option<CallbackKind> {
    match ServerReply::decode(message).ok()?.kind? {
        ServerReplyKind::Ok(callback) => callback.kind,
        ServerReplyKind::Error(_) => None,
    }
}

fn is_event(message: &[u8]) -> bool {
    matches!(kind(message), Some(CallbackKind::Io(OnIoRequest { kind: Some(IoKind::Trace(_)) })))
}

fn assert_same(name: &str, ours: &[Vec<u8>], theirs: &[Vec<u8>]) {
    let shown = |message: Option<&Vec<u8>>| message.map(|message| ServerReply::decode(&**message));
    for (index, their) in theirs.iter().enumerate() {
        let our = ours.get(index);
        if our != Some(their) {
            let (mut our, mut their) = (format!("{:?}", shown(our)), format!("{:?}", shown(Some(their))));
            our.truncate(500);
            their.truncate(500);
            panic!("{name}: message {index} of {}:\n  ours   {our}\n  theirs {their}", theirs.len());
        }
    }
    assert_eq!(ours.len(), theirs.len(), "{name}");
}
