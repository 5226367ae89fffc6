//! Tests `tachy` in r0vm's place as a process: as a server of a host, under r0vm's options, and the links to it.

#[path = "../../server/tests/host/mod.rs"]
mod host;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use host::*;
use tachy_r0vm::protocol::api::*;
use tachy_r0vm::protocol::base::SemanticVersion;
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

fn folder() -> TempDir {
    tempfile::tempdir().expect("the system has files")
}

/// The command line in an environment where no r0vm is found.
fn tachy(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("TACHY_CACHE_DIR", "").env("PATH", "/nonexistent").env("HOME", "/nonexistent");
    command.stdin(Stdio::null());
    command
}

fn r0vm(arguments: &[&str]) -> Command {
    let mut command = tachy(TACHY);
    command.arg("r0vm").args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command: exit code, standard output, standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    (status.code(), text(&stdout), text(&stderr))
}

/// A link named r0vm.
fn link(folder: &Path) -> PathBuf {
    let link = folder.join("r0vm");
    symlink(TACHY, &link).expect("the system has links");
    link
}

/// An executable script.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the system has files");
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("the system has files");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// Starts a server and accepts its connection, as a host does.
fn start(server: &mut Command) -> (Child, Host<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has ports");
    let port = listener.local_addr().expect("it is bound").port().to_string();
    let child = server.args(["--port", &port]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let (stream, _) = listener.accept().expect("the server connects");
    (child.expect("it starts"), Host(stream))
}

fn end(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it was started");
    (status.code(), text(&stdout), text(&stderr))
}

fn hello_input() -> Vec<u8> {
    [&5u32.to_le_bytes()[..], b"world\0\0\0", &41u32.to_le_bytes()].concat()
}

#[test]
fn the_version_is_one_that_hosts_parse() {
    let folder = folder();
    for command in [&mut r0vm(&["--version"]), tachy(link(folder.path())).arg("--version")] {
        let (code, stdout, _) = run(command);
        let version = stdout.strip_suffix('\n').and_then(|line| line.rsplit(' ').next());
        assert_eq!((code, version), (Some(0), Some("3.0.6")), "{stdout}");
    }
    // Under its own name, the program has its own version.
    assert!(!run(tachy(TACHY).arg("--version")).1.contains("3.0.6"));
}

#[test]
fn a_host_is_served_by_a_process() {
    let folder = folder();
    let (child, mut host) = start(&mut tachy(link(folder.path())));
    let mut input = hello_input();
    let ended = host.run(&execute(environment("hello")), |_| Ok(std::mem::take(&mut input)));
    // The host waits for the process before it closes the connection.
    assert_eq!(end(child), (Some(0), String::new(), String::new()));
    let ended = ended.expect("the session ends");
    assert_eq!(ended.result.expect("the guest ends well").journal, b"hello, world!\x2a\0\0\0");
    assert_eq!(text(&ended.written[&1]), "greeting world\nR0VM[2429] hello\n");
}

#[test]
fn an_error_of_the_guest_is_none_of_the_server() {
    let (child, mut host) = start(&mut r0vm(&[]));
    let ended = host.run(&execute(environment("panic")), |_| Ok(vec![0; 4])).expect("the session ends");
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let message = ended.result.expect_err("the guest panics");
    assert!(message.starts_with("Guest panicked: ") && message.contains("divide by zero"), "{message}");
    // The place is told here, because the host learns RISC Zero's words alone.
    assert!(stderr.starts_with("tachy r0vm: the guest panicked: ") && stderr.contains("at pc 0x"), "{stderr}");
}

#[test]
fn a_server_whose_host_dies_ends() {
    for answers in [0, 1] {
        let (child, mut host) = start(&mut r0vm(&[]));
        host.greet();
        host.send(&execute(environment("trap"))).expect("the server reads");
        for _ in 0..answers {
            host.receive_bytes();
            // A loop without end.
            let kind = Some(IoReplyKind::Ok(22u32.to_le_bytes().to_vec()));
            host.send(&OnIoReply { kind }).expect("the server reads");
        }
        drop(host);
        let (code, _, stderr) = end(child);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("the host has closed the connection"), "{stderr}");
    }
}

#[test]
fn a_server_ends_at_once_when_the_protocol_is_broken() {
    let (child, mut host) = start(&mut r0vm(&[]));
    host.0.write_all(&frame(b"\xff\xff")).expect("the server reads");
    // The host does not close the connection: it waits for the process.
    let (code, _, stderr) = end(child);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("malformed HelloRequest"), "{stderr}");
    let refused = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = refused.expect("the system has ports").port().to_string();
    let (code, _, stderr) = run(&mut r0vm(&["--port", &port]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("cannot connect to the host at port {port}: ")), "{stderr}");
}

#[test]
fn segments_are_for_everybody_unless_the_user_says_never() {
    for (value, are_whole) in [("auto", true), ("always", true), ("never", false)] {
        let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM_SEGMENTS", value));
        let ended = host.run(&execute(environment("fib")), |_| Ok(vec![3, 0, 0, 0])).expect("the session ends");
        assert_eq!(end(child).0, Some(0));
        assert_eq!(ended.sizes.iter().all(|bytes| *bytes > 1_000), are_whole, "{value}: {:?}", ended.sizes);
    }
    let (code, _, stderr) = run(r0vm(&["--port", "1"]).env("TACHY_R0VM_SEGMENTS", "sometimes"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is \"sometimes\", expected auto, always or never"), "{stderr}");
}

/// RISC Zero's own server, as far as a test needs it: a script starts this test again, which then speaks the protocol.
#[test]
fn stand_in() {
    let Some(port) = std::env::var("STAND_IN_PORT").ok().and_then(|port| port.parse::<u16>().ok()) else { return };
    if let Some(path) = std::env::var_os("STAND_IN_PROCESS") {
        fs::write(path, std::process::id().to_string()).expect("the system has files");
    }
    let mut client = Host(TcpStream::connect(("127.0.0.1", port)).expect("somebody waits"));
    let HelloRequest { version } = client.receive().expect("a greeting comes");
    let version = version.expect("it has a version").to_string();
    let ours = SemanticVersion { major: 3, minor: 0, patch: 1, ..SemanticVersion::default() };
    let kind = Some(HelloKind::Ok(HelloResult { version: Some(ours) }));
    client.send(&HelloReply { kind }).expect("the greeting is read");
    let request = client.receive_bytes().expect("a request comes");
    let read = PosixCmd { kind: Some(PosixKind::Read(9)) };
    let io = OnIoRequest { kind: Some(IoKind::Posix(PosixIo { fd: 0, cmd: Some(read) })) };
    let callback = ClientCallback { kind: Some(CallbackKind::Io(io)) };
    client.send(&ServerReply { kind: Some(ServerReplyKind::Ok(callback)) }).expect("the question is read");
    let answer: OnIoReply = client.receive().expect("an answer comes");
    let reason = format!("{version}, {} bytes, {answer:?}", request.len());
    client.send(&ServerReply { kind: Some(ServerReplyKind::Error(GenericError { reason })) }).expect("it is read");
    let code = std::env::var("STAND_IN_CODE").ok().and_then(|code| code.parse().ok());
    std::process::exit(code.unwrap_or(0));
}

/// Writes the script that stands in for RISC Zero's own server.
fn write_stand_in(path: &Path) {
    let ourselves = std::env::current_exe().expect("this is a process");
    let command = format!(
        "STAND_IN_PORT=\"$2\" exec {} --exact r0vm_server::stand_in --nocapture >/dev/null",
        ourselves.display()
    );
    script(path, &command);
}

fn proof() -> ServerRequest {
    let env = Some(environment("fib"));
    ServerRequest { kind: Some(RequestKind::Prove(ProveRequest { env, ..ProveRequest::default() })) }
}

#[test]
fn proofs_are_passed_on_unchanged() {
    let folder = folder();
    let server = folder.path().join("own-r0vm");
    write_stand_in(&server);
    for code in [0, 7] {
        let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM", &server).env("STAND_IN_CODE", code.to_string()));
        let ended = host.run(&proof(), |_| Ok(b"as it is".to_vec())).expect("the session ends");
        let bytes = prost::Message::encode_to_vec(&proof()).len();
        let answer = OnIoReply { kind: Some(IoReplyKind::Ok(b"as it is".to_vec())) };
        assert_eq!(ended.result, Err(format!("3.0.6, {bytes} bytes, {answer:?}")));
        assert_eq!(end(child).0, Some(code));
    }
}

/// Where RISC Zero's hosts look, this program looks too, and leaves itself out.
#[test]
fn risc_zeros_own_server_is_found_where_hosts_find_it() {
    let folder = folder();
    let ourselves = link(folder.path());
    let home = folder.path().join("home");
    let rzup = |version: &str| home.join(format!(".risc0/extensions/v{version}-cargo-risczero-x86_64/r0vm"));
    let in_path = folder.path().join("bin/r0vm");
    let serve = |own: &Path| {
        let path = format!("{}:{}", folder.path().display(), folder.path().join("bin").display());
        let mut server = tachy(&ourselves);
        server.env("PATH", path).env("HOME", &home).env("RISC0_SERVER_PATH", own);
        let (child, mut host) = start(&mut server);
        let ended = host.run(&proof(), |_| Ok(Vec::new())).expect("the session ends");
        assert_eq!(end(child).0, Some(0));
        ended.result.expect_err("nothing is proven")
    };
    assert!(serve(&ourselves).contains("there is none: install one"));
    for place in [in_path, rzup("3.0.0"), rzup("3.0.6")] {
        write_stand_in(&place);
        assert!(serve(&ourselves).starts_with("3.0.6, "), "{}", place.display());
    }
    // What cannot be started is named.
    let broken = folder.path().join("broken");
    fs::write(&broken, "no program").expect("the system has files");
    assert!(serve(&broken).contains(&format!("cannot start {}", broken.display())));
}

/// Anybody may have put a program into the current folder.
#[test]
fn the_current_folder_is_not_searched() {
    let folder = folder();
    write_stand_in(&folder.path().join("r0vm"));
    write_stand_in(&folder.path().join("bin/r0vm"));
    write_stand_in(&folder.path().join(".risc0/extensions/v3.0.6-cargo-risczero-x86_64/r0vm"));
    for (name, value) in [("PATH", ":.:bin"), ("HOME", ""), ("HOME", "."), ("RISC0_HOME", ".risc0")] {
        let (child, mut host) = start(r0vm(&[]).env(name, value).current_dir(folder.path()));
        let ended = host.run(&proof(), |_| Ok(Vec::new())).expect("the session ends");
        let text = ended.result.expect_err("nothing is proven");
        assert!(text.contains("there is none: install one"), "{name}={value}: {text}");
        assert_eq!(end(child).0, Some(0));
    }
}

#[test]
fn servers_that_fail_are_told_to_the_host() {
    let folder = folder();
    let own = folder.path().join("own-r0vm");
    for (commands, expected) in [("exit 3", "ended with exit status: 3 before it connected"), ("exec false", "ended")] {
        script(&own, commands);
        let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM", &own).env("PATH", "/usr/bin:/bin"));
        let ended = host.run(&proof(), |_| Ok(Vec::new())).expect("the session ends");
        let text = ended.result.expect_err("nothing is proven");
        assert!(text.contains(expected), "{text}");
        assert_eq!(end(child).0, Some(0));
    }
}

/// Copies of Tachy do not pass a request on to each other for ever.
#[test]
fn a_copy_of_this_program_is_no_server() {
    let folder = folder();
    let copy = folder.path().join("r0vm");
    fs::copy(TACHY, &copy).expect("the system has files");
    let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM", &copy));
    let ended = host.run(&proof(), |_| Ok(Vec::new())).expect("the session ends");
    let text = ended.result.expect_err("nothing is proven");
    assert!(text.contains("is Tachy again"), "{text}");
    assert_eq!(end(child).0, Some(0));
}

/// A server that never connects does not keep ours when the host goes away.
#[test]
fn a_server_that_hangs_ends_with_the_host() {
    let folder = folder();
    let (own, process) = (folder.path().join("own-r0vm"), folder.path().join("process"));
    script(&own, &format!("echo $$ > {}; exec sleep 1000000", process.display()));
    let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM", &own).env("PATH", "/usr/bin:/bin"));
    host.greet();
    host.send(&proof()).expect("the server reads");
    while !fs::read_to_string(&process).is_ok_and(|process| process.ends_with('\n')) {
        thread::sleep(Duration::from_millis(20));
    }
    drop(host);
    end(child);
    let process = fs::read_to_string(process).expect("it has started");
    let status = format!("/proc/{}/status", process.trim());
    assert!(!fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")), "it still runs");
}

#[test]
fn the_other_server_ends_with_the_host() {
    let folder = folder();
    let (own, process) = (folder.path().join("own-r0vm"), folder.path().join("process"));
    write_stand_in(&own);
    let (child, mut host) = start(r0vm(&[]).env("TACHY_R0VM", &own).env("STAND_IN_PROCESS", &process));
    host.greet();
    host.send(&proof()).expect("the server reads");
    // The other server's question has come, and gets no answer.
    host.receive_bytes().expect("it asks");
    drop(host);
    end(child);
    let process = fs::read_to_string(process).expect("it has started");
    let status = format!("/proc/{process}/status");
    while fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ")) {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn image_ids_are_printed() {
    let path = format!("{}/../guests/r0vm/bin/hello.bin", env!("CARGO_MANIFEST_DIR"));
    let (code, stdout, _) = run(&mut r0vm(&["--elf", &path, "--id"]));
    // From compute_image_id of risc0-zkvm 3.0.6.
    let id = "5ec1a0c0b9e5dd70dbf6bae4d52d11481255a8a9df8a754ea4fd5d705796a613\n";
    assert_eq!((code, stdout.as_str()), (Some(0), id));
    assert_eq!(run(&mut r0vm(&["--elf", "/nonexistent", "--id"])).0, Some(1));
    assert_ne!(run(&mut r0vm(&["--id", "--port", "1"])).0, Some(0));
}

#[test]
fn a_program_is_executed_before_it_is_proven() {
    let folder = folder();
    let path = format!("{}/../guests/r0vm/bin/hello.bin", env!("CARGO_MANIFEST_DIR"));
    let input = folder.path().join("input");
    fs::write(&input, hello_input()).expect("the system has files");
    let input = input.to_str().expect("it is text");
    let printed = "greeting world\nR0VM[2429] hello\n";
    // Without a server, the program has run, and that is said.
    let (code, stdout, stderr) = run(&mut r0vm(&["--elf", &path, "--initial-input", input]));
    assert_eq!((code, stdout.as_str()), (Some(1), printed), "{stderr}");
    assert!(stderr.contains("was executed, and not proven: "), "{stderr}");
    let mut only = r0vm(&["--elf", &path]);
    let from_stdin = fs::File::open(input).expect("it is there");
    let (code, stdout, stderr) = run(only.env("TACHY_R0VM_EXECUTE_ONLY", "1").stdin(from_stdin));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), printed, "41 so far\n"));
    // With one, it gets the same words and the same input, and it alone prints.
    let own = folder.path().join("own-r0vm");
    script(&own, "echo \"$@\"; exec cat");
    let from_stdin = fs::File::open(input).expect("it is there");
    let mut proven = r0vm(&["--elf", &path, "--receipt", "/tmp/none"]);
    let output = proven.env("TACHY_R0VM", &own).env("PATH", "/usr/bin:/bin").stdin(from_stdin).output();
    let expected = [format!("--elf {path} --receipt /tmp/none\n").into_bytes(), hello_input()].concat();
    assert_eq!(output.expect("it starts").stdout, expected);
    // An error comes before any proof.
    let panics = format!("{}/../guests/r0vm/bin/panic.bin", env!("CARGO_MANIFEST_DIR"));
    let (code, stdout, stderr) = run(r0vm(&["--elf", &panics]).env("TACHY_R0VM", &own));
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("panic"), "{stderr}");
}

#[test]
fn what_only_risc_zeros_server_does_is_left_to_it() {
    let folder = folder();
    let own = folder.path().join("own-r0vm");
    script(&own, "echo \"own: $@\"; exit 5");
    for arguments in [
        &["--rpc"][..],
        &["--rpc", "--num-gpus", "2"],
        &["--manager", "--addr", "1.2.3.4:5"],
        &["--worker", "a,b", "--po2", "20"],
        &["--config", "file"],
        &["--image", "file", "--receipt-kind", "succinct"],
        &["--segment", "file"],
    ] {
        let (code, stdout, _) = run(r0vm(arguments).env("TACHY_R0VM", &own));
        assert_eq!((code, stdout), (Some(5), format!("own: {}\n", arguments.join(" "))));
        let (code, stdout, stderr) = run(&mut r0vm(arguments));
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains("install one (rzup install"), "{stderr}");
    }
    let (_, _, stderr) = run(&mut r0vm(&["--rpc"]));
    assert!(stderr.contains("RISC0_PROVER=actor") && stderr.contains("risc0-zkvm 5"), "{stderr}");
    assert_eq!(run(&mut r0vm(&["--elf", "file", "--num-gpus", "2"])).0, Some(0));
    let (code, _, stderr) = run(&mut r0vm(&["--elf", "file", "--with-debugger"]));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("there is no debugger yet"), "{stderr}");
    assert_ne!(run(&mut r0vm(&[])).0, Some(0));
}

#[test]
fn links_are_made_and_removed() {
    let folder = folder();
    let home = folder.path().join("home");
    let run = |arguments: &[&str]| run(r0vm(arguments).env("HOME", &home));
    let link = home.join(".local/bin/r0vm");
    let (code, stdout, stderr) = run(&["install"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("made the link ") && stdout.contains("export RISC0_SERVER_PATH="), "{stdout}");
    assert!(text(&tachy(&link).arg("--version").output().expect("it starts").stdout).ends_with(" 3.0.6\n"));
    assert!(run(&["install"]).1.starts_with("already there: "));
    assert!(run(&["uninstall"]).1.starts_with("removed "));
    assert!(!link.exists());
    assert!(run(&["uninstall"]).1.contains("nothing was removed"));
    // rzup's tree is touched only on request, in a folder of its own.
    assert!(!home.join(".risc0").exists());
    let own = home.join(".risc0/extensions/v3.0.0-cargo-risczero-tachy");
    let (code, stdout, _) = run(&["install", "--rzup"]);
    assert_eq!(code, Some(0));
    assert!(own.join("r0vm").exists() && stdout.contains("no variable is needed"), "{stdout}");
    assert_eq!(run(&["uninstall", "--rzup"]).0, Some(0));
    assert!(!own.exists());
    // A server of rzup's own is named, because hosts find it first.
    script(&home.join(".risc0/extensions/v3.0.6-cargo-risczero-x86_64/r0vm"), "true");
    assert!(run(&["install"]).1.contains("rzup has an r0vm"));
}

#[test]
fn nothing_but_our_links_is_replaced_or_removed() {
    let folder = folder();
    let place = folder.path().join("r0vm");
    let directory = folder.path().to_str().expect("it is text");
    let others: [&dyn Fn(); 3] = [
        &|| fs::write(&place, "a program").expect("the system has files"),
        &|| symlink("/usr/bin/true", &place).expect("the system has links"),
        &|| fs::create_dir(&place).expect("the system has folders"),
    ];
    for make in others {
        make();
        for action in ["install", "uninstall"] {
            let (code, _, stderr) = run(&mut r0vm(&[action, "--dir", directory]));
            assert_eq!(code, Some(1));
            assert!(stderr.contains("is not a link to tachy, so it stays as it is"), "{stderr}");
        }
        assert!(fs::symlink_metadata(&place).is_ok());
        let _ = fs::remove_file(&place).or_else(|_| fs::remove_dir(&place));
    }
    // A link that leads to an older place of the program is ours.
    symlink("/nonexistent/tachy", &place).expect("the system has links");
    assert_eq!(run(&mut r0vm(&["install", "--dir", directory])).0, Some(0));
    assert_eq!(fs::read_link(&place).expect("it is a link"), Path::new(TACHY));
    assert_ne!(run(&mut r0vm(&["install", "--dir", directory, "--rzup"])).0, Some(0));
}
