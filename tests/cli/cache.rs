//! Tests code on disk from the command line: who uses it by default, what is said of it, and `tachy cache`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::guest;

/// A folder for code, and programs that use it.
struct Cache(TempDir);

impl Cache {
    fn new() -> Cache {
        Cache(tempfile::tempdir().expect("a folder"))
    }

    /// The folder, which the first run creates.
    fn path(&self) -> String {
        self.0.path().join("code").display().to_string()
    }

    fn files(&self) -> usize {
        fs::read_dir(self.path()).map_or(0, |entries| entries.count())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
        command.args(args).env("TACHY_CACHE_DIR", self.path()).stdin(Stdio::null());
        command
    }

    /// Runs `tachy` and returns its standard output and standard error.
    fn tachy(&self, args: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(args).output().expect("tachy starts");
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        let (stdout, stderr) = (text(stdout), text(stderr));
        assert_eq!(status.code(), Some(0), "{args:?}: {stderr}");
        (stdout, stderr)
    }

    /// Runs quicksort with these words first and returns how many regions were loaded, compiled, and what was said.
    fn quicksort(&self, words: &[&str]) -> (u64, u64, String) {
        let (path, json) = (guest("quicksort").display().to_string(), self.0.path().join("result.json"));
        let json_option = format!("--json={}", json.display());
        let args = [words, &["--no-background", "--stats", &json_option, &path, "--", "2000"]].concat();
        let (stdout, stderr) = self.tachy(&args);
        assert!(stdout.contains(" ok\n") || words[0] != "run", "{stdout}");
        let result: Value = serde_json::from_slice(&fs::read(json).expect("it was written")).expect("JSON");
        let count = |name: &str| result["stats"][name].as_u64().expect("a number");
        (count("regions_loaded"), count("regions"), stderr)
    }
}

#[test]
fn the_second_run_has_the_code_of_the_first() {
    let cache = Cache::new();
    let (loaded, compiled, _) = cache.quicksort(&["run"]);
    assert!(loaded == 0 && compiled > 0);
    let (again, _, stderr) = cache.quicksort(&["run"]);
    assert_eq!(again, compiled);
    assert!(stderr.contains(&format!("from disk      {again} region")), "{stderr}");
    assert!(!stderr.contains("tachy:"), "{stderr}");
    // Without it, neither reading nor writing.
    assert_eq!(cache.quicksort(&["run", "--no-cache"]).0, 0);
    let other = Cache::new();
    other.quicksort(&["run", "--no-cache"]);
    assert!(!Path::new(&other.path()).exists());
}

#[test]
fn only_run_uses_it_unless_asked() {
    let cache = Cache::new();
    let rows = ["trace", "--format", "none"];
    cache.quicksort(&rows);
    let (fib, bench) = (guest("fib").display().to_string(), ["bench", "--runs", "1"]);
    cache.tachy(&[&bench[..], &[&fib, "--", "20"]].concat());
    cache.tachy(&["diff", "--jit-threshold", "1", &fib, "--", "20"]);
    cache.tachy(&["info", &fib]);
    assert!(!Path::new(&cache.path()).exists(), "nobody wrote anything");
    let asked = [&rows[..], &["--cache"]].concat();
    assert_eq!(cache.quicksort(&asked).0, 0);
    assert!(cache.quicksort(&asked).0 > 0);
    // The code of rows is not that of no rows.
    assert_eq!(cache.quicksort(&["run"]).0, 0);
    assert_eq!(cache.files(), 2);
}

#[test]
fn the_cache_is_shown_and_cleared() {
    let cache = Cache::new();
    let path = cache.path();
    assert_eq!(cache.tachy(&["cache"]).0, format!("{path}: 0 files with 0 bytes\n"));
    assert_eq!(cache.tachy(&["cache", "clear"]).0, format!("removed 0 files with 0 bytes from {path}\n"));
    cache.quicksort(&["run"]);
    cache.quicksort(&["run", "--jit-threshold", "50"]);
    let (shown, _) = cache.tachy(&["cache", "show"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with(&format!("{path}: 2 files with ")), "{shown}");
    assert!(lines[1..].iter().all(|line| line.contains(".code ") && line.contains(" ago")), "{shown}");
    assert!(cache.tachy(&["cache", "clear"]).0.starts_with("removed 2 files with "));
    assert_eq!((cache.files(), cache.quicksort(&["run"]).0), (0, 0));
    // There may be no folder at all.
    let none = cache.command(&["cache"]).env("TACHY_CACHE_DIR", "").output().expect("tachy starts");
    assert!(none.status.success() && String::from_utf8_lossy(&none.stdout).starts_with("no folder: "), "{none:?}");
}

#[test]
fn what_is_not_used_is_told_in_a_line() {
    let cache = Cache::new();
    let (_, compiled, _) = cache.quicksort(&["run"]);
    let entry = fs::read_dir(cache.path()).expect("a folder").next().expect("a file").expect("an entry");
    let said = |what: &str| {
        let (loaded, again, stderr) = cache.quicksort(&["run"]);
        assert_eq!((loaded, again), (0, compiled), "{what}");
        let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("tachy:")).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("; it is not used")), "{what}: {stderr}");
        lines[0].to_owned()
    };
    let mut bytes = fs::read(entry.path()).expect("it is there");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    fs::write(entry.path(), bytes).expect("it is ours");
    assert!(said("damage").contains("its checksum is not that of its content"));
    assert_eq!(cache.quicksort(&["run"]).0, compiled, "it was replaced");
    fs::set_permissions(entry.path(), Permissions::from_mode(0o666)).expect("it is ours");
    assert!(said("a file of others").contains("may be written by other users (mode 666)"));
    fs::set_permissions(cache.path(), Permissions::from_mode(0o777)).expect("it is ours");
    assert!(said("a folder of others").contains("may be written by other users (mode 777)"));
    let clear = cache.command(&["cache", "clear"]).output().expect("tachy starts");
    assert_eq!(clear.status.code(), Some(66), "{clear:?}");
    // A folder that cannot be had is told only where statistics are wanted.
    let fib = guest("fib").display().to_string();
    for (options, is_told) in
        [(&["run", "--jit-threshold", "0"][..], false), (&["run", "--stats", "--jit-threshold", "0"], true)]
    {
        let args = [options, &[&fib, "--", "20"]].concat();
        let output = cache.command(&args).env("TACHY_CACHE_DIR", "/dev/null/code").output().expect("tachy starts");
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr).contains("tachy: code on disk: "), is_told, "{output:?}");
    }
}

#[test]
fn processes_at_once_share_a_folder() {
    let cache = Cache::new();
    for _ in 0..5 {
        let path = guest("quicksort").display().to_string();
        let args = ["run", "--jit-threshold", "20", &path, "--", "2000"];
        let start = || cache.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let children: Vec<_> = (0..4).map(|_| start()).collect();
        let outputs = children.into_iter().map(|child| child.wait_with_output().expect("it ends"));
        let outputs: Vec<Output> = outputs.collect();
        assert!(outputs.iter().all(|output| output.status.success() && output.stderr.is_empty()), "{outputs:?}");
        assert!(outputs.iter().all(|output| output.stdout == outputs[0].stdout), "{outputs:?}");
    }
    assert_eq!(cache.files(), 1);
}

/// What cargo runs keeps nothing, so that no other test depends on what one left.
#[test]
fn other_tests_have_no_folder() {
    assert_eq!(std::env::var("TACHY_CACHE_DIR").as_deref(), Ok(""), ".cargo/config.toml sets it");
}
