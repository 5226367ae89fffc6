//! Tests `tachy bench --against` as its users see it: whole processes next to the engines. `true` and `false`, which
//! exist everywhere, play the native executable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::guest;
use serde_json::Value;
use tempfile::TempDir;

/// Runs `tachy bench` once on fib with these options: exit code, standard output, standard error.
fn bench(options: &[&str], args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    command.args(["bench", "--runs", "1"]).args(options).arg(guest("fib")).arg("--").args(args);
    let output = command.stdin(Stdio::null()).output().expect("tachy starts");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Returns the path of `true` or `false` on this system.
fn program(name: &str) -> String {
    let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name)).into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no {name}")).display().to_string()
}

#[test]
fn processes_are_measured_from_start_to_end() {
    let folder = TempDir::new().expect("a folder");
    symlink(program("true"), folder.path().join("fib")).expect("a link");
    let (file, of_folder) = (format!("native={}", program("true")), format!("native={}", folder.path().display()));
    for against in [file, of_folder] {
        let json = folder.path().join("facts");
        let (code, stdout, stderr) = bench(&["--against", &against, &format!("--json={}", json.display())], &["15"]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        assert!(stdout.contains("whole process, s") && stdout.contains("native"), "{stdout}");
        let facts: Value = serde_json::from_slice(&fs::read(json).expect("it was written")).expect("it is JSON");
        let processes = facts["programs"][0]["processes"].as_array().expect("processes");
        let names: Vec<&Value> = processes.iter().map(|process| &process["name"]).collect();
        assert_eq!(names, ["tachy run", "native"]);
        assert_eq!(processes[0]["times_as_long"], 1.0);
        let [own, other] = [0, 1].map(|index| processes[index]["seconds"].as_f64().expect("seconds"));
        assert!(own > 0.0 && other > 0.0, "{facts}");
        let ratio = processes[1]["times_as_long"].as_f64().expect("a ratio");
        assert!((ratio - other / own).abs() < 1e-9, "{facts}");
    }
    let (code, stdout, _) = bench(&[], &["15"]);
    assert!(code == Some(0) && !stdout.contains("whole process"), "{stdout}");
}

#[test]
fn qemu_runs_the_same_file() {
    let (code, stdout, stderr) = bench(&["--against", "qemu"], &["15"]);
    match Command::new("qemu-riscv32").arg("--version").output() {
        Ok(_) => assert!(code == Some(0) && stdout.contains("qemu-riscv32"), "{stdout}{stderr}"),
        Err(_) => assert!(code == Some(69) && stderr.contains("cannot run qemu-riscv32"), "{stderr}"),
    }
}

#[test]
fn who_does_something_else_is_no_comparison() {
    let (code, _, stderr) = bench(&["--against", &format!("native={}", program("false"))], &["15"]);
    assert!(code == Some(69) && stderr.contains("under tachy the program exits with 0"), "{stderr}");
    let (code, _, stderr) = bench(&["--against", "native=no-such-file"], &["15"]);
    assert!(code == Some(69) && stderr.contains("cannot run native"), "{stderr}");
    let limited = ["--limit-steps", "100", "--against", &format!("native={}", program("true"))];
    let (code, _, stderr) = bench(&limited, &["15"]);
    assert!(code == Some(64) && stderr.contains("within the limits"), "{stderr}");
    let (code, _, stderr) = bench(&["--against", "spike"], &["15"]);
    assert!(code == Some(64) && stderr.contains("native=PATH"), "{stderr}");
}

#[test]
fn processes_are_run_under_the_conditions_that_were_asked_for() {
    let against = format!("native={}", program("true"));
    let conditions = ["--limit-time", "60.5", "--limit-memory", "1G", "--limit-output", "1K", "--limit-steps", "1G"];
    let more = ["--jit-threshold", "7", "--region-instructions", "20", "--no-background", "--against", &against];
    // Steps have no suffixes.
    let (code, ..) = bench(&[&conditions[..], &more].concat(), &["15"]);
    assert_eq!(code, Some(64));
    let (code, _, stderr) = bench(&[&conditions[..6], &more].concat(), &["15"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // Each run of fib writes some 20 bytes, and the limit for the guest's output is 1 KiB. A process with a lower limit
    // would fail.
    let (code, _, stderr) = bench(&["--limit-output", "10", "--against", &against], &["15"]);
    assert!(code == Some(72) && stderr.contains("output limit"), "{stderr}");
}

#[test]
fn what_was_measured_before_a_failure_is_shown() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    command.args(["bench", "--runs", "1", "--json"]).arg(guest("fib")).args(["no-such-file", "--", "5"]);
    let output = command.stdin(Stdio::null()).output().expect("tachy starts");
    let stderr = String::from_utf8(output.stderr).expect("it is text");
    assert_eq!(output.status.code(), Some(66), "{stderr}");
    assert!(stderr.contains("fib.elf") && stderr.contains("tachy: cannot read"), "{stderr}");
    let facts: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((facts["programs"].as_array().map(Vec::len), &facts["error"]["kind"]), (Some(1), &"input".into()));
}
