//! Tests edge cases of the command line: values that are easy to misread, endless inputs, readers that disappear, and
//! help texts that cover only their own command.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{code, guest};
use serde_json::Value;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

/// The result of a process, as text.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `tachy` with these arguments, separated by spaces, and this input.
fn tachy_with(args: &str, input: &[u8]) -> Outcome {
    let mut command = Command::new(TACHY);
    command.args(args.split(' ').filter(|arg| !arg.is_empty())).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tachy starts");
    // A process that reads none of its input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn tachy(args: &str) -> Outcome {
    tachy_with(args, b"")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

fn fib() -> String {
    guest("fib").display().to_string()
}

/// Returns the path of one of R0VM's guests.
fn risc0(name: &str) -> String {
    let path = Path::new(crate::common::ROOT).join("guests/r0vm/bin").join(name).with_extension("bin");
    path.display().to_string()
}

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

// ---------------------------------------------------------------------------------------------------------------------
// Values

#[test]
fn values_mean_what_they_say() {
    let fib = fib();
    assert_eq!(tachy(&format!("run --jit-threshold 32768 {fib} -- 5")).code, Some(0));
    for value in ["65536", "100000", "0x10000"] {
        let outcome = tachy(&format!("run --jit-threshold {value} {fib} -- 5"));
        assert_eq!(outcome.code, Some(64), "{value}: {outcome:?}");
        assert!(outcome.stderr.contains("the maximum is 32768"), "{outcome:?}");
    }
    // The error shows the limit as it was given, whether memory ends there or with the page before.
    for (limit, bytes) in [("1", "1 bytes"), ("1500", "1500 bytes"), ("3K", "3072 bytes")] {
        for program in [fib.clone(), risc0("hello")] {
            let outcome = tachy(&format!("run --limit-memory {limit} {program}"));
            assert_eq!(outcome.code, Some(71), "{outcome:?}");
            assert!(outcome.stderr.contains(&format!("memory limit of {bytes} reached")), "{outcome:?}");
        }
    }
}

#[test]
fn a_value_that_was_not_joined_to_its_option_is_pointed_out() {
    let folder = TempDir::new().expect("a folder");
    let out = file(&folder, "out.json", b"{}");
    for (args, code, advice) in [
        (format!("run --json {out} {}", fib()), 64, format!("write --json={out}")),
        (format!("trace --json {out} {}", fib()), 64, format!("write --json={out}")),
        (format!("info --json {out} {}", fib()), 64, format!("write --json={out}")),
        (format!("run --resume 3 {}", risc0("hello")), 64, "write --resume=3".to_owned()),
        (format!("bench --runs 1 --json {out} {}", fib()), 65, format!("write --json={out}")),
    ] {
        let outcome = tachy(&args);
        assert_eq!(outcome.code, Some(code), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(&advice), "{args}: {outcome:?}");
    }
    // The guest's arguments do not matter here.
    let outcome = tachy(&format!("run {} x -- --json x", fib()));
    assert!(outcome.code == Some(64) && !outcome.stderr.contains("--json="), "{outcome:?}");
    assert_eq!(fs::read(out).expect("it is there"), b"{}");
}

#[test]
fn a_trace_that_begins_behind_the_end_says_so() {
    let fib = fib();
    let steps = json(&tachy(&format!("run --json {fib} -- 5")).stdout)["steps"].as_u64().expect("a number");
    let word = "tachy: no rows: the program ended after";
    for from in [steps + 1, u64::MAX] {
        let outcome = tachy(&format!("trace --from {from} {fib} -- 5"));
        assert_eq!((outcome.code, outcome.stdout.lines().count()), (Some(0), 1), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("{word} {steps} steps, before --from {from}")), "{outcome:?}");
    }
    for options in [format!("--from {}", steps - 1), format!("--from {steps}"), "--from 3 --to 3".to_owned()] {
        let outcome = tachy(&format!("trace {options} {fib} -- 5"));
        assert!(outcome.code == Some(0) && !outcome.stderr.contains(word), "{options}: {outcome:?}");
    }
    // A run that did not end has another word for it.
    let outcome = tachy(&format!("trace --from {} --limit-steps 10 {fib} -- 5", steps + 1));
    assert!(outcome.code == Some(72) && !outcome.stderr.contains(word), "{outcome:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Inputs

#[test]
fn what_is_no_program_is_not_read_to_its_end() {
    for command in ["run", "trace", "diff", "info", "bench"] {
        for device in ["/dev/zero", "/dev/urandom"] {
            let mut shell = Command::new("sh");
            // An unlimited read would exhaust half a gigabyte of address space at once. The guest itself needs more
            // than that.
            shell.args(["-c", &format!("ulimit -v 500000; exec {TACHY} {command} {device}")]);
            let output = shell.stdin(Stdio::null()).output().expect("it starts");
            let stderr = String::from_utf8(output.stderr).expect("it is text");
            assert_eq!(output.status.code(), Some(65), "{command} {device}: {stderr}");
            assert!(stderr.contains("not an ELF"), "{command} {device}: {stderr}");
        }
    }
}

#[test]
fn a_dash_is_standard_input() {
    let folder = TempDir::new().expect("a folder");
    let elf = fs::read(guest("fib")).expect("a guest");
    for (args, expected) in [
        ("run - -- 5", "fib(5) = 5 ok\n".to_owned()),
        ("diff - -- 5", tachy(&format!("diff {} -- 5", fib())).stdout),
        ("trace --to 3 - -- 5", tachy(&format!("trace --to 3 {} -- 5", fib())).stdout),
        ("info -", tachy(&format!("info {}", fib())).stdout.replace(&fib(), "-")),
    ] {
        let outcome = tachy_with(args, &elf);
        assert_eq!((outcome.code, outcome.stdout), (Some(0), expected), "{args}: {}", outcome.stderr);
    }
    assert_eq!(tachy_with("bench --runs 1 - -- 5", &elf).code, Some(0));

    let filter = guest("filter").display().to_string();
    let outcome = tachy_with(&format!("run --stdin - {filter}"), b"some text");
    assert!(outcome.stdout.starts_with("SOME TEXT"), "{outcome:?}");
    let first = file(&folder, "first", b"One and\n");
    let out = folder.path().join("out").display().to_string();
    let options = format!("--input {first} --read-fd 4=- --write-fd 5={out}");
    let outcome = tachy_with(&format!("run {options} {}", risc0("streams")), b"another");
    assert_eq!((outcome.code, fs::read(&out).expect("it is there")), (Some(0), b"ANOTHER".to_vec()), "{outcome:?}");
    // A descriptor's output may go to stdout. If stdout has another use, it goes where the guest's output goes.
    let outcome = tachy_with(&format!("run {} {}", options.replace(&out, "-"), risc0("streams")), b"another");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "ONE AND\nANOTHER"), "{outcome:?}");
    let outcome = tachy_with(&format!("run --json {} {}", options.replace(&out, "-"), risc0("streams")), b"another");
    assert!(json(&outcome.stdout)["error"].is_null() && outcome.stderr.contains("ANOTHER"), "{outcome:?}");

    for args in ["run --stdin - -", "run --input - --read-fd 4=- x.bin", "bench --stdin - -"] {
        let outcome = tachy_with(args, &elf);
        assert_eq!(outcome.code, Some(64), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains("both read standard input"), "{args}: {outcome:?}");
    }
}

#[test]
fn comparisons_and_measurements_have_input() {
    let folder = TempDir::new().expect("a folder");
    let filter = guest("filter").display().to_string();
    let text = b"some text ".repeat(10_000);
    let input = file(&folder, "input", &text);
    let steps = |outcome: Outcome| json(&outcome.stdout)["steps"].as_u64().expect("a number");
    let expected = steps(tachy_with(&format!("run --json --limit-steps 1000000000 {filter}"), &text));
    assert!(expected > steps(tachy(&format!("run --json {filter}"))) + 10_000);
    assert_eq!(steps(tachy_with(&format!("diff --json {filter}"), &text)), expected);
    assert_eq!(steps(tachy(&format!("diff --json --stdin {input} {filter}"))), expected);
    for options in [format!("--stdin {input}"), "--stdin -".to_owned(), format!("--input {input} --jit-threshold 9")] {
        let outcome = tachy_with(&format!("bench --runs 1 --json {options} {filter}"), &text);
        assert_eq!(json(&outcome.stdout)["programs"][0]["steps"], expected, "{options}: {outcome:?}");
    }
    // The processes that `--against` runs get the whole input, too: this one fails otherwise.
    let native = folder.path().join("native");
    fs::write(&native, format!("#!/bin/sh\ncmp - {input} >&2\n")).expect("a file");
    let made = Command::new("chmod").arg("+x").arg(&native).status().expect("chmod starts");
    assert!(made.success());
    let against = format!("bench --runs 1 --against native={}", native.display());
    for options in [format!("--stdin {input}"), "--stdin -".to_owned()] {
        let outcome = tachy_with(&format!("{against} {options} {filter}"), &text);
        assert_eq!(outcome.code, Some(0), "{options}: {outcome:?}");
    }
    let outcome = tachy_with(&format!("{against} {filter}"), &text);
    assert!(outcome.code == Some(69), "it has no input: {outcome:?}");
    // On r0vm this guest reads words and fails without them.
    let words = file(&folder, "words", &[5, 0, 0, 0, b'w', b'o', b'r', b'l', b'd', 0, 0, 0, 41, 0, 0, 0]);
    let hello = risc0("hello");
    assert_eq!(tachy(&format!("bench --runs 1 --input {words} {hello}")).code, Some(0));
    assert_eq!(tachy(&format!("bench --runs 1 {hello}")).code, Some(73));
}

/// Returns how many read calls a process has made, if the system reports it.
fn reads(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("syscr: ")?.parse().ok())
}

/// Reads 20,000 words one by one, writes the last one, and waits for ever.
fn reads_words() -> Vec<u8> {
    let [a0, a1, a2, a7, s0, s1] = [10, 11, 12, 17, 8, 9];
    let li = |rd, imm| insn(Op::Addi, rd, 0, 0, imm);
    let ecall = insn(Op::Ecall, 0, 0, 0, 0);
    let call =
        |number, descriptor| [li(a7, number), li(a0, descriptor), insn(Op::Addi, a1, 2, 0, -64), li(a2, 4), ecall];
    let count = [insn(Op::Lui, s0, 0, 0, 0x5000), li(s1, 0)];
    let read = [&call(63, 0)[..], &[insn(Op::Addi, s1, s1, 0, 1), insn(Op::Blt, 0, s1, s0, -24)]].concat();
    let write = call(64, 1);
    code(&[&count[..], &read, &write, &[insn(Op::Jal, 0, 0, 0, 0)]].concat())
}

#[test]
fn a_guest_that_reads_words_costs_no_system_call_for_each() {
    let folder = TempDir::new().expect("a folder");
    let program = file(&folder, "words.elf", &reads_words());
    let words: Vec<u8> = (1..=0x5000_u32).flat_map(u32::to_le_bytes).collect();
    let input = file(&folder, "input", &words);
    let pipe = folder.path().join("pipe").display().to_string();
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    for (name, is_pipe) in [(&input, false), (&pipe, true)] {
        let mut command = Command::new(TACHY);
        command.args(["run", "--interpreter", "--stdin", name, &program]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("tachy starts");
        if is_pipe {
            File::options().write(true).open(&pipe).expect("a pipe").write_all(&words).expect("it reads");
        }
        let mut last = [0; 4];
        child.stdout.take().expect("a pipe").read_exact(&mut last).expect("it writes");
        assert_eq!(u32::from_le_bytes(last), 0x5000);
        let reads = reads(child.id());
        child.kill().expect("it can be ended");
        child.wait().expect("it ends");
        match reads {
            Some(reads) => assert!(reads < 1000, "{name}: {reads} system calls"),
            None => eprintln!("notice: the system does not count reads"),
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Readers

#[test]
fn a_reader_that_goes_away_ends_everything_quietly() {
    let folder = TempDir::new().expect("a folder");
    let endless = file(&folder, "endless.elf", &code(&[insn(Op::Jal, 0, 0, 0, 0)]));
    // Writes its own code over and over.
    let li = |rd, imm| insn(Op::Addi, rd, 0, 0, imm);
    let write = [li(10, 1), insn(Op::Auipc, 11, 0, 0, 0), li(12, 16), li(17, 64), insn(Op::Ecall, 0, 0, 0, 0)];
    let chatty = file(&folder, "chatty.elf", &code(&[&write[..], &[insn(Op::Jal, 0, 0, 0, -20)]].concat()));
    for args in [
        format!("trace --format csv {endless}"),
        format!("trace --format rows {endless}"),
        format!("trace --interpreter {endless}"),
        format!("run {chatty}"),
        format!("run --interpreter {chatty}"),
        format!("run --crosscheck {chatty}"),
    ] {
        let mut command = Command::new(TACHY);
        command.args(args.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("tachy starts");
        child.stdout.take().expect("a pipe").read_exact(&mut [0; 200]).expect("it writes");
        let output = child.wait_with_output().expect("it ends");
        // A shell shows the same for any program that SIGPIPE ends.
        assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "{args}: {output:?}");
    }
    // The same holds if the reader is gone from the start.
    for args in
        [format!("info {}", fib()), format!("run {} -- 5", fib()), "--help".to_owned(), "completions bash".to_owned()]
    {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("set -o pipefail; {{ sleep 0.2; {TACHY} {args}; }} | true")]);
        let output = shell.stdin(Stdio::null()).output().expect("bash starts");
        assert_eq!((output.status.code(), output.stderr.len()), (Some(141), 0), "{args}: {output:?}");
    }
}

#[test]
fn binary_rows_are_not_for_terminals() {
    let on_terminal = |command: &str| {
        let mut script = Command::new("script");
        script.args(["-qefc", command, "/dev/null"]).stdin(Stdio::null());
        script.output().map_err(|error| eprintln!("notice: no terminal without script: {error}")).ok()
    };
    for options in ["--format rows", "--format rows -o /dev/tty"] {
        let Some(output) = on_terminal(&format!("{TACHY} trace {options} {} -- 5", fib())) else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(64), "{options}: {text}");
        assert!(text.contains("write them to a file with -o FILE") && !text.contains("TACHYROW"), "{options}: {text}");
    }
    let Some(output) = on_terminal(&format!("{TACHY} trace --to 1 {} -- 5", fib())) else { return };
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("step,pc"), "{output:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Help, segments, names for perf

#[test]
fn names_for_perf_go_into_a_file_and_through_no_link() {
    let folder = TempDir::new().expect("a folder");
    let victim = file(&folder, "victim", b"");
    let fib = fib();
    // `exec` keeps the shell's process number, so the shell can print it for tachy.
    let run = |before: &str| {
        let mut shell = Command::new("sh");
        let tachy = format!("{TACHY} run --perf-map --jit-threshold 0 --no-background {fib} -- 27");
        shell.args(["-c", &format!("echo $$; {before}; exec {tachy}")]);
        let output = shell.stdin(Stdio::null()).output().expect("sh starts");
        let stdout = String::from_utf8(output.stdout).expect("it is text");
        let (process, rest) = stdout.split_once('\n').expect("a line");
        assert_eq!((output.status.code(), rest), (Some(0), "fib(27) = 196418 ok\n"));
        let map = format!("/tmp/perf-{process}.map");
        let text = fs::read_to_string(&map).expect("there is one");
        fs::remove_file(map).expect("it can be taken away");
        text
    };
    assert!(run(":").lines().any(|line| line.contains(" guest _start+")), "no name");
    assert_eq!(run(&format!("ln -s {victim} /tmp/perf-$$.map")), "");
    assert_eq!(fs::read(victim).expect("it is there"), b"");
}

#[test]
fn help_tells_of_its_own_command_alone() {
    let help = |command: &str| tachy(&format!("{command} --help")).stdout;
    // True if a line begins with this code or kind.
    let has = |help: &str, name: &str| help.lines().any(|line| line.split_whitespace().next() == Some(name));
    for (command, gives, does_not) in [
        ("run", ["70", "71", "72", "75", "141", "cycle-limit", "segment-too-small"], ["contender", "ended", "broken"]),
        ("trace", ["70", "71", "72", "73", "130", "sink", "difference"], ["contender", "ended", "broken"]),
        ("diff", ["0", "65", "70", "74", "130", "trap", "step-limit"], ["71", "73", "difference"]),
        ("info", ["0", "64", "65", "66", "74", "141", "0"], ["73", "143", "trap"]),
        ("explain", ["0", "64", "65", "66", "70", "74", "141"], ["73", "143", "trap"]),
        ("bench", ["69", "70", "71", "73", "130", "contender", "host"], ["cycle-limit", "step-limit", "sink"]),
        ("cache", ["0", "64", "66", "74", "141", "show", "clear"], ["73", "143", "trap"]),
        ("man", ["Write", "Usage:", "Examples:", "tachy", "<DIR>", "Options:", "-h,"], ["74", "trap", "usage"]),
    ] {
        let text = help(command);
        for name in gives {
            assert!(has(&text, name), "{command}: {name} is not in {text}");
        }
        for name in does_not {
            assert!(!has(&text, name), "{command}: {name} is in {text}");
        }
    }
}

#[test]
fn nothing_is_hashed_unless_segments_are_wanted() {
    let folder = TempDir::new().expect("a folder");
    let words: Vec<u8> = [300_u32, 2].iter().flat_map(|word| word.to_le_bytes()).collect();
    let input = file(&folder, "input", &words);
    let segments = folder.path().join("segments").display().to_string();
    let facts = |options: &str| {
        let outcome = tachy(&format!(
            "run --json --po2 13 --random-seed {} --input {input} {options} {}",
            "00".repeat(32),
            risc0("sparse")
        ));
        let mut facts = json(&outcome.stdout);
        let object = facts.as_object_mut().expect("an object");
        object.remove("seconds");
        // Only hashed segments have a claim.
        assert_eq!(object.remove("claim").is_some_and(|claim| claim.is_string()), options.contains("--segments"));
        facts
    };
    let plain = facts("");
    assert!(plain["segments"].as_array().is_some_and(|segments| segments.len() > 3), "{plain}");
    // Segments are counted in any case, and --execute-only only makes the default explicit.
    assert_eq!(facts("--execute-only"), plain);
    assert_eq!(facts(&format!("--segments {segments}")), plain);

    if !Path::new("/proc/self/task").exists() {
        eprintln!("notice: the system does not name threads");
        return;
    }
    let jump = insn(Op::Jal, 0, 0, 0, 0).to_le_bytes();
    let endless = file(
        &folder,
        "endless.elf",
        &crate::common::elf(0xc000_0000, &[(0xc000_0000, &jump, crate::common::R | crate::common::X)]),
    );
    let hashes = |command: &str| {
        let args = format!("{command} --machine r0vm --limit-steps 10000000 {endless}");
        let mut child =
            Command::new(TACHY).args(args.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it");
        let mut is_seen = false;
        while child.try_wait().expect("it can be asked").is_none() {
            let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
            is_seen |= tasks
                .map(|task| fs::read_to_string(task.path().join("comm")))
                .any(|name| name.is_ok_and(|name| name.trim_end() == "tachy-sealer"));
        }
        is_seen
    };
    for command in ["run --interpreter", "trace --format none --interpreter", "diff"] {
        assert!(!hashes(command), "{command}");
    }
    assert!(hashes(&format!("run --interpreter --segments {}", folder.path().join("more").display())));
}
