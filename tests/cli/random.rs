//! Tests a guest's random bytes: each run has its own, and a seed repeats them.
//!
//! The guest is `calls`, whose journal ends with the bytes that it drew.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn guest(name: &str) -> String {
    let path = format!("{}/guests/r0vm/bin/{name}.bin", crate::common::ROOT);
    assert!(PathBuf::from(&path).exists(), "{path}");
    path
}

fn tachy(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    command.args(args).stdin(Stdio::null()).output().expect("tachy runs")
}

/// Returns the JSON of a run of `hello`, whose memory begins with random bytes.
fn facts(command: &str, options: &[&str], input: &str) -> Value {
    let program = guest("hello");
    let args = [&[command, "--json=/dev/stderr"][..], options, &["--input", input, &program]].concat();
    let output = tachy(&args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("text");
    let object = text.lines().find(|line| line.starts_with('{')).expect("an object");
    serde_json::from_str(object).expect("JSON")
}

fn input(folder: &TempDir) -> String {
    // "me" and 7, in words.
    let words = [2u32, u32::from_le_bytes(*b"me\0\0"), 7];
    let path = folder.path().join("input");
    fs::write(&path, words.map(u32::to_le_bytes).concat()).expect("it is written");
    path.display().to_string()
}

#[test]
fn a_run_draws_a_seed_and_repeats_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(&folder);
    let trace = |options: &[&str]| facts("trace", &[&["--format=none"], options].concat(), &input);
    let (first, other) = (trace(&[]), trace(&[]));
    let seed = first["random_seed"].as_str().expect("it tells its seed").to_owned();
    assert!(seed.len() == 64 && other["random_seed"].as_str() != Some(&seed), "{seed}");
    assert_ne!(first["digests"], other["digests"], "the bytes are seen in the rows");
    let again = trace(&["--random-seed", &seed]);
    assert_eq!((&again["digests"], &again["random_seed"]), (&first["digests"], &first["random_seed"]));

    // `run` takes the same steps, and its statistics also show the seed.
    let run = facts("run", &["--random-seed", &seed], &input);
    assert_eq!(run["steps"], first["steps"]);
    let output = tachy(&["run", "--stats", "--input", &input, "--random-seed", &seed, &guest("hello")]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.lines().any(|line| line.starts_with("random seed") && line.ends_with(&seed)), "{stderr}");
}

#[test]
fn a_comparison_has_a_fixed_seed_unless_it_is_given_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = input(&folder);
    let (zeros, ones) = ("0".repeat(64), "1".repeat(64));
    for (options, seed) in [(vec![], &zeros), (vec!["--random-seed", &ones], &ones)] {
        let facts = facts("diff", &options, &input);
        assert_eq!((&facts["random_seed"], &facts["agree"]), (&Value::from(seed.as_str()), &Value::from(true)));
    }
}

#[test]
fn seeds_that_are_none_are_refused() {
    for (machine, seed) in [("r0vm", "00"), ("r0vm", "zz"), ("bare", &*"0".repeat(64))] {
        let fib = crate::common::guest("fib").display().to_string();
        let program = if machine == "bare" { fib } else { guest("hello") };
        let output = tachy(&["run", "--random-seed", seed, &program]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--random-seed"), "{output:?}");
    }
}
