//! Runs every host against Tachy in r0vm's place and compares what it prints with what it prints when RISC Zero's
//! executor is in its own process. `expected` has the latter; `tests/oracle/hosts` holds that it is true and writes it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const HOST: &str = env!("CARGO_BIN_EXE_dropin");

/// A folder with a link named `r0vm` to Tachy's command line, which is built first.
fn server() -> &'static Path {
    static SERVER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, server) = SERVER.get_or_init(|| {
        let tachy = std::env::var_os("TACHY").map(PathBuf::from).unwrap_or_else(|| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--package", "tachy-cli"]).current_dir(ROOT);
            // Its settings are not those of this workspace.
            assert!(cargo.status().expect("cargo starts").success());
            Path::new(ROOT).join("target/debug/tachy")
        });
        let folder = tempfile::tempdir().expect("the system has files");
        let link = folder.path().join("r0vm");
        symlink(fs::canonicalize(tachy).expect("Tachy is built"), &link).expect("the system has links");
        (folder, link)
    });
    server
}

/// A host that Tachy serves, without code on disk.
fn host(scenario: &str) -> Command {
    let mut command = Command::new(HOST);
    command.arg(scenario).env("RISC0_SERVER_PATH", server()).env("TACHY_CACHE_DIR", "");
    for variable in ["RISC0_DEV_MODE", "RISC0_PROVER", "RISC0_EXECUTOR", "TACHY_R0VM", "RISC0_INFO"] {
        command.env_remove(variable);
    }
    // No r0vm but ours is found anywhere.
    command.env("PATH", "/usr/bin:/bin").env("RISC0_HOME", "/nonexistent");
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the host starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compares what a host prints with the expectation.
fn compare(scenario: &str, command: &mut Command) -> Result<(), String> {
    let path = format!("{}/expected/{scenario}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let output = run(command);
    let found = text(&output.stdout);
    if found == expected && output.status.success() {
        return Ok(());
    }
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    let (found, expected) = differs.unwrap_or(("its end", "its end"));
    let stderr = text(&output.stderr);
    Err(format!("{scenario} ({}):\n  found    {found}\n  expected {expected}\n{stderr}", output.status))
}

fn scenarios() -> Vec<String> {
    text(&run(&mut host("list")).stdout).lines().map(str::to_owned).collect()
}

#[test]
fn every_host_gets_what_risc_zeros_executor_gives() {
    let all = scenarios();
    assert!(all.len() > 25, "{all:?}");
    let wrong: Vec<String> = all.iter().filter_map(|name| compare(name, &mut host(name)).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Only segments themselves differ when nobody wants them.
#[test]
fn hosts_that_drop_segments_get_the_same_without_them() {
    let all = scenarios();
    let others = all.iter().filter(|name| *name != "whole-segments");
    let wrong = others.filter_map(|name| compare(name, host(name).env("TACHY_R0VM_SEGMENTS", "never")).err());
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn segments_in_a_folder_are_those_in_messages() {
    let folder = tempfile::tempdir().expect("the system has files");
    compare("whole-segments", host("whole-segments").env("SEGMENTS", folder.path())).expect("they are equal");
    assert!(folder.path().join("segment-0").is_file());
}

/// Code on disk changes no result, and it is there after the first run.
#[test]
fn code_on_disk_changes_nothing() {
    let folder = tempfile::tempdir().expect("the system has files");
    let cache = folder.path().join("cache");
    for _ in 0..2 {
        for name in ["programs", "threads", "events"] {
            compare(name, host(name).env("TACHY_CACHE_DIR", &cache)).expect("the results are equal");
        }
    }
    let files = fs::read_dir(&cache).expect("the folder was made").count();
    assert!(files > 3, "{files} files");
}

#[test]
fn a_guests_output_goes_where_the_hosts_does() {
    let output = run(&mut host("plain-output"));
    assert_eq!(text(&output.stdout), "greeting world\nR0VM[2429] hello\n");
    assert_eq!(text(&output.stderr), "41 so far\n");
}

#[test]
fn what_is_no_program_is_refused_in_risc_zeros_words() {
    let output = run(&mut host("no-program"));
    assert_eq!(text(&output.stdout), "error: Malformed ProgramBinary\n".repeat(3));
}

#[test]
fn segments_that_are_too_small_are_an_error_and_no_dead_server() {
    let found = text(&run(&mut host("small-segments")).stdout);
    for po2 in [0, 10, 12, 32] {
        assert!(found.contains(&format!("error: the segment limit po2 is {po2}, expected 13..=31\n")), "{found}");
    }
}

#[test]
fn a_proof_without_a_server_names_what_to_install() {
    let found = text(&run(&mut host("proof")).stdout);
    assert!(found.contains("rzup install cargo-risczero") && found.contains("TACHY_R0VM"), "{found}");
}

#[test]
fn statistics_are_told_on_request() {
    let output = run(host("hello").env("RISC0_INFO", "1"));
    let found = text(&output.stderr);
    assert!(found.contains("number of segments: 1\n") && found.contains(" user cycles ("), "{found}");
}

/// A host that panics in a callback takes its server with it.
#[test]
fn a_server_ends_with_its_host() {
    let folder = tempfile::tempdir().expect("the system has files");
    let (script, process) = (folder.path().join("r0vm"), folder.path().join("process"));
    let (server, process_path) = (server().display(), process.display());
    // Each start notes its process, and the last one is the server.
    fs::write(&script, format!("#!/bin/sh\necho $$ > {process_path}\nexec {server} \"$@\"\n")).expect("it is written");
    Command::new("chmod").arg("+x").arg(&script).status().expect("it is executable");
    let output = run(host("panicking-reader").env("RISC0_SERVER_PATH", &script));
    assert_eq!(output.status.code(), Some(101));
    let process = fs::read_to_string(&process).expect("a server was started");
    let status = PathBuf::from(format!("/proc/{}/status", process.trim()));
    // A process that nobody waits for stays as a zombie.
    let runs = || fs::read_to_string(&status).is_ok_and(|status| !status.contains("State:\tZ"));
    while runs() {
        thread::sleep(Duration::from_millis(20));
    }
}
