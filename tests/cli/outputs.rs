//! Tests the files that `tachy` writes: no output destroys an input or another output, and each file is either complete
//! or absent.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{code, guest};
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::trace::read_rows;
use tempfile::TempDir;

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

/// The result of a process.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// A working directory for `tachy`, so that files have short names.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn inode(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}")).ino()
    }

    /// Returns the names of all files, without folders.
    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(TACHY);
        command.args(args.split(' ').filter(|arg| !arg.is_empty())).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn tachy(&self, args: &str) -> Outcome {
        outcome(self.command(args))
    }

    /// Runs a shell command line in which `tachy` is the program.
    fn shell(&self, command: &str) -> Outcome {
        let mut shell = Command::new("sh");
        shell.args(["-c", &command.replace("tachy", TACHY)]).current_dir(&self.0).stdin(Stdio::null());
        outcome(shell)
    }
}

fn outcome(mut command: Command) -> Outcome {
    let output = command.output().expect("it starts");
    let stderr = String::from_utf8(output.stderr).expect("it is text");
    Outcome { code: output.status.code(), stdout: output.stdout, stderr }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let files = entries.filter(|entry| !entry.file_type().expect("a type").is_dir());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().expect("plain names")).collect();
    names.sort();
    names
}

/// Returns the path of one of R0VM's guests.
fn risc0(name: &str) -> String {
    let path = Path::new(crate::common::ROOT).join("guests/r0vm/bin").join(name).with_extension("bin");
    path.display().to_string()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn insn(op: Op, rd: u8, rs1: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2: 0, imm: imm as u32 })
}

/// Jumps to itself.
fn endless() -> Vec<u8> {
    code(&[insn(Op::Jal, 0, 0, 0)])
}

/// Takes three steps, then loads from an unmapped address.
fn traps() -> Vec<u8> {
    let li = |imm| insn(Op::Addi, 10, 0, imm);
    code(&[li(1), li(2), li(3), insn(Op::Lw, 11, 0, 64)])
}

// ---------------------------------------------------------------------------------------------------------------------
// Outputs that would destroy something

#[test]
fn an_output_that_is_an_input_is_refused_and_the_input_kept() {
    let folder = Folder::new();
    let input = words(&[2, 6, 500]);
    for name in ["self.elf", "other.elf"] {
        fs::copy(guest("fib"), folder.path(name)).expect("a copy");
    }
    fs::copy(risc0("recursion"), folder.path("self.bin")).expect("a copy");
    fs::copy("/bin/true", folder.path("self")).expect("a copy");
    folder.write("in", &input);
    symlink("self.elf", folder.path("link.elf")).expect("a link");
    symlink("link.elf", folder.path("link-to-link")).expect("a link");
    fs::hard_link(folder.path("in"), folder.path("in-again")).expect("a link");
    fs::create_dir(folder.path("folder")).expect("a folder");
    let before: Vec<_> =
        folder.names().into_iter().map(|name| (folder.read(&name), folder.inode(&name), name)).collect();

    for args in [
        "trace -o self.elf self.elf",
        "trace --format rows -o link.elf self.elf",
        "trace -o self.elf link-to-link",
        "trace --format none --effects folder/../link-to-link self.elf",
        "trace --stdin in -o ./in self.elf",
        "run --stdin in --json=in self.elf",
        "run --stdin in --json=in-again self.elf",
        "run --json=self.elf self.elf",
        "run --input in --journal in self.bin",
        "run --input in --journal in-again self.bin",
        "run --input in --journal self.bin self.bin",
        "run --input in --write-fd 1=self.bin self.bin",
        "run --input in --write-fd 5=in self.bin",
        "run --input in --read-fd 4=self.elf --write-fd 5=link.elf self.bin",
        "diff --json=self.elf self.elf",
        "diff --input in --journal in self.bin",
        "info --json=link.elf self.elf",
        "bench --runs 1 --json=other.elf self.elf other.elf",
        "bench --runs 1 --stdin in --json=in self.elf",
        "bench --runs 1 --against native=self --json=self self.elf",
        "bench --runs 1 --against native=. --json=self self.elf",
    ] {
        let outcome = folder.tachy(args);
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains("are the same file"), "{args}: {outcome:?}");
        for (bytes, inode, name) in &before {
            assert!(folder.read(name) == *bytes && folder.inode(name) == *inode, "{args}: {name} was touched");
        }
        assert_eq!(folder.names().len(), before.len(), "{args}: {:?}", folder.names());
    }
    // Files that the shell opened.
    for line in [
        "tachy trace -o in self.elf < in",
        "tachy run --json=out self.elf > out",
        "tachy trace -o out self.elf 2> out",
        "tachy run --stdin out self.elf >> out",
    ] {
        let outcome = folder.shell(line);
        assert_eq!(outcome.code, Some(64), "{line}: {outcome:?}");
        assert!(folder.read("in") == input, "{line}");
    }
}

#[test]
fn two_outputs_that_are_one_file_are_refused() {
    let folder = Folder::new();
    let (fib, recursion) = (guest("fib").display().to_string(), risc0("recursion"));
    folder.write("old", b"old");
    folder.write("in", &words(&[2, 6, 500]));
    fs::create_dir(folder.path("folder")).expect("a folder");
    symlink("old", folder.path("link")).expect("a link");
    symlink("new", folder.path("dangling")).expect("a link");
    let absolute = folder.path("new").display().to_string();
    for args in [
        format!("trace -o new --json=new {fib}"),
        format!("trace -o new --json=./folder/../new {fib}"),
        format!("trace -o dangling --effects {absolute} {fib}"),
        format!("trace -o old --effects link {fib}"),
        format!("run --input in --journal new --json=new {recursion}"),
        format!("run --input in --write-fd 1=new --write-fd 2=new {recursion}"),
        format!("trace --input in -o new --journal new {recursion}"),
        format!("run --input in --segments folder --journal folder/segment-00000000.bin {recursion}"),
    ] {
        let outcome = folder.tachy(&args);
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains("are the same file"), "{args}: {outcome:?}");
        assert_eq!(folder.names(), ["dangling", "in", "link", "old"], "{args}");
        assert_eq!(folder.read("old"), b"old", "{args}");
    }
    assert_eq!(names(&folder.path("folder")), [""; 0]);
}

#[test]
fn what_cannot_start_leaves_old_files_alone() {
    let folder = Folder::new();
    let fib = guest("fib").display().to_string();
    folder.write("bad.elf", b"\x7fELF and no more");
    for name in ["rows", "effects", "out", "journal"] {
        folder.write(name, b"old");
    }
    let traces = "trace -o rows --effects effects";
    for (args, code) in [
        (format!("{traces} bad.elf"), 65),
        (format!("{traces} missing.elf"), 66),
        (format!("{traces} --stdin missing {fib}"), 66),
        (format!("{traces} --limit-memory 1 {fib}"), 71),
        (format!("{traces} --region-instructions 0 {fib}"), 64),
        (format!("{traces} --journal journal {fib}"), 64),
        (format!("run --journal journal --write-fd 1=out --read-fd 4=missing {}", risc0("hello")), 66),
    ] {
        let outcome = folder.tachy(&args);
        assert_eq!(outcome.code, Some(code), "{args}: {outcome:?}");
        assert_eq!(folder.names(), ["bad.elf", "effects", "journal", "out", "rows"], "{args}");
        for name in ["rows", "effects", "out", "journal"] {
            assert_eq!(folder.read(name), b"old", "{args}: {name}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Files that are written

#[test]
fn a_file_takes_the_place_of_the_one_that_it_replaces() {
    let folder = Folder::new();
    let fib = guest("fib").display().to_string();
    folder.write("old", b"old");
    fs::set_permissions(folder.path("old"), Permissions::from_mode(0o604)).expect("a mode");
    symlink("old", folder.path("link")).expect("a link");
    symlink("new", folder.path("dangling")).expect("a link");
    let outcome = folder.shell(&format!("umask 027; tachy trace -o link --effects dangling --json=json {fib} -- 5"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");

    let expected = folder.tachy(&format!("trace {fib} -- 5")).stdout;
    assert!(folder.read("old") == expected);
    assert_eq!(folder.names(), ["dangling", "json", "link", "new", "old"]);
    for link in ["link", "dangling"] {
        assert!(fs::symlink_metadata(folder.path(link)).expect("it is there").is_symlink(), "{link}");
    }
    let mode = |name| fs::metadata(folder.path(name)).expect("it is there").permissions().mode() & 0o7777;
    // A replaced file keeps its mode; a new one gets what the umask allows.
    assert_eq!((mode("old"), mode("new"), mode("json")), (0o604, 0o640, 0o640));
    assert!(folder.read("new").starts_with(b"step,kind,space"));
}

#[test]
fn the_old_file_stays_until_the_new_one_is_whole() {
    let folder = Folder::new();
    folder.write("rows", b"old");
    folder.write("endless.elf", &endless());
    let mut child =
        folder.command("trace --format rows -o rows endless.elf").stderr(Stdio::piped()).spawn().expect("it");
    // Rows arrive, but not yet under the final name.
    let partial = || names(folder.0.path()).into_iter().find(|name| name.ends_with(".partial"));
    let bytes = |name: &str| fs::metadata(folder.path(name)).map_or(0, |metadata| metadata.len());
    while partial().is_none_or(|name| bytes(&name) < 10_000) {
        assert_eq!(child.try_wait().expect("it can be asked"), None);
    }
    assert_eq!(folder.read("rows"), b"old");
    // Ctrl-C ends the run, which keeps the rows so far.
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(interrupted.success() && child.wait().expect("it ends").code() == Some(130));
    let mut count = 0;
    let header = read_rows(&mut File::open(folder.path("rows")).expect("rows"), |_, rows| count += rows.len() as u64);
    assert_eq!(header.expect("whole rows").rows, Some(count));
    assert_eq!(folder.names(), ["endless.elf", "rows"]);
}

#[test]
fn a_run_that_ends_early_keeps_whole_rows() {
    let folder = Folder::new();
    folder.write("traps.elf", &traps());
    folder.write("endless.elf", &endless());
    for (args, code, rows) in
        [("traps.elf", 73, 3), ("--limit-steps 10_000 endless.elf", 72, 10_000), ("--to 7 endless.elf", 0, 7)]
    {
        let outcome = folder.tachy(&format!("trace -o csv --effects effects --json=json {args}"));
        assert_eq!(outcome.code, Some(code), "{args}: {outcome:?}");
        let csv = String::from_utf8(folder.read("csv")).expect("text");
        assert!(csv.ends_with('\n') && csv.lines().count() == rows + 1, "{args}: {} lines", csv.lines().count());
        let outcome = folder.tachy(&format!("trace --format rows -o rows {args}"));
        assert_eq!(outcome.code, Some(code), "{args}: {outcome:?}");
        let header = read_rows(&mut folder.read("rows").as_slice(), |_, _| {}).expect("whole rows");
        assert_eq!(header.rows, Some(rows as u64), "{args}");
        assert_eq!(folder.names(), ["csv", "effects", "endless.elf", "json", "rows", "traps.elf"]);
    }
}

/// A limit on the size of files, 8 blocks of 512 or 1024 bytes, stands in for a full disk.
#[test]
fn a_write_that_fails_leaves_nothing_torn() {
    let folder = Folder::new();
    let fib = guest("fib").display().to_string();
    folder.write("old", b"old");
    for options in ["-o old", "-o new", "--format rows -o new", "--format rows -o old"] {
        let line = format!("trap '' XFSZ; ulimit -f 8; exec tachy trace {options} --json=json {fib} -- 12");
        let outcome = folder.shell(&line);
        assert_eq!(outcome.code, Some(74), "{options}: {outcome:?}");
        assert!(outcome.stderr.contains("File too large"), "{options}: {outcome:?}");
        // The JSON object is complete and reports the failure.
        let json: serde_json::Value = serde_json::from_slice(&folder.read("json")).expect("an object");
        assert_eq!(json["error"]["kind"], "sink", "{options}: {json}");
        assert_eq!((folder.names(), folder.read("old")), (vec!["json".to_owned(), "old".to_owned()], b"old".to_vec()));
    }
    // The guest's outputs are files, too, and follow the same rule.
    folder.write("first", b"One and\n");
    folder.write("second", &b"another ".repeat(4000));
    let options = "--input first --read-fd 4=second --write-fd 5=out --write-fd 2=errors";
    let outcome = folder.shell(&format!("trap '' XFSZ; ulimit -f 8; exec tachy run {options} {}", risc0("streams")));
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    assert!(!folder.path("out").exists() && folder.path("errors").exists(), "{:?}", folder.names());
}

#[test]
fn nobody_replaces_what_he_may_not_write() {
    let folder = Folder::new();
    let fib = guest("fib").display().to_string();
    folder.write("old", b"old");
    fs::set_permissions(folder.path("old"), Permissions::from_mode(0o444)).expect("a mode");
    if File::options().write(true).open(folder.path("old")).is_ok() {
        eprintln!("notice: this user may write whatever there is");
        return;
    }
    let outcome = folder.tachy(&format!("trace -o old {fib} -- 5"));
    assert_eq!((outcome.code, folder.read("old")), (Some(74), b"old".to_vec()), "{outcome:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Devices and pipes

#[test]
fn devices_and_pipes_are_written_straight_and_shared() {
    let folder = Folder::new();
    let fib = guest("fib").display().to_string();
    let outcome = folder.tachy(&format!("trace -o /dev/null --effects /dev/null --json=/dev/null {fib} -- 5"));
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (Some(0), b"fib(5) = 5 ok\n".as_slice()), "{outcome:?}");
    let null = fs::metadata("/dev/null").expect("it is there");
    assert!(!null.is_file() && !null.is_dir());

    // Rows and effects go through a named pipe.
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status().expect("mkfifo starts");
    assert!(made.success());
    let mut child = folder
        .command(&format!("trace -o pipe --effects pipe {fib} -- 5"))
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut text = String::new();
    File::open(folder.path("pipe")).expect("a pipe").read_to_string(&mut text).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert!(text.contains("step,pc,insn") && text.contains("step,kind,space"), "{text}");
    assert_eq!(folder.names(), ["pipe"]);

    // Writing to tachy's own descriptors keeps what the shell opened, files included.
    let inode = |name| fs::metadata(folder.path(name)).expect("it is there").ino();
    folder.write("out", b"before\n");
    let before = inode("out");
    let outcome = folder.shell(&format!("tachy trace -o /dev/stdout --to 1 {fib} >> out"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let text = String::from_utf8(folder.read("out")).expect("text");
    assert!(text.starts_with("before\nstep,pc,insn") && text.lines().count() == 3, "{text}");
    assert_eq!(inode("out"), before);
    let outcome = folder.shell(&format!("tachy run --json=/dev/stderr {fib} -- 5 2>&1 | cat"));
    let text = String::from_utf8(outcome.stdout).expect("text");
    assert!(text.starts_with("fib(5) = 5 ok\n{\"engine\""), "{text}");

    // A device that rejects all bytes is a failure, and is not replaced.
    for options in ["-o /dev/full", "--format rows -o /dev/full", "--format none --effects /dev/full"] {
        let outcome = folder.tachy(&format!("trace {options} {fib}"));
        assert_eq!(outcome.code, Some(74), "{options}: {outcome:?}");
        assert!(outcome.stderr.contains("No space left"), "{options}: {outcome:?}");
    }
    assert!(Path::new("/dev/full").exists());
}

// ---------------------------------------------------------------------------------------------------------------------
// Segments

#[test]
fn a_folder_has_the_segments_of_one_run() {
    let folder = Folder::new();
    folder.write("in", &words(&[300, 2]));
    folder.write("json", b"old");
    let run =
        |options: &str| folder.tachy(&format!("run --input in --segments segments {options} {}", risc0("sparse")));
    assert_eq!(run("--po2 13").code, Some(0));
    let segments = folder.path("segments");
    let read = || -> Vec<_> {
        let files = names(&segments).into_iter();
        files.map(|name| (fs::read(segments.join(&name)).expect("a segment"), name)).collect()
    };
    let before = read();
    assert!(before.len() > 3 && before.iter().all(|(_, name)| name.len() == "segment-00000000.bin".len()));

    for options in ["--po2 14 --json=json --journal journal", "--po2 13"] {
        let outcome = run(options);
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{outcome:?}");
        assert!(
            outcome.stderr.contains("segments of an earlier run; remove them or use another folder"),
            "{outcome:?}"
        );
        assert!(read() == before, "{options}");
        assert_eq!(folder.names(), ["in", "json"], "{options}");
        assert_eq!(folder.read("json"), b"old");
    }
}

#[test]
fn runs_at_the_same_time_do_not_share_a_folder() {
    let folder = Folder::new();
    let made = Command::new("mkfifo").arg(folder.path("in")).status().expect("mkfifo starts");
    assert!(made.success());
    folder.write("other", &words(&[300, 2]));
    let command =
        |input: &str| folder.command(&format!("run --po2 13 --input {input} --segments segments {}", risc0("sparse")));
    // The first run waits for its input; its folder is still empty.
    let first = command("in").stderr(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = File::options().write(true).open(folder.path("in")).expect("a pipe");
    while !folder.path("segments").exists() {
        std::thread::yield_now();
    }
    let second = outcome(command("other"));
    pipe.write_all(&words(&[300, 2])).expect("it reads");
    drop(pipe);
    let first = first.wait_with_output().expect("it ends");
    let stderr = String::from_utf8(first.stderr).expect("it is text") + &second.stderr;
    // A run creates the folder shortly before it locks it, so the second run may win.
    let codes = (first.status.code(), second.code);
    assert!([(Some(0), Some(64)), (Some(64), Some(0))].contains(&codes), "{codes:?}: {stderr}");
    assert!(stderr.contains("another run is writing segments") || stderr.contains("of an earlier run"), "{stderr}");
    assert!(names(&folder.path("segments")).len() > 3);
}

#[test]
fn segments_that_do_not_fit_are_not_there() {
    let folder = Folder::new();
    folder.write("in", &words(&[300, 2]));
    let run = |limit: &str, segments: &str| {
        let options = format!("--po2 13 --input in --segments {segments} {}", risc0("sparse"));
        folder.shell(&format!("trap '' XFSZ; {limit} exec tachy run {options}"))
    };
    assert_eq!(run("", "all").code, Some(0));
    let sizes: Vec<u64> =
        names(&folder.path("all")).iter().map(|name| folder.read(&format!("all/{name}")).len() as u64).collect();
    // Not even the first segment fits under this limit.
    let outcome = run("ulimit -f 1;", "some");
    assert!(sizes.iter().all(|bytes| *bytes > 1024), "{sizes:?}");
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    assert!(
        outcome.stderr.contains("segment-00000000.bin") && outcome.stderr.contains("File too large"),
        "{outcome:?}"
    );
    assert_eq!(names(&folder.path("some")), [""; 0]);
    // If a comparison cannot write its segments, it must not report that both engines agree.
    let outcome = folder.shell(&format!(
        "trap '' XFSZ; ulimit -f 1; exec tachy diff --po2 13 --input in --segments compared {}",
        risc0("sparse")
    ));
    assert_eq!((outcome.code, names(&folder.path("compared"))), (Some(74), Vec::new()), "{outcome:?}");
    // The step limit ends the run. The segments that are complete stay.
    let sparse = risc0("sparse");
    let facts = folder.tachy(&format!("run --json --input in {sparse}")).stdout;
    let facts: serde_json::Value = serde_json::from_slice(&facts).expect("an object");
    let half = facts["steps"].as_u64().expect("a number") / 2;
    let outcome = folder.tachy(&format!("run --po2 13 --limit-steps {half} --input in --segments early {sparse}"));
    assert_eq!(outcome.code, Some(72), "{outcome:?}");
    let early = names(&folder.path("early"));
    assert!(!early.is_empty() && early.len() < sizes.len(), "{early:?}");
    for name in early {
        assert!(folder.read(&format!("early/{name}")) == folder.read(&format!("all/{name}")), "{name}");
    }
}

#[test]
fn man_pages_that_do_not_fit_leave_the_old_ones() {
    let folder = Folder::new();
    assert_eq!(folder.tachy("man pages").code, Some(0));
    let pages = names(&folder.path("pages"));
    let before: Vec<_> = pages.iter().map(|name| folder.read(&format!("pages/{name}"))).collect();
    let outcome = folder.shell("trap '' XFSZ; ulimit -f 1; exec tachy man pages");
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    let after: Vec<_> = names(&folder.path("pages")).iter().map(|name| folder.read(&format!("pages/{name}"))).collect();
    assert!(before == after && !before.is_empty());
    let folders = fs::read_dir(folder.path("pages")).expect("a folder").count();
    assert_eq!(folders, pages.len());
}
