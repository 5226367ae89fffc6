//! Tests `tachy` while it waits for others: pipes that nobody writes or reads, named pipes that nobody opens,
//! terminals. The time limit and signals end the wait, and tachy reports what the run did.
//!
//! A run that still waits after a minute is killed, and the test fails.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{code, guest};
use serde_json::Value;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::trace::{Row, read_rows};
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");
/// After this time a run counts as hanging.
const FOR_EVER: Duration = Duration::from_secs(60);

fn filter() -> String {
    guest("filter").display().to_string()
}

fn risc0(name: &str) -> String {
    format!("{}/guests/r0vm/bin/{name}.bin", crate::common::ROOT)
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A named pipe.
fn fifo(folder: &TempDir, name: &str) -> String {
    let path = path(folder, name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    path
}

/// A run with pipes as its streams. It is killed on drop.
struct Run(Child);

impl Run {
    fn start(args: &[&str]) -> Run {
        let mut command = Command::new(TACHY);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Run(command.spawn().expect("tachy starts"))
    }

    fn stdin(&mut self) -> &mut ChildStdin {
        self.0.stdin.as_mut().expect("it is piped")
    }

    fn stdout(&mut self) -> &mut ChildStdout {
        self.0.stdout.as_mut().expect("it is piped")
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.0.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until the process handles a signal: Linux shows a bit for each caught signal.
    fn hears(&self, signal: u32) {
        let status = format!("/proc/{}/status", self.0.id());
        eventually("signals are heard", || {
            let status = fs::read_to_string(&status).expect("it runs");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("Linux says so");
            u64::from_str_radix(caught.trim(), 16).expect("a mask") & 1 << (signal - 1) != 0
        });
    }

    /// Waits until the process sleeps in `poll` or `ppoll`, by their numbers on x86-64 and aarch64.
    fn polls(&self) {
        let tasks = format!("/proc/{}/syscall", self.0.id());
        eventually("it waits", || {
            let call = fs::read_to_string(&tasks).unwrap_or_default();
            let number = call.split(' ').next().unwrap_or_default().to_owned();
            ["7", "271", "73"].contains(&number.as_str())
        });
    }

    /// Returns how the run ended, and its stderr. Stdout stays unread, because the run may be waiting for a reader.
    fn end(mut self) -> (ExitStatus, String) {
        let mut stderr = self.0.stderr.take().expect("it is piped");
        let said = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("text");
            text
        });
        let status = self.end_unread();
        (status, said.join().expect("it is read"))
    }

    /// Returns how the run ended, with all its pipes left open.
    fn end_unread(mut self) -> ExitStatus {
        // `wait` would close the input first.
        let _stdin = self.0.stdin.take();
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it is ours") {
                return status;
            }
            if started.elapsed() > FOR_EVER {
                self.0.kill().expect("it is ours");
                panic!("it waits for ever");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < FOR_EVER, "{what}: never");
        thread::sleep(Duration::from_millis(5));
    }
}

fn json(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("JSON")
}

const SIGNALS: [(&str, i32, &str); 3] =
    [("INT", 130, "interrupted at pc"), ("TERM", 143, "ended by SIGTERM at pc"), ("HUP", 129, "ended by SIGHUP at pc")];

// ---------------------------------------------------------------------------------------------------------------------
// Input

/// Command lines of guests that wait for input, and what they wait for. Options precede the program.
fn readers(folder: &TempDir) -> Vec<(Vec<String>, &'static str)> {
    let (never, streams) = (fifo(folder, "never"), risc0("streams"));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let zero = path(folder, "zero");
    fs::write(&zero, [0; 64]).expect("it is written");
    let mut readers = Vec::new();
    for engine in ["--jit", "--interpreter", "--crosscheck"] {
        readers.push((words(&format!("run {engine} {}", filter())), "its standard input"));
        readers.push((words(&format!("run {engine} --input - {}", risc0("hello"))), "its standard input"));
    }
    readers.push((words(&format!("run --stdin {never} {}", filter())), "its standard input"));
    readers.push((words(&format!("trace --format none --stdin {never} {}", filter())), "its standard input"));
    readers.push((words(&format!("run --input {never} {}", risc0("hello"))), "its standard input"));
    readers.push((words(&format!("run --read-fd 0={never} {}", risc0("hello"))), "its standard input"));
    readers.push((
        words(&format!("run --input {zero} --read-fd 4={never} --write-fd 5=/dev/null {streams}")),
        "its file descriptor 4",
    ));
    readers
}

#[test]
fn the_time_limit_ends_a_wait_for_input() {
    let folder = folder();
    let object = path(&folder, "json");
    for (words, what) in readers(&folder) {
        let json_option = format!("--json={object}");
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.splice(1..1, ["--limit-time", "0.3", "--stats", &json_option]);
        let (status, stderr) = Run::start(&args).end();
        assert_eq!(status.code(), Some(72), "{args:?}: {stderr}");
        assert!(stderr.contains("time limit of 0.300 s reached at pc"), "{args:?}: {stderr}");
        assert!(stderr.contains(&format!("while waiting for {what}")), "{args:?}: {stderr}");
        assert!(stderr.contains("raise --limit-time") && stderr.contains("M steps/s"), "{args:?}: {stderr}");
        let facts = json(&object);
        assert_eq!((&facts["error"]["kind"], &facts["error"]["step"]), (&"time-limit".into(), &facts["steps"]));
    }
}

#[test]
fn signals_end_a_wait_for_input() {
    let folder = folder();
    let object = path(&folder, "json");
    let readers = readers(&folder);
    for (at, (words, what)) in readers.iter().enumerate() {
        let (signal, code, message) = SIGNALS[at % SIGNALS.len()];
        let json_option = format!("--json={object}");
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.insert(1, &json_option);
        let run = Run::start(&args);
        run.hears(15);
        run.signal(signal);
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        // The guest may not have reached the read yet.
        assert!(!stderr.contains("waited") || stderr.contains(what), "{args:?}: {stderr}");
        let facts = json(&object);
        assert_eq!((&facts["error"]["kind"], &facts["error"]["step"]), (&"cancelled".into(), &facts["steps"]));
    }
}

#[test]
fn a_comparison_ends_where_it_waits() {
    let folder = folder();
    let never = fifo(&folder, "never");
    let (status, stderr) = Run::start(&["diff", "--json", "--limit-time", "0.05", "--stdin", &never, &filter()]).end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("agree so far: time limit of 0.050 s reached"), "{stderr}");
    let run = Run::start(&["diff", "--json", "--stdin", &never, &filter()]);
    run.hears(15);
    run.polls();
    run.signal("TERM");
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(143), "{stderr}");
    assert!(stderr.contains("agree so far: ended by SIGTERM at pc"), "{stderr}");
}

/// A wait belongs to no step: rows, effects and counts cover the steps before it.
#[test]
fn a_trace_that_is_ended_where_it_waits_has_whole_rows() {
    let folder = folder();
    let (object, rows) = (path(&folder, "json"), path(&folder, "rows"));
    let effects = path(&folder, "effects");
    for (signal, code, _) in SIGNALS {
        let json_option = format!("--json={object}");
        let args = ["trace", "--format=rows", "-o", &rows, "--effects", &effects, &json_option, &filter()];
        let mut run = Run::start(&args);
        run.stdin().write_all(b"some words").expect("it reads");
        run.stdout().read_exact(&mut [0; 10]).expect("it writes");
        run.polls();
        run.signal(signal);
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(code), "{stderr}");
        let (facts, mut count) = (json(&object), 0);
        let header = read_rows(&mut File::open(&rows).expect("it is there"), |_, rows| count += rows.len() as u64);
        assert_eq!(header.expect("whole rows").rows, Some(count));
        assert_eq!((facts["rows"].as_u64(), facts["steps"].as_u64()), (Some(count), Some(count)));
        let text = fs::read_to_string(&effects).expect("it is there");
        let last = text.lines().last().and_then(|line| line.split(',').next()?.parse::<u64>().ok());
        assert!(text.ends_with('\n') && last.is_some_and(|step| step < count), "{last:?} of {count}");
    }
}

/// Copies input to output until the input ends.
fn echo(folder: &TempDir) -> String {
    let insn = |op, rd, rs1, rs2, imm: i32| encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 });
    let li = |rd, value| insn(Op::Addi, rd, 0, 0, value);
    let ecall = || insn(Op::Ecall, 0, 0, 0, 0);
    let words = [
        insn(Op::Addi, 2, 2, 0, -1024),
        li(10, 0),
        insn(Op::Addi, 11, 2, 0, 0),
        li(12, 1024),
        li(17, 63),
        ecall(),
        // Exits with 0 at the end.
        insn(Op::Beq, 0, 10, 0, 4 * 7),
        insn(Op::Addi, 12, 10, 0, 0),
        li(10, 1),
        insn(Op::Addi, 11, 2, 0, 0),
        li(17, 64),
        ecall(),
        insn(Op::Jal, 0, 0, 0, -4 * 11),
        li(10, 0),
        li(17, 93),
        ecall(),
    ];
    let path = path(folder, "echo.elf");
    fs::write(&path, code(&words)).expect("it is written");
    path
}

#[test]
fn a_guest_answers_before_its_input_ends() {
    let folder = folder();
    let (echo, effects) = (echo(&folder), path(&folder, "effects"));
    let all = ["ping\n", "a longer request\n", "x"];
    for engine in ["--jit", "--interpreter", "--crosscheck"] {
        let mut run = Run::start(&["trace", engine, "--format=none", "--effects", &effects, &echo]);
        let mut stdout = run.0.stdout.take().expect("it is piped");
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(bytes @ 1..) = stdout.read(&mut buffer) {
                sender.send(buffer[..bytes].to_vec()).expect("somebody waits");
            }
        });
        for request in all {
            run.stdin().write_all(request.as_bytes()).expect("it reads");
            let mut answer = Vec::new();
            while answer.len() < request.len() {
                match answers.recv_timeout(FOR_EVER) {
                    Ok(more) => answer.extend(more),
                    Err(RecvTimeoutError::Timeout) => panic!("{engine}: no answer to {request:?}"),
                    Err(RecvTimeoutError::Disconnected) => panic!("{engine}: it has ended at {request:?}"),
                }
            }
            assert_eq!(answer, request.as_bytes(), "{engine}");
        }
        drop(run.0.stdin.take());
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(0), "{engine}: {stderr}");
        // The effects show the size of each read: a0, register 10, holds it after the read.
        let text = fs::read_to_string(&effects).expect("it is there");
        let given = text.lines().filter(|line| line.contains(",write,register,0x0000000a,0x00000000,"));
        let given: Vec<&str> = given.filter_map(|line| line.rsplit(',').next()).collect();
        let expected: Vec<String> = all.iter().map(|text| format!("{:#010x}", text.len())).collect();
        assert_eq!(given.iter().filter(|value| **value != "0x00000000").copied().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn guests_of_r0vm_have_no_input_unless_it_is_named() {
    // The pipe stays open and silent, and that does not matter.
    let (status, stderr) = Run::start(&["run", &risc0("hello")]).end();
    assert_eq!(status.code(), Some(73), "{stderr}");
    assert!(stderr.contains("DeserializeUnexpectedEnd"), "{stderr}");

    // Before the end of its input, a read waits until it has all the bytes that it needs, whatever their pieces.
    let mut run = Run::start(&["run", "--input", "-", &risc0("hello")]);
    let words = [2u32, u32::from_le_bytes(*b"me\0\0"), 7].map(u32::to_le_bytes).concat();
    for piece in words.chunks(3) {
        run.stdin().write_all(piece).expect("it reads");
        run.stdin().flush().expect("it reads");
    }
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

#[test]
fn a_named_pipe_is_read_once_somebody_writes_it() {
    let folder = folder();
    let pipe = fifo(&folder, "pipe");
    let mut run = Run::start(&["run", "--stdin", &pipe, &filter()]);
    let mut writer = OpenOptions::new().write(true).open(&pipe).expect("it is read");
    writer.write_all(b"text").expect("it is read");
    drop(writer);
    let mut stdout = String::new();
    run.stdout().read_to_string(&mut stdout).expect("text");
    assert!(stdout.starts_with("TEXT\n"), "{stdout}");
    assert_eq!(run.end().0.code(), Some(0));
}

/// Files that are opened before the run do not hang either: the program itself, and the outputs.
#[test]
fn named_pipes_that_nobody_opens_end_with_the_time_or_a_signal() {
    let folder = folder();
    let never = fifo(&folder, "never");
    let (json_option, filter, hello) = (format!("--json={never}"), filter(), risc0("hello"));
    for args in [vec!["run", &never], vec!["run", &json_option, &filter], vec!["run", "--journal", &never, &hello]] {
        let mut limited = args.clone();
        limited.splice(1..1, ["--limit-time", "0.3"]);
        let (status, stderr) = Run::start(&limited).end();
        assert_eq!(status.code(), Some(72), "{limited:?}: {stderr}");
        assert!(
            stderr.contains("stopped by the time limit of 0.3 s") && stderr.contains(&never),
            "{limited:?}: {stderr}"
        );

        let run = Run::start(&args);
        run.hears(1);
        run.signal("HUP");
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(129), "{args:?}: {stderr}");
        assert!(stderr.contains("ended by SIGHUP while"), "{args:?}: {stderr}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Output

/// Command lines that write more than a pipe holds.
fn writers() -> [Vec<String>; 3] {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let (fib, filter) = (guest("fib").display().to_string(), filter());
    [
        words(format!("run --stdin /dev/zero {filter}")),
        words(format!("trace {fib} -- 40")),
        words(format!("trace --format rows {fib} -- 40")),
    ]
}

#[test]
fn the_time_limit_and_signals_end_a_wait_for_a_reader() {
    let folder = folder();
    let object = path(&folder, "json");
    let json_option = format!("--json={object}");
    for (words, (signal, code, _)) in writers().iter().zip(SIGNALS) {
        let mut args: Vec<&str> = words.iter().map(String::as_str).collect();
        args.insert(1, &json_option);
        // The reader stays, but does not read.
        let run = Run::start(&args);
        run.hears(15);
        run.polls();
        run.signal(signal);
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains("while waiting for a reader"), "{args:?}: {stderr}");
        assert_eq!(json(&object)["error"]["kind"], "cancelled");

        args.splice(1..1, ["--limit-time", "0.05"]);
        let run = Run::start(&args);
        run.hears(15);
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(72), "{args:?}: {stderr}");
        assert_eq!(json(&object)["error"]["kind"], "time-limit");
    }
}

/// Without a reader of stderr, only the exit code and the JSON object report the end.
#[test]
fn nobody_reads_what_is_said() {
    let insn = |op, rd, rs1, rs2, imm: i32| encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 });
    let li = |rd, value| insn(Op::Addi, rd, 0, 0, value);
    // Writes a KiB of its stack to stderr, for ever.
    let begin = [insn(Op::Addi, 2, 2, 0, -1024), insn(Op::Addi, 11, 2, 0, 0), li(12, 1024), li(17, 64)];
    let write = [li(10, 2), insn(Op::Ecall, 0, 0, 0, 0), insn(Op::Jal, 0, 0, 0, -8)];
    let folder = folder();
    let (program, object) = (path(&folder, "says.elf"), path(&folder, "json"));
    fs::write(&program, code(&[&begin[..], &write].concat())).expect("it is written");
    let json_option = format!("--json={object}");
    let run = Run::start(&["run", &json_option, "--stats", "--limit-time", "0.3", &program]);
    let mut stderr = run.0.stderr.as_ref().expect("it is piped").as_fd().try_clone_to_owned().map(File::from);
    assert_eq!(run.end_unread().code(), Some(72));
    assert_eq!(json(&object)["error"]["kind"], "time-limit");
    let mut said = Vec::new();
    stderr.as_mut().expect("another of it").read_to_end(&mut said).expect("it is there");
    assert!(said.iter().all(|byte| *byte == 0), "there was room for the guest's own words alone");
}

/// A slow reader still gets all rows up to the end of the run, each of them complete.
#[test]
fn a_slow_reader_gets_whole_rows() {
    let folder = folder();
    let object = path(&folder, "json");
    let json_option = format!("--json={object}");
    let fib = guest("fib").display().to_string();
    let mut run = Run::start(&["trace", "--format=rows", &json_option, &fib, "--", "40"]);
    let mut rows = run.0.stdout.take().expect("it is piped");
    run.hears(15);
    run.polls();
    run.signal("TERM");
    let reader = thread::spawn(move || {
        let (mut count, mut last) = (0, Row::default());
        let header = read_rows(&mut rows, |_, rows| {
            count += rows.len() as u64;
            last = *rows.last().expect("there is one");
        });
        header.expect("whole rows");
        count
    });
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(143), "{stderr}");
    let (count, facts) = (reader.join().expect("it reads"), json(&object));
    assert_eq!((facts["rows"].as_u64(), facts["steps"].as_u64()), (Some(count), Some(count)), "{stderr}");
}

#[test]
fn a_named_pipe_to_write_waits_for_its_reader_no_longer_than_the_run_may() {
    let folder = folder();
    let pipe = fifo(&folder, "pipe");
    let write_fd = format!("5={pipe}");
    let (fib, hello) = (guest("fib").display().to_string(), risc0("hello"));
    let commands = [vec!["trace", "-o", &pipe, &fib], vec!["run", "--write-fd", &write_fd, &hello]];
    for command in commands {
        let mut args = command.clone();
        args.splice(1..1, ["--limit-time", "0.05"]);
        let (status, stderr) = Run::start(&args).end();
        assert_eq!(status.code(), Some(72), "{args:?}: {stderr}");
        assert!(stderr.contains(&pipe), "{args:?}: {stderr}");

        let run = Run::start(&command);
        run.hears(15);
        run.signal("TERM");
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(143), "{command:?}: {stderr}");
    }

    // With a reader, a named pipe is a stream like any other.
    let run = Run::start(&["trace", "-o", &pipe, &fib, "--", "5"]);
    let text = fs::read_to_string(&pipe).expect("it is written");
    let (status, stderr) = run.end();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(text.starts_with("step,pc,insn") && text.lines().count() > 10, "{text}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Signals

/// SIGTERM is often sent twice. Only a second Ctrl-C ends everything at once.
#[test]
fn only_another_ctrl_c_ends_everything_at_once() {
    let folder = folder();
    let object = path(&folder, "json");
    let json_option = format!("--json={object}");
    for (signal, code, is_told) in [("TERM", 143, true), ("INT", 130, false)] {
        fs::write(&object, "").expect("it is written");
        // Nobody reads the rows. The first signal gives the reader a little more time; the second arrives in that time.
        let fib = guest("fib").display().to_string();
        let run = Run::start(&["trace", &json_option, &fib, "--", "40"]);
        run.hears(15);
        run.polls();
        run.signal(signal);
        thread::sleep(Duration::from_millis(50));
        run.signal(signal);
        let (status, stderr) = run.end();
        assert_eq!(status.code(), Some(code), "{signal}: {stderr}");
        assert_eq!(stderr.contains("at pc"), is_told, "{signal}: {stderr}");
        assert_eq!(fs::read_to_string(&object).is_ok_and(|text| text.ends_with("}\n")), is_told, "{signal}");
    }
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let run = |command: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", command, TACHY, &filter()]);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Run(shell.spawn().expect("sh runs"))
    };
    for (ignored, heard, code) in [("HUP", "TERM", 143), ("TERM", "HUP", 129), ("INT", "TERM", 143)] {
        let number = if heard == "TERM" { 15 } else { 1 };
        let waits = run(&format!("trap '' {ignored}; exec \"$0\" run \"$1\""));
        waits.hears(number);
        waits.polls();
        waits.signal(ignored);
        waits.signal(heard);
        let (status, stderr) = waits.end();
        assert_eq!(status.code(), Some(code), "{ignored}: {stderr}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Terminals

/// Runs a command on its own terminal, types `typed` once `shown` appears, and returns all of the terminal's output.
/// Returns `None` without `script`.
fn on_terminal(command: &str, shown: &str, typed: &str) -> Option<(String, ExitStatus)> {
    let mut script = Command::new("script");
    script.args(["-qefc", command, "/dev/null"]).env("TERM", "xterm-256color");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(child) = script.spawn() else {
        eprintln!("notice: no terminal without script");
        return None;
    };
    let mut run = Run(child);
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&seen).contains(shown) {
        assert_eq!(run.stdout().read(&mut byte).expect("it shows"), 1, "{:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    run.stdin().write_all(typed.as_bytes()).expect("it is typed");
    run.stdout().read_to_end(&mut seen).expect("it shows");
    let status = run.end().0;
    Some((String::from_utf8_lossy(&seen).into_owned(), status))
}

#[test]
fn who_sits_at_a_terminal_is_told_that_the_guest_waits_there() {
    let note = "the guest reads its standard input from this terminal";
    let command = format!("{TACHY} run {}", filter());
    let Some((seen, status)) = on_terminal(&command, note, "one\ntwo\n\x04") else { return };
    assert_eq!(status.code(), Some(0), "{seen}");
    assert_eq!(seen.matches(note).count(), 1, "{seen}");
    assert!(seen.contains("ONE\r\n") && seen.contains("TWO\r\n"), "{seen}");

    // A guest with a prompt of its own needs no help.
    let folder = folder();
    let prompt = path(&folder, "prompt.elf");
    fs::write(&prompt, prompts()).expect("it is written");
    let (seen, status) = on_terminal(&format!("{TACHY} run {prompt}"), "?", "x\n").expect("there was one before");
    assert_eq!((status.code(), seen.contains(note)), (Some(0), false), "{seen}");
}

/// Writes "?", reads a byte, and exits with 0.
fn prompts() -> Vec<u8> {
    let insn = |op, rd, rs1, rs2, imm: i32| encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 });
    let li = |rd, value| insn(Op::Addi, rd, 0, 0, value);
    let ecall = || insn(Op::Ecall, 0, 0, 0, 0);
    let stack = [insn(Op::Addi, 2, 2, 0, -64), insn(Op::Addi, 11, 2, 0, 0), li(5, 63), insn(Op::Sb, 0, 2, 5, 0)];
    let write = [li(10, 1), li(12, 1), li(17, 64), ecall()];
    let read = [li(10, 0), li(17, 63), ecall(), li(10, 0), li(17, 93), ecall()];
    code(&[&stack[..], &write, &read].concat())
}

/// Without a terminal, tachy shows none of these messages.
#[test]
fn nobody_is_told_where_there_is_no_terminal() {
    let output = Command::new(TACHY).args(["run", &filter()]).stdin(Stdio::null()).output().expect("tachy runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("terminal"), "{output:?}");
}
