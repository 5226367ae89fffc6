//! Tests the error messages of `tachy`: they use the terms of the command line, and give the option that helps and a
//! command that can be pasted.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Output, Stdio};

use crate::common::guest;
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

fn risc0(name: &str) -> String {
    format!("{}/guests/r0vm/bin/{name}.bin", crate::common::ROOT)
}

fn tachy(args: &[impl AsRef<OsStr>]) -> Output {
    Command::new(TACHY).args(args).stdin(Stdio::null()).output().expect("tachy runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes a file of these words and returns its path.
fn words(folder: &TempDir, name: &str, words: &[u32]) -> String {
    let path = folder.path().join(name);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&path, bytes).expect("it is written");
    path.display().to_string()
}

#[test]
fn each_error_names_the_option_that_helps() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fib, trap) = (guest("fib").display().to_string(), risc0("trap"));
    let number = |number: u32| words(&folder, &number.to_string(), &[number]);
    let zeros = words(&folder, "zeros", &[0; 16]);
    let (streams, forever) = (risc0("streams"), number(22));
    let lines = [
        (format!("run --limit-steps 10 {fib}"), 72, "step limit of 10 reached at pc", "raise --limit-steps"),
        (format!("run --limit-memory 1K {fib}"), 71, "memory limit of 1024 bytes reached", "raise --limit-memory"),
        (format!("run --limit-output 1 {fib} -- 5"), 72, "output limit of 1 bytes reached", "raise --limit-output"),
        (format!("run --limit-time 0 {fib}"), 72, "time limit of 0.000 s reached", "raise --limit-time"),
        (format!("run --limit-cycles 5000 --input {forever} {trap}"), 72, "5000 >= 5000", "raise --limit-cycles"),
        (format!("run --region-instructions 9999 {fib}"), 64, "9999 instructions", "see --region-instructions"),
        (format!("run --input {zeros} {streams}"), 73, "reads from file descriptor 4", "--read-fd 4=FILE"),
        (format!("run --input {zeros} --read-fd 4={zeros} {streams}"), 73, "descriptor 5", "--write-fd 5=FILE"),
        (format!("run --limit-output 4 --input {zeros} {streams}"), 72, "more than 4", "raise --limit-output"),
        (
            format!("run --input {} {trap}", number(19)),
            73,
            "unknown system call \"no such call\"",
            "the command line supports",
        ),
        (format!("trace --format rows -o /dev/full {fib} -- 5"), 74, "cannot write the trace", "No space left"),
        (format!("trace -o /dev/full {fib} -- 5"), 74, "cannot write the trace", "No space left"),
    ];
    // Terms that the library uses for programmers who call it.
    let foreign = ["raise it", "slice_io", "io_callback", "host is built", "sink", "caller", "session can"];
    for (line, code, what, help) in lines {
        let output = tachy(&line.split(' ').collect::<Vec<_>>());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(what) && said.contains(help), "{line}: {said}");
        assert!(!foreign.iter().any(|word| said.contains(word)), "{line}: {said}");
    }
}

#[test]
fn a_guests_panic_is_told_with_its_own_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = words(&folder, "input", &[23]);
    let output = tachy(&["run", "--json", "--input", &input, &risc0("trap")]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("tachy: the guest panicked: given up on purpose, at pc 0x0020"), "{said}");
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(facts["error"]["kind"], "guest-panic");
    let (pc, stands) = (facts["error"]["pc"].as_u64(), facts["pc"].as_u64());
    assert!(pc < Some(0xc000_0000) && stands >= Some(0xc000_0000), "{facts}");
    assert_eq!(facts["error"]["step"], facts["steps"]);
}

/// Returns the command between backticks.
fn pasted(said: &str) -> String {
    let command = said.split('`').find(|part| part.contains(" trace ") || part.contains(" diff "));
    command.unwrap_or_else(|| panic!("no command in {said}")).to_owned()
}

fn shell(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().expect("sh runs")
}

#[test]
fn the_command_that_shows_more_can_be_pasted() {
    let folder = tempfile::tempdir().expect("a folder");
    // A program that traps and whose name needs quotes.
    let program = folder.path().join("it's a program");
    let debug = &format!("{}/tests/debug/trap-dwarf5.elf", crate::common::ROOT);
    fs::copy(debug, &program).expect("it is copied");
    let program = program.display().to_string();
    let output = tachy(&["run", "--limit-steps", "1000000", &program, "--", "two words", "$HOME"]);
    let command = pasted(&stderr(&output));
    let repeated = shell(&command);
    assert_eq!(repeated.status.code(), Some(73), "{command}: {repeated:?}");
    let rows = String::from_utf8_lossy(&repeated.stdout).into_owned();
    assert!(rows.starts_with("step,pc,insn") && rows.lines().count() > 10, "{rows}");
    assert_eq!(pasted(&stderr(&repeated)), command, "it says the same again");

    // A guest of r0vm with its input and its seed. The input's file name needs quotes.
    let input = words(&folder, "some input", &[11]);
    let seed = "5".repeat(64);
    let output = tachy(&["run", "--input", &input, "--random-seed", &seed, &risc0("trap")]);
    let command = pasted(&stderr(&output));
    assert!(command.contains(&seed), "{command}");
    let repeated = shell(&command);
    assert_eq!(repeated.status.code(), Some(73), "{command}: {repeated:?}");
    assert!(String::from_utf8_lossy(&repeated.stdout).lines().count() > 10, "{repeated:?}");
}

#[test]
fn options_that_would_drop_one_another_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (words(&folder, "a", &[1]), words(&folder, "b", &[2]));
    let lines = [
        (format!("--input {a} --read-fd 0={b}"), "--input and --read-fd 0"),
        (format!("--read-fd 4={a} --read-fd 4={b}"), "--read-fd 4"),
        (format!("--read-fd 4={a} --read-fd 0={a} --read-fd 0={b}"), "--read-fd 0"),
        (format!("--write-fd 1={a}.out --write-fd 1={b}.out"), "--write-fd 1"),
        ("--env A=1 --env B=1 --env A=2".to_owned(), "--env A"),
    ];
    for (options, what) in lines {
        for command in ["run", "trace", "diff"] {
            let line = format!("{command} {options} {}", risc0("streams"));
            let output = tachy(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(output.status.code(), Some(64), "{line}: {}", stderr(&output));
            assert!(stderr(&output).contains(&format!("{what} can be set only once")), "{line}: {}", stderr(&output));
        }
    }
}
