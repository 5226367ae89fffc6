//! Measures an unchanged host on Tachy: against RISC Zero's executor in the process of the same host, and against a
//! server that executes nothing and only repeats answers. This program is that server when its name is `r0vm`.
//!
//!     cargo build --release --package tachy-cli                          # in the root
//!     (cd tests/oracle && cargo build --package oracle-hosts)
//!     (cd tests/dropin && cargo build && cargo run --example speed)
//!
//! It must not know how Tachy works.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Events that the other server sends: as many as the guest below has.
const EVENTS: &str = "SPEED_EVENTS";
/// Bytes of the segment that it sends: as many as Tachy's for `hello`.
const SEGMENT_BYTES: usize = 60_000;

fn main() {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name.ends_with("/r0vm") {
        return serve(&arguments.collect::<Vec<_>>());
    }
    let folder = tempfile::tempdir().expect("the system has files");
    let link = |name: &str, program: &Path| {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).expect("the system has folders");
        let program = std::fs::canonicalize(program).expect("it is built, see above");
        symlink(program, place.join("r0vm")).expect("the system has links");
        place.join("r0vm")
    };
    let tachy = link("tachy", &Path::new(ROOT).join("target/release/tachy"));
    let canned = link("canned", &std::env::current_exe().expect("this is a process"));
    // Both hosts are of the profile of this program; their dependencies are optimised in each.
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let built = |workspace: &str, host: &str| Path::new(ROOT).join(format!("{workspace}/target/{profile}/{host}"));
    let (host, reference) = (built("tests/dropin", "dropin"), built("tests/oracle", "oracle-host"));
    let cache = folder.path().join("cache");
    let run = |host: &Path, server: &Path, events: u64, words: &[&str]| {
        let mut command = Command::new(host);
        command.arg("measure").args(words).env("TACHY_CACHE_DIR", &cache).env("RISC0_SERVER_PATH", server);
        let output = command.env(EVENTS, events.to_string()).output().expect("the host is built");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text.split_whitespace().map(str::to_owned);
        let mut next = || words.next().expect("the host prints three numbers");
        let seconds: f64 = next().parse().expect("seconds");
        (seconds, next().parse::<u64>().expect("cycles"), next().parse::<u64>().expect("events"))
    };
    let best = |runs: usize, run: &dyn Fn() -> f64| (0..runs).map(|_| run()).fold(f64::INFINITY, f64::min);
    println!("| guest | user cycles | the executor in the process | Tachy, first | Tachy, again | ratio |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for words in
        [&["fib", "32"][..], &["heap", "16384", "8000"], &["ecdsa_bigint", "200"], &["ledger", "2000", "12000"]]
    {
        let (first, cycles, _) = run(&host, &tachy, 0, words);
        // Interleaved, so that what else runs here slows both.
        let (mut again, mut inside) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..2 {
            again = again.min(run(&host, &tachy, 0, words).0);
            inside = inside.min(run(&reference, &tachy, 0, words).0);
        }
        let name = words.join(" ");
        println!("| `{name}` | {cycles} | {inside:.3} s | {first:.3} s | {again:.3} s | {:.1} |", inside / again);
    }
    let hello = best(10, &|| run(&host, &tachy, 0, &["hello"]).0);
    let answers = best(10, &|| run(&host, &canned, 0, &["hello"]).0);
    println!("\nhello: {:.1} ms on Tachy, {:.1} ms with answers that are only repeated", 1e3 * hello, 1e3 * answers);
    let words = ["events", "fib", "16"];
    let events = run(&host, &tachy, 0, &words).2;
    let ahead = best(3, &|| run(&host, &tachy, 0, &words).0);
    let in_turn = best(3, &|| run(&host, &canned, events, &words).0);
    println!("{events} trace events: {ahead:.3} s on Tachy, {in_turn:.3} s one by one, without any execution");
}

/// Serves a host with answers that are the same for every guest.
fn serve(arguments: &[String]) {
    let ["--port", port] = &*arguments.iter().map(String::as_str).collect::<Vec<_>>() else {
        return println!("canned 3.0.6");
    };
    let port: u16 = port.parse().expect("a port");
    let mut host = TcpStream::connect(("127.0.0.1", port)).expect("the host waits");
    host.set_nodelay(true).expect("the system has it");
    receive(&mut host);
    // A greeting of 3.0.6, and then the request.
    ask(&mut host, &bytes(1, &bytes(1, &[number(1, 3), number(3, 6)].concat())));
    let io = |posix: &[u8]| bytes(1, &bytes(1, &bytes(1, posix)));
    let events: u64 = std::env::var(EVENTS).ok().and_then(|events| events.parse().ok()).unwrap_or_default();
    for address in 0..events {
        let set = [number(1, address), bytes(3, &[0; 4])].concat();
        ask(&mut host, &bytes(1, &bytes(1, &bytes(3, &bytes(3, &set)))));
    }
    ask(&mut host, &io(&bytes(2, &number(1, 8192))));
    for descriptor in [1, 1, 2] {
        ask(&mut host, &io(&[number(1, descriptor), bytes(2, &bytes(2, b"hello, world"))].concat()));
    }
    let segment = [number(2, 16), number(3, 6387), bytes(4, &bytes(1, &vec![0; SEGMENT_BYTES]))].concat();
    ask(&mut host, &bytes(1, &bytes(2, &bytes(1, &segment))));
    let session = [number(1, 1), bytes(3, &number(1, 0))].concat();
    send(&mut host, &bytes(1, &bytes(3, &bytes(1, &session))));
}

/// Sends a message and waits for the answer.
fn ask(host: &mut TcpStream, message: &[u8]) {
    send(host, message);
    receive(host);
}

fn send(host: &mut TcpStream, message: &[u8]) {
    let frame = [&(message.len() as u32).to_le_bytes(), message].concat();
    host.write_all(&frame).expect("the host reads");
}

fn receive(host: &mut TcpStream) {
    let mut length = [0; 4];
    host.read_exact(&mut length).expect("the host speaks");
    host.read_exact(&mut vec![0; u32::from_le_bytes(length) as usize]).expect("the host speaks");
}

/// A field of protobuf that is a number.
fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

/// A field of protobuf that is bytes or a message.
fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
