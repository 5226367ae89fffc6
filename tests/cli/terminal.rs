//! Tests `tachy` with shells, terminals and signals: progress, colours, Ctrl-C, completions, man pages, examples.
//!
//! `script` (Debian: bsdutils) provides the terminal. Without it, the tests that need one say so and pass.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{code, guest};
use serde_json::Value;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

fn li(rd: u8, value: i32) -> u32 {
    insn(Op::Addi, rd, 0, 0, value)
}

/// Writes "text\n" to standard error, then runs `rest` in an endless loop.
fn says_and_then(folder: &TempDir, rest: &[u32]) -> String {
    let ecall = insn(Op::Ecall, 0, 0, 0, 0);
    let to_text = [insn(Op::Auipc, 11, 0, 0, 0), insn(Op::Addi, 11, 11, 0, 4 * (7 + rest.len() as i32))];
    let write = [li(10, 2), li(12, 5), li(17, 64), ecall];
    let again = [insn(Op::Jal, 0, 0, 0, -4 * rest.len() as i32)];
    let text = [u32::from_le_bytes(*b"text"), u32::from(b'\n')];
    let path = folder.path().join("says.elf");
    fs::write(&path, code(&[&to_text, &write[..], rest, &again, &text].concat())).unwrap();
    path.display().to_string()
}

fn endless(folder: &TempDir) -> String {
    says_and_then(folder, &[])
}

/// Writes a message, then reads from standard input.
fn waits(folder: &TempDir) -> String {
    let read = [li(10, 0), insn(Op::Addi, 11, 2, 0, -64), li(12, 1), li(17, 63), insn(Op::Ecall, 0, 0, 0, 0)];
    says_and_then(folder, &read)
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(TACHY);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("tachy starts")
}

/// Reads until the text appears.
fn read_until(stream: &mut impl Read, text: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&read).contains(text) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "no {text:?} in {:?}", String::from_utf8_lossy(&read));
        read.push(byte[0]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

// ---------------------------------------------------------------------------------------------------------------------
// Ctrl-C

#[test]
fn an_interrupt_ends_a_run_with_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let endless = endless(&folder);
    for engine in ["--jit", "--interpreter", "--crosscheck"] {
        let mut child = start(&["run", engine, "--json", "--stats", &endless]);
        read_until(child.stderr.as_mut().unwrap(), "text\n");
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{engine}: {stderr}");
        assert!(stderr.contains("tachy: interrupted at pc 0x000100"), "{stderr}");
        assert!(stderr.contains("M steps/s"), "{stderr}");
        let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(facts["error"]["kind"], "cancelled");
        assert_eq!(facts["error"]["step"], facts["steps"]);
        assert!(facts["steps"].as_u64() >= Some(6), "{facts}");
    }
}

#[test]
fn an_interrupted_trace_has_every_row_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let waits = waits(&folder);
    let (json, rows) = (folder.path().join("json"), folder.path().join("rows"));
    for format in ["csv", "rows"] {
        let json_option = format!("--json={}", json.display());
        let rows_path = rows.display().to_string();
        let mut child = start(&["trace", "--format", format, "-o", &rows_path, &json_option, &waits]);
        read_until(child.stderr.as_mut().unwrap(), "text\n");
        interrupt(&child);
        // The guest waited for input; now it continues until it is stopped.
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let facts: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        let steps = facts["steps"].as_u64().unwrap();
        assert_eq!(facts["rows"].as_u64(), Some(steps));
        match format {
            "csv" => assert_eq!(fs::read_to_string(&rows).unwrap().lines().count() as u64, steps + 1),
            _ => assert_eq!(fs::metadata(&rows).unwrap().len(), 96 + 32 * steps),
        }
    }
}

/// Waits until tachy handles SIGINT: the second bit of the mask of caught signals that Linux shows.
fn wait_for_handler(child: &Child) {
    let path = format!("/proc/{}/status", child.id());
    let is_caught = || {
        let status = fs::read_to_string(&path).expect("it has not ended");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("Linux says so");
        u64::from_str_radix(caught.trim(), 16).expect("a mask") & 1 << (2 - 1) != 0
    };
    while !is_caught() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_interrupted_comparison_says_how_far_both_agree() {
    let folder = tempfile::tempdir().unwrap();
    let programs = [("bare", endless(&folder)), ("r0vm", endless_r0vm(&folder))];
    for (machine, program) in programs {
        let child = start(&["diff", "--machine", machine, "--json", "--stats", &program]);
        wait_for_handler(&child);
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{machine}: {stderr}");
        assert!(stderr.contains("agree so far: interrupted at pc 0x") && stderr.contains("M steps/s"), "{stderr}");
        let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&facts["error"]["kind"], &facts["agree"]), (&"cancelled".into(), &true.into()), "{facts}");
        assert_eq!(facts["error"]["step"], facts["rows"], "{facts}");
    }
}

#[test]
fn an_interrupted_measurement_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(&["bench", "--json", &endless(&folder)]);
    wait_for_handler(&child);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.starts_with("tachy: interrupted at pc 0x"), "{stderr}");
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&facts["error"]["kind"], &facts["programs"]), (&"cancelled".into(), &Value::Array(vec![])), "{facts}");
}

/// Tachy waits for the contender, which the interrupt does not reach, then ends.
#[test]
fn an_interrupted_contest_ends_after_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let slow = folder.path().join("fib");
    // The contender interrupts tachy, then ends normally.
    fs::write(&slow, "#!/bin/sh\nkill -INT $PPID\n").unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let against = format!("native={}", slow.display());
    let fib = guest("fib").display().to_string();
    let child = start(&["bench", "--runs", "1", "--against", &against, &fib, "--", "5"]);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(130), "tachy: interrupted\n"));
}

#[test]
fn another_interrupt_ends_everything_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(&["run", &waits(&folder)]);
    read_until(child.stderr.as_mut().unwrap(), "text\n");
    // While the guest waits for input, nobody handles the first signal. Signals may also merge.
    while child.try_wait().unwrap().is_none() {
        interrupt(&child);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn whoever_ignores_interrupts_goes_on_ignoring_them() {
    let folder = tempfile::tempdir().unwrap();
    let waits = waits(&folder);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$0\" run --limit-steps 1000 \"$1\"", TACHY, &waits]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    read_until(child.stderr.as_mut().unwrap(), "text\n");
    interrupt(&child);
    drop(child.stdin.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(72));
}

// ---------------------------------------------------------------------------------------------------------------------
// Terminals

/// Runs a shell command on its own terminal, with its output and keyboard as pipes. Returns `None` without `script`.
fn on_terminal(command: &str, variables: &[(&str, &str)]) -> Option<Child> {
    let mut script = Command::new("script");
    script.args(["-qefc", command, "/dev/null"]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    script.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match script.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            eprintln!("notice: no terminal without script: {error}");
            None
        }
    }
}

#[test]
fn progress_is_shown_on_a_terminal_and_gives_way() {
    let folder = tempfile::tempdir().unwrap();
    let endless = endless(&folder);
    let segments = format!("r0vm --segments {}", folder.path().join("segments").display());
    for (machine, program) in [("bare", endless), (segments.as_str(), endless_r0vm(&folder))] {
        let Some(mut child) = on_terminal(&format!("{TACHY} run --machine {machine} {program}"), &[]) else { return };
        let seen = read_until(child.stdout.as_mut().unwrap(), "M steps/s");
        if machine == "bare" {
            // The guest's text is on a line of its own.
            assert!(seen.starts_with("text\r\n"), "{seen:?}");
        } else {
            read_until(child.stdout.as_mut().unwrap(), "segments: ");
        }
        // Sends the byte that Ctrl-C types.
        child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        let rest = read_until(child.stdout.as_mut().unwrap(), "interrupted at pc");
        assert!(rest.contains("\x1b[2K"), "the line was not taken away: {rest:?}");
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    }
}

/// A program in place of the kernel that loops for ever.
fn endless_r0vm(folder: &TempDir) -> String {
    let jump = insn(Op::Jal, 0, 0, 0, 0).to_le_bytes();
    let path = folder.path().join("endless_r0vm.elf");
    fs::write(&path, crate::common::elf(0xc000_0000, &[(0xc000_0000, &jump, crate::common::R | crate::common::X)]))
        .unwrap();
    path.display().to_string()
}

#[test]
fn colours_are_for_terminals_and_for_those_who_like_them() {
    for (args, code) in [("run /nowhere/at/all", 66), ("walk", 64), ("run --help", 0)] {
        let said = |variables: &[(&str, &str)]| {
            let output = on_terminal(&format!("{TACHY} {args}"), variables)?.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{args}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let Some(plain) = said(&[("NO_COLOR", "1")]) else { return };
        assert!(!plain.contains('\x1b') && plain.contains("tachy"), "{args}: {plain:?}");
        let coloured = said(&[]).expect("there was a terminal before");
        assert!(coloured.contains("\x1b[1m"), "{args}: {coloured:?}");
        // A pipe gets no colours.
        let output = Command::new(TACHY).args(args.split(' ')).env_remove("NO_COLOR").output().unwrap();
        let piped = [output.stdout, output.stderr].concat();
        assert!(!piped.contains(&b'\x1b') && !piped.is_empty(), "{args}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Shells

const COMMANDS: [&str; 9] = ["run", "trace", "diff", "info", "explain", "bench", "cache", "completions", "man"];

fn output(args: &[&str]) -> String {
    let output = Command::new(TACHY).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = output(&["completions", shell]);
        for command in COMMANDS.into_iter().chain(["resume", "jit-threshold"]) {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(output(&["completions", "bash"]).as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn man_pages_describe_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    output(&["man", &pages.display().to_string()]);
    let read = |name: &str| fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(read("tachy.1").contains("tachy\\-run"));
    for command in COMMANDS {
        let page = read(&format!("tachy-{command}.1"));
        assert!(page.contains(".SH NAME") && page.contains("Examples:"), "{command}: {page}");
    }
    assert!(read("tachy-run.1").contains("\\-\\-resume"));
}

/// Returns the commands below `Examples:` of a help text.
fn examples(help: &str) -> String {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    let examples: Vec<&str> = lines.take_while(|line| line.starts_with("  ")).collect();
    assert!(!examples.is_empty(), "{help}");
    examples.join("\n")
}

#[test]
fn the_helps_examples_run() {
    let path = format!("{}:{}", Path::new(TACHY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let helps = COMMANDS.map(|command| vec![command, "--help"]);
    for args in helps.into_iter().chain([vec!["--help"]]) {
        let folder = tempfile::tempdir().unwrap();
        let guests = guest("fib").parent().unwrap().parent().unwrap().to_owned();
        std::os::unix::fs::symlink(guests, folder.path().join("guests")).unwrap();
        let examples = examples(&output(&args));
        let mut shell = Command::new("sh");
        shell.args(["-euc", &examples]).env("PATH", &path).current_dir(folder.path());
        let output = shell.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{examples}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
