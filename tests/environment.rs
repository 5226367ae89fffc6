//! Variables of the environment that dependencies read: they must not change what the program does or leaves behind.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::guest;

/// `tachy run` under a shell, which says its own number first and keeps it for what it runs.
fn run(before: &str, options: &str) -> (String, Output) {
    let script = format!("echo $$; {before} exec \"$TACHY\" run {options} \"$GUEST\" -- 20");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("TACHY", env!("CARGO_BIN_EXE_tachy"))
        .env("GUEST", guest("fib"))
        // As `perf record` does.
        .env("PERF_BUILDID_DIR", "/nowhere")
        .output()
        .expect("there is a shell");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let (process, rest) = stdout.split_once('\n').expect("the shell's number");
    assert_eq!(rest, "fib(20) = 6765 ok\n", "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    (format!("/tmp/perf-{process}.map"), output)
}

/// The code generator's library would name its functions there.
#[test]
fn perf_gets_a_map_only_if_asked_for() {
    let (map, _) = run("", "--jit-threshold 1 --no-background");
    assert!(!fs::exists(&map).expect("/tmp can be read"), "{map} was left behind");
}

#[test]
fn perf_gets_the_names_of_the_guest_alone() {
    let (map, _) = run("", "--jit-threshold 1 --no-background --perf-map");
    let text = fs::read_to_string(&map).expect("the map");
    fs::remove_file(&map).expect("it was made just now");
    assert!(text.lines().count() > 0);
    for line in text.lines() {
        assert!(line.splitn(3, ' ').nth(2).is_some_and(|name| name.starts_with("guest ")), "{line}");
    }
}

/// A map that cannot be written is no reason to fail.
#[test]
fn a_map_that_cannot_be_written_is_left_out() {
    for options in ["--jit-threshold 1 --no-background", "--jit-threshold 1 --no-background --perf-map"] {
        let (folder, output) = run("mkdir /tmp/perf-$$.map;", options);
        fs::remove_dir(&folder).expect("the folder in its place");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}
