//! Tests environment variables that dependencies read: they must not change what the program does or leaves behind.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Output};

use crate::common::guest;

/// Runs `tachy run` under a shell that prints its own process number first; `exec` passes that number on to tachy.
fn run(before: &str, options: &str) -> (String, Output) {
    let script = format!("echo $$; {before} exec \"$TACHY\" run {options} \"$GUEST\" -- 20");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("TACHY", env!("CARGO_BIN_EXE_tachy"))
        .env("GUEST", guest("fib"))
        // `perf record` sets this.
        .env("PERF_BUILDID_DIR", "/nowhere")
        .output()
        .expect("there is a shell");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let (process, rest) = stdout.split_once('\n').expect("the shell's number");
    assert_eq!(rest, "fib(20) = 6765 ok\n", "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    (format!("/tmp/perf-{process}.map"), output)
}

/// Without a request, the code generator's library must not write a map of its functions.
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

/// A run does not fail if it cannot write the map.
#[test]
fn a_map_that_cannot_be_written_is_left_out() {
    for options in ["--jit-threshold 1 --no-background", "--jit-threshold 1 --no-background --perf-map"] {
        let (folder, output) = run("mkdir /tmp/perf-$$.map;", options);
        fs::remove_dir(&folder).expect("the folder in its place");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// Every variable that the standard library and dependencies read, with values that would show. The list is in
/// docs/command-line.md.
const VARIABLES: [(&str, &str); 15] = [
    ("RUST_BACKTRACE", "full"),
    ("RUST_LIB_BACKTRACE", "1"),
    ("RUST_LOG", "trace"),
    ("RUST_MIN_STACK", "1"),
    ("PERF_BUILDID_DIR", "/nowhere"),
    ("NO_COLOR", "1"),
    ("CLICOLOR", "1"),
    ("COLORTERM", "truecolor"),
    ("TERM", "xterm-256color"),
    ("CI", "true"),
    ("LANG", "ru_RU.UTF-8"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("COLUMNS", "20"),
    ("LINES", "2"),
    ("DASHU_THRESHOLD_SIMPLE_MUL", "1"),
];

/// Runs `tachy` with only these variables.
fn with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command.output().expect("tachy starts")
}

/// Rows, reports and errors do not depend on variables. One variable forces colours, and changes nothing else.
#[test]
fn nothing_but_colours_depends_on_variables() {
    let fib = guest("fib").display().to_string();
    let trap = format!("{}/tests/debug/trap-dwarf5.elf", crate::common::ROOT);
    let hash = format!("{}/guests/r0vm/bin/recursion.bin", crate::common::ROOT);
    let journal = ["run", "--jit-threshold", "1", "--journal", "-", "--input", "/dev/null", &hash];
    for arguments in [
        &["run", "--jit-threshold", "1", &fib, "--", "20"][..],
        &["trace", &fib, "--", "5"],
        &["info", "--json", "--symbols", &fib],
        &["run", &trap],
        &["run", "/nowhere"],
        &journal,
        &["frobnicate"],
    ] {
        let plain = with(&[], arguments);
        let all = with(&VARIABLES, arguments);
        assert_eq!(all, plain, "{arguments:?}");
        let forced = with(&[("CLICOLOR_FORCE", "1")], arguments);
        assert_eq!((forced.status, &forced.stdout), (plain.status, &plain.stdout), "{arguments:?}");
        assert_eq!(without_colours(&forced.stderr), plain.stderr, "{arguments:?}");
    }
}

fn without_colours(text: &[u8]) -> Vec<u8> {
    let mut left = Vec::new();
    let mut rest = text;
    while let Some((&byte, later)) = rest.split_first() {
        rest = later;
        if byte == 0x1b {
            let end = rest.iter().position(|&byte| byte == b'm').expect("a colour ends");
            rest = &rest[end + 1..];
        } else {
            left.push(byte);
        }
    }
    left
}
