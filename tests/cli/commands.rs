//! Tests the program `tachy` as its users see it: output, exit codes, files.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::{code, guest};
use serde_json::Value;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::trace::{ROW_BYTES, Row, read_rows};
use tempfile::TempDir;

// ---------------------------------------------------------------------------------------------------------------------
// Helpers

fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    command.args(args).stdin(Stdio::null());
    command
}

/// The result of a process, as text.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// Runs `tachy` with these arguments, separated by spaces.
fn tachy(args: &str) -> Outcome {
    let args: Vec<&str> = args.split(' ').filter(|arg| !arg.is_empty()).collect();
    command(&args).output().unwrap().into()
}

fn json(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(text).unwrap()
}

/// A folder that is removed at the end of the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

fn fib() -> String {
    guest("fib").display().to_string()
}

// ---------------------------------------------------------------------------------------------------------------------
// Programs made by hand

const A0: u8 = 10;
const A1: u8 = 11;
const A2: u8 = 12;
const A7: u8 = 17;
const SP: u8 = 2;

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

fn li(rd: u8, value: i32) -> u32 {
    insn(Op::Addi, rd, 0, 0, value)
}

fn ecall() -> u32 {
    insn(Op::Ecall, 0, 0, 0, 0)
}

fn jump(distance: i32) -> u32 {
    insn(Op::Jal, 0, 0, 0, distance)
}

/// Exits with 300, which does not fit into a shell's exit code.
fn exits() -> Vec<u8> {
    code(&[li(A0, 300), li(A7, 93), ecall()])
}

fn endless() -> Vec<u8> {
    code(&[jump(0)])
}

/// Touches one page of stack after the other.
fn hungry() -> Vec<u8> {
    code(&[insn(Op::Addi, SP, SP, 0, -1024), insn(Op::Sw, 0, SP, 0, 0), jump(-8)])
}

/// Writes the 16 bytes after its code to stdout, over and over.
fn chatty() -> Vec<u8> {
    let text = u32::from_le_bytes(*b"text");
    let to_text = [insn(Op::Auipc, A1, 0, 0, 0), insn(Op::Addi, A1, A1, 0, 28)];
    let write = [li(A0, 1), li(A2, 16), li(A7, 64), ecall(), jump(-16)];
    code(&[to_text.as_slice(), &write, &[text; 4]].concat())
}

/// Takes three steps, then loads from an unmapped address.
fn traps() -> Vec<u8> {
    code(&[li(A0, 1), li(A0, 2), li(A0, 3), insn(Op::Lw, A1, 0, 0, 64)])
}

// ---------------------------------------------------------------------------------------------------------------------
// run

#[test]
fn run_shows_the_guests_output_and_nothing_else() {
    for engine in ["", "--jit", "--interpreter", "--crosscheck"] {
        let fib = fib();
        let Outcome { code, stdout, stderr } = tachy(&format!("run {engine} {fib} -- 20"));
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "fib(20) = 6765 ok\n", ""));

        // The exit code is the guest's, and argv[0] is the program as it was given.
        let args = guest("args").display().to_string();
        let Outcome { code, stdout, stderr } = tachy(&format!("run {engine} {args} -- a --stats --"));
        assert_eq!((code, stderr.as_str()), (Some(4), ""));
        assert_eq!(stdout, format!("argc = 4\nargv[0] = {args}\nargv[1] = a\nargv[2] = --stats\nargv[3] = --\n"));
    }
    let folder = Folder::new();
    let exits = folder.file("exits.elf", &exits());
    assert_eq!(tachy(&format!("run {exits}")).code, Some(300 & 255));
}

#[test]
fn any_bytes_are_an_argument() {
    let folder = Folder::new();
    let mut program = folder.path("").into_bytes();
    program.extend(b"\xffprogram");
    let program = OsString::from_vec(program);
    fs::copy(guest("args"), &program).unwrap();
    let argument = OsString::from_vec(b"\xfe\x80".to_vec());
    let output = command(&[OsStr::new("run"), &program, OsStr::new("--"), &argument]).output().unwrap();
    let expected = [b"argc = 2\nargv[0] = ", program.as_encoded_bytes(), b"\nargv[1] = \xfe\x80\n"].concat();
    assert_eq!(output.stdout, expected);
}

#[test]
fn input_is_a_file_or_ours() {
    let folder = Folder::new();
    let input = folder.file("input", b"Hello world\nab c");
    let filter = guest("filter").display().to_string();
    let expected = "HELLO WORLD\nAB C\nfilter: 1 lines, 4 words, 16 bytes ok\n";
    let Outcome { code, stdout, stderr } = tachy(&format!("run --stdin {input} {filter}"));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), expected, "filter: raised 12 of 16 bytes\n"));

    let mut child =
        command(&["run", &filter]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"Hello world\nab c").unwrap();
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), expected));
}

#[test]
fn stats_go_to_stderr() {
    for command in ["run", "trace --format none", "diff"] {
        let Outcome { code, stdout, stderr } = tachy(&format!("{command} --stats {} -- 20", fib()));
        assert_eq!(code, Some(0), "{command}: {stderr}");
        assert_eq!(stdout.lines().count(), 1, "{command}: {stdout}");
        for name in
            "steps interpreted regions merged refused compile in code entries transfers deopts assists refills ecalls pages"
                .split(' ')
        {
            assert!(stderr.lines().any(|line| line.starts_with(name)), "{command}: {name} in {stderr}");
        }
        assert!(stderr.contains("M steps/s"), "{stderr}");
    }
}

#[test]
fn options_of_the_jit_change_nothing_but_how() {
    let expected = tachy(&format!("trace {} -- 12", fib())).stdout;
    for options in [
        "--jit-threshold 0",
        "--jit-threshold 1 --region-instructions 1",
        "--region-instructions 0x7d0",
        "--jit-threshold 10 --no-background",
    ] {
        let outcome = tachy(&format!("trace {options} {} -- 12", fib()));
        assert_eq!((outcome.code, outcome.stdout == expected), (Some(0), true), "{options}");
        assert_eq!(tachy(&format!("diff {options} {} -- 12", fib())).code, Some(0), "{options}");
    }
    assert!(!tachy("run -h").stdout.contains("--jit-threshold"));
    assert!(tachy("run --help").stdout.contains("--jit-threshold"));
}

// ---------------------------------------------------------------------------------------------------------------------
// Exit codes

#[test]
fn wrong_command_lines_give_64() {
    let fib = fib();
    for args in [
        String::new(),
        "run".to_owned(),
        "walk".to_owned(),
        format!("run --jit --interpreter {fib}"),
        format!("run --crosscheck --interpreter {fib}"),
        format!("trace --jit --crosscheck {fib}"),
        format!("bench --runs 0 {fib}"),
        format!("run --fast {fib}"),
        format!("run {fib} 20"),
        format!("run --limit-steps many {fib}"),
        format!("run --limit-steps -1 {fib}"),
        format!("run --limit-memory 1X {fib}"),
        format!("run --limit-time -1 {fib}"),
        format!("run --machine pdp11 {fib}"),
        format!("run --region-instructions 0 {fib}"),
        format!("trace --from 2 --to 1 {fib}"),
        format!("trace --json {fib}"),
        format!("trace --effects - {fib}"),
        format!("diff --interpreter {fib}"),
        format!("info {fib} -- x"),
    ] {
        let Outcome { code, stdout, stderr } = tachy(&args);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{args}: {stderr}");
        // Without a command, tachy prints the help instead.
        assert!(stderr.starts_with("tachy: ") || args.is_empty(), "{args}: {stderr}");
    }
    for args in ["--help", "-h", "--version", "run --help", "help trace"] {
        let Outcome { code, stdout, stderr } = tachy(args);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args}");
        assert!(!stdout.is_empty());
    }
    let help = tachy("--help").stdout;
    for (kind, _) in tachy::Error::KINDS {
        assert!(help.contains(kind), "{kind}");
    }
}

/// Asserts that tachy itself fails: with this exit code, nothing on stdout, and one to three lines on stderr that
/// contain `contains`. The third line is a hint.
fn assert_fails(args: &str, code: i32, contains: &str) {
    let outcome = tachy(args);
    assert_eq!(outcome.code, Some(code), "{args}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{args}");
    assert!(outcome.stderr.starts_with("tachy: "), "{args}: {}", outcome.stderr);
    assert!((1..=3).contains(&outcome.stderr.lines().count()), "{args}: {}", outcome.stderr);
    assert!(outcome.stderr.contains(contains), "{args}: {}", outcome.stderr);
}

#[test]
fn bad_programs_give_65_and_missing_files_66() {
    let folder = Folder::new();
    let bad = [
        (folder.file("empty", b""), "empty"),
        (folder.file("text", b"#!/bin/sh\necho"), "not an ELF"),
        (folder.file("r0.bin", b"R0BF\x01\0\0\0 and more"), "RISC Zero program binary"),
        (folder.file("cut", &exits()[..60]), "truncated"),
        (env!("CARGO_BIN_EXE_tachy").to_owned(), "ELF"),
    ];
    for command in ["run", "run --interpreter", "trace", "diff", "info"] {
        for (path, message) in &bad {
            assert_fails(&format!("{command} {path}"), 65, message);
        }
        assert_fails(&format!("{command} {}", folder.path("none")), 66, "No such file");
        assert_fails(&format!("{command} {}", folder.path("")), 66, "directory");
    }
    assert_fails(&format!("bench {} {}", folder.path("none"), fib()), 66, "No such file");
    for command in ["run", "trace", "diff"] {
        assert_fails(&format!("{command} --stdin {} {}", folder.path("none"), fib()), 66, "No such file");
        assert_fails(&format!("{command} --stdin {} {}", folder.path(""), fib()), 66, "directory");
    }
}

#[test]
fn limits_give_71_and_72_and_traps_73() {
    let folder = Folder::new();
    let endless = folder.file("endless", &endless());
    let hungry = folder.file("hungry", &hungry());
    let chatty = folder.file("chatty", &chatty());
    let traps = folder.file("traps", &traps());
    for engine in ["--jit", "--interpreter", "--jit --jit-threshold 0", "--crosscheck"] {
        for command in [format!("run {engine}"), format!("trace --format none {engine}")] {
            assert_fails(&format!("{command} --limit-steps 1_000_000 {endless}"), 72, "step 1000000");
            assert_fails(&format!("{command} --limit-steps 0 {endless}"), 72, "step 0");
            assert_fails(&format!("{command} --limit-time 0.05 {endless}"), 72, "0.050 s");
            // The first page of code and the last page of the stack are mapped from the start.
            assert_fails(&format!("{command} --limit-memory 100K {hungry}"), 71, "102400 bytes");
            assert_fails(&format!("{command} --limit-memory 0 {hungry}"), 71, "step 0");
            assert_fails(&format!("{command} {traps}"), 73, "step 3, address 0x00000040");
            assert_fails(&format!("{command} {traps}"), 73, "`lw a1,64(zero)`");
            // Without a limit the stack grows down to its guard page.
            assert_fails(&format!("{command} {hungry}"), 73, "not writable");

            let outcome = tachy(&format!("{command} --limit-output 100 {chatty}"));
            assert_eq!((outcome.code, outcome.stdout.len()), (Some(72), 96), "{command}: {}", outcome.stderr);
        }
    }
    // A program that ends in exactly as many steps does not hit the limit.
    let exits = folder.file("exits", &exits());
    assert_eq!(tachy(&format!("run --limit-steps 3 {exits}")).code, Some(44));
    assert_fails(&format!("run --limit-steps 2 {exits}"), 72, "step 2");
    // With symbols, an error names the location.
    assert_fails(&format!("run --limit-steps 0x10_000 {} -- 30", fib()), 72, "in fib+");
}

#[test]
fn streams_that_fail_give_74() {
    let folder = Folder::new();
    let fib = fib();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for args in
        [vec!["run", &fib], vec!["trace", &fib], vec!["diff", &fib], vec!["info", &fib], vec!["run", "--json", &fib]]
    {
        let outcome = Outcome::from(command(&args).stdout(full()).output().unwrap());
        assert_eq!(outcome.code, Some(74), "{args:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("No space left"), "{args:?}: {}", outcome.stderr);
    }
    // While rows go to tachy's stdout, the guest's stdout goes to stderr.
    let outcome = tachy(&format!("trace -o /dev/full {fib}"));
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    let outcome = tachy(&format!("trace --format rows -o /dev/full {fib}"));
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    let outcome = tachy(&format!("run --json=/dev/full {fib}"));
    assert_eq!(outcome.code, Some(74), "{outcome:?}");
    let nowhere = folder.path("none/file");
    for args in ["trace -o", "trace --format rows -o", "trace --format none --effects", "trace --format none --json="] {
        let separator = if args.ends_with('=') { "" } else { " " };
        assert_fails(&format!("{args}{separator}{nowhere} {fib}"), 74, "No such file");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// trace

const ROWS_HEADER: &str = "step,pc,insn,rs1,rs2,rd,addr,mem_before,mem_after";

/// Steps and words of CSV rows.
fn parse_rows(csv: &str) -> Vec<(u64, [u32; 8])> {
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some(ROWS_HEADER));
    let parse = |line: &str| {
        let mut fields = line.split(',');
        let step = fields.next().unwrap().parse().unwrap();
        let words: Vec<u32> = fields
            .map(|field| {
                let digits = field.strip_prefix("0x").unwrap();
                assert_eq!((digits.len(), digits.to_lowercase()), (8, digits.to_owned()), "{line}");
                u32::from_str_radix(digits, 16).unwrap()
            })
            .collect();
        (step, words.try_into().unwrap())
    };
    lines.map(parse).collect()
}

#[test]
fn a_trace_has_a_line_per_step() {
    let all = tachy(&format!("trace {} -- 10", fib()));
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), "fib(10) = 55 ok\n"));
    let rows = parse_rows(&all.stdout);
    assert!((0..).zip(&rows).all(|(index, (step, _))| index == *step));
    assert!(rows.len() > 500, "{}", rows.len());

    let other = tachy(&format!("trace --interpreter {} -- 10", fib()));
    assert_eq!(other.stdout, all.stdout);

    // Part of a trace equals that part of the whole trace, wherever it is cut.
    let (header, body) = all.stdout.split_at(ROWS_HEADER.len() + 1);
    let lines: Vec<&str> = body.split_inclusive('\n').collect();
    let count = lines.len();
    for (from, to) in [(0, 0), (0, 1), (3, 3), (100, 200), (count - 1, count), (count, count + 1), (5, 1 << 40)] {
        for engine in ["--jit --jit-threshold 0", "--interpreter"] {
            let part = tachy(&format!("trace {engine} --from {from} --to {to} {} -- 10", fib()));
            let expected = lines[from.min(count)..to.min(count)].concat();
            assert_eq!(part.code, Some(0), "{from} {to}: {}", part.stderr);
            assert!(part.stdout == format!("{header}{expected}"), "{engine} --from {from} --to {to}");
        }
    }
    let rest = tachy(&format!("trace --from 0x10 {} -- 10", fib()));
    assert!(rest.stdout == format!("{header}{}", lines[16..].concat()));
}

#[test]
fn a_trace_that_ends_badly_is_whole_up_to_there() {
    let folder = Folder::new();
    let traps = folder.file("traps", &traps());
    let outcome = tachy(&format!("trace {traps}"));
    assert_eq!((outcome.code, parse_rows(&outcome.stdout).len()), (Some(73), 3));
    let endless = folder.file("endless", &endless());
    let outcome = tachy(&format!("trace --limit-steps 10_000 {endless}"));
    assert_eq!((outcome.code, parse_rows(&outcome.stdout).len()), (Some(72), 10_000));
    let outcome = tachy(&format!("trace --limit-steps 10 --from 20 {endless}"));
    assert_eq!((outcome.code, parse_rows(&outcome.stdout).len()), (Some(72), 0));
}

#[test]
fn rows_in_a_file_are_the_rows_of_the_text() {
    let folder = Folder::new();
    let (binary, text, effects) = (folder.path("rows"), folder.path("rows.csv"), folder.path("effects.csv"));
    let outcome = tachy(&format!("trace --format rows -o {binary} --from 7 {} -- 10", fib()));
    // With rows in a file, the guest's output goes to stdout again.
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "fib(10) = 55 ok\n", ""));
    tachy(&format!("trace -o {text} --effects {effects} --from 7 {} -- 10", fib()));
    let expected = parse_rows(&folder.read("rows.csv"));

    let mut rows: Vec<(u64, [u32; 8])> = Vec::new();
    let mut take = |first_step: u64, new: &[Row]| {
        rows.extend((first_step..).zip(new.iter().map(|row| bytemuck::cast(*row))));
    };
    let header = read_rows(&mut File::open(&binary).unwrap(), &mut take).unwrap();
    assert_eq!(rows, expected);
    assert_eq!((header.first_step, header.rows), (7, Some(expected.len() as u64)));

    // On a pipe the header lacks the counts, which are only known at the end.
    let args = ["trace", "--format", "rows", "--from", "7", &fib(), "--", "10"].map(str::to_owned);
    let streamed = command(&args).output().unwrap().stdout;
    let file = fs::read(&binary).unwrap();
    assert_eq!((streamed.len(), file.len()), (96 + expected.len() * ROW_BYTES, file.len()));
    assert!(streamed[96..] == file[96..]);
    assert_eq!(read_rows(&mut streamed.as_slice(), |_, _| {}).unwrap().rows, None);

    let effects = folder.read("effects.csv");
    let lines: Vec<&str> = effects.lines().collect();
    assert_eq!(lines[0], "step,kind,space,addr,before,after");
    assert_eq!(header.effects, Some(lines.len() as u64 - 1));
    // The exit reads a7 and a0 in the last step.
    let last = expected.last().unwrap().0;
    let expected = [
        format!("{last},read,register,0x00000011,0x0000005d,0x0000005d"),
        format!("{last},read,register,0x0000000a,0x00000000,0x00000000"),
    ];
    assert_eq!(lines[lines.len() - 2..], expected);
    assert!(lines.iter().any(|line| line.contains(",read,memory,0x")));
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON

#[test]
fn json_tells_what_a_run_came_to() {
    let folder = Folder::new();
    let path = folder.path("run.json");
    let outcome = tachy(&format!("run --json={path} {} -- 10", fib()));
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "fib(10) = 55 ok\n", ""));
    let facts = json(&folder.read("run.json"));
    let rows = parse_rows(&tachy(&format!("trace {} -- 10", fib())).stdout);
    assert_eq!(facts["engine"], "jit");
    assert_eq!(facts["machine"], "bare");
    assert_eq!(facts["program_digest"].as_str().unwrap().len(), 64);
    assert_eq!(facts["steps"], rows.len());
    assert_eq!(facts["exit"], 0);
    assert_eq!(facts["error"], Value::Null);
    assert_eq!(facts["pc"], rows.last().unwrap().1[0] + 4);
    assert!(facts["seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(facts["rows"], 0);
    assert_eq!(facts["digests"], serde_json::json!({ "rows": null, "effects": null }));
    assert_eq!(facts.get("stats"), None);

    // On stdout there is only the JSON object.
    let outcome = tachy(&format!("run --interpreter --stats --json {} -- 10", fib()));
    assert!(outcome.stderr.starts_with("fib(10) = 55 ok\n"), "{}", outcome.stderr);
    let facts = json(&outcome.stdout);
    assert_eq!(facts["engine"], "interpreter");
    assert_eq!(facts["stats"]["interpreted_steps"], facts["steps"]);
    assert_eq!(facts["stats"]["ecalls"], 2);

    // JSON shows all 32 bits of the code, and `null` for what did not run.
    let exits = folder.file("exits", &exits());
    assert_eq!(json(&tachy(&format!("run --json {exits}")).stdout)["exit"], 300);
    let outcome = tachy(&format!("run --json {}", folder.path("none")));
    let facts = json(&outcome.stdout);
    assert_eq!((outcome.code, &facts["error"]["kind"]), (Some(66), &Value::from("input")));
    assert_eq!(facts["program_digest"], Value::Null);
    let outcome = tachy(&format!("run --json {}", folder.file("empty", b"")));
    assert_eq!((outcome.code, &json(&outcome.stdout)["error"]["kind"]), (Some(65), &Value::from("program")));
}

#[test]
fn json_tells_errors() {
    let folder = Folder::new();
    let program = |name: &str, bytes: Vec<u8>| folder.file(name, &bytes);
    let endless = program("endless", endless());
    let cases = [
        (program("traps", traps()), 73, "trap", Some(3), Some(0x40)),
        (format!("--limit-steps 1000 {endless}"), 72, "step-limit", Some(1000), None),
        (format!("--limit-time 0.01 {endless}"), 72, "time-limit", None, None),
        (format!("--limit-memory 64K {}", program("hungry", hungry())), 71, "memory-limit", None, None),
        (format!("--limit-output 10 {}", program("chatty", chatty())), 72, "output-limit", Some(5), None),
    ];
    for (args, code, kind, step, address) in &cases {
        for command in ["run --jit", "run --interpreter", "trace --format none"] {
            let outcome = tachy(&format!("{command} --json {args}"));
            assert_eq!(outcome.code, Some(*code), "{command} {args}");
            let facts = json(&outcome.stdout);
            assert_eq!(facts["exit"], Value::Null);
            let error = &facts["error"];
            assert_eq!(error["kind"], *kind);
            assert_eq!(error["pc"], facts["pc"]);
            assert_eq!(error["step"], facts["steps"]);
            assert!(step.is_none_or(|step| error["step"] == step), "{error}");
            assert_eq!(error["address"], address.map_or(Value::Null, Value::from));
            assert!(!error["message"].as_str().unwrap().is_empty());
        }
    }
}

#[test]
fn json_of_traces_has_digests_that_engines_share() {
    let trace = |options: &str| {
        let outcome = tachy(&format!("trace --format none --json {options} {} -- 15", fib()));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        json(&outcome.stdout)
    };
    let (jit, interpreter) = (trace("--jit --jit-threshold 0"), trace("--interpreter"));
    assert_eq!(jit["rows"], jit["steps"]);
    let both = trace("--crosscheck --jit-threshold 0");
    assert_eq!(both["engine"], "crosscheck");
    for name in ["digests", "rows", "steps", "exit", "pc", "program_digest"] {
        assert_eq!(jit[name], interpreter[name], "{name}");
        assert_eq!(both[name], interpreter[name], "{name}");
    }
    assert_eq!(jit["digests"]["rows"].as_str().unwrap().len(), 64);
    assert_ne!(jit["digests"]["rows"], jit["digests"]["effects"]);

    // The digest covers the bytes of the rows.
    let folder = Folder::new();
    let (rows, facts) = (folder.path("rows"), folder.path("facts"));
    tachy(&format!("trace --format rows -o {rows} --json={facts} {} -- 15", fib()));
    let bytes = fs::read(&rows).unwrap();
    assert_eq!(jit["digests"]["rows"], blake3::hash(&bytes[96..]).to_string());
    assert_eq!(json(&folder.read("facts"))["digests"], jit["digests"]);

    // A part has its own digest, and a run that pauses has no exit code.
    let part = trace("--from 10 --to 30");
    assert_eq!((&part["rows"], &part["steps"], &part["exit"]), (&20.into(), &30.into(), &Value::Null));
    assert_eq!(part["digests"]["rows"], blake3::hash(&bytes[96 + 320..96 + 960]).to_string());
}

// ---------------------------------------------------------------------------------------------------------------------
// diff and info

#[test]
fn diff_says_how_many_rows_agree() {
    let Outcome { code, stdout, stderr } = tachy(&format!("diff {} -- 18", fib()));
    let steps = json(&tachy(&format!("run --json {} -- 18", fib())).stdout)["steps"].as_u64().unwrap();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.replace(',', ""), format!("{steps} rows agree exit 0\n"));
    assert!(stdout.contains(','), "{stdout}");

    let folder = Folder::new();
    let input = folder.file("input", b"some text");
    let filter = guest("filter").display().to_string();
    let with_input = tachy(&format!("diff --machine bare --stdin {input} {filter}")).stdout;
    assert_ne!(with_input, tachy(&format!("diff {filter}")).stdout);

    let facts = json(&tachy(&format!("diff --json {} -- 18", fib())).stdout);
    assert_eq!((&facts["agree"], &facts["rows"], &facts["exit"]), (&true.into(), &steps.into(), &0.into()));
}

#[test]
fn ending_badly_alike_is_agreeing() {
    let folder = Folder::new();
    let endless = folder.file("endless", &endless());
    let cases = [
        (folder.file("traps", &traps()), "3 rows agree, and both end alike: guest trap"),
        (format!("--limit-steps 70_000 {endless}"), "70,000 rows agree, and both end alike: step limit"),
        (format!("--limit-memory 0 {endless}"), "0 rows agree, and both end alike: memory limit"),
        (format!("--limit-output 40 {}", folder.file("chatty", &chatty())), "alike: output limit"),
        (format!("--limit-memory 1M {}", folder.file("hungry", &hungry())), "alike: memory limit"),
        (format!("--limit-time 0.1 {endless}"), "rows agree so far: time limit"),
    ];
    for (args, expected) in &cases {
        for options in ["", "--jit-threshold 0"] {
            let Outcome { code, stdout, stderr } = tachy(&format!("diff {options} {args}"));
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args}: {stdout}");
            assert!(stdout.contains(expected) && stdout.lines().count() == 1, "{args}: {stdout}");
        }
    }
}

/// Tests the library's function for the same comparison, on all guests.
#[test]
fn the_engines_agree_on_every_guest() {
    let sizes = [("fib", "15"), ("sieve", "3000"), ("quicksort", "400"), ("mix", "1"), ("smc", "300"), ("vm", "20")];
    for (name, size) in sizes {
        let program = tachy::Program::from_elf(&fs::read(guest(name)).unwrap()).unwrap();
        let options = tachy::diff::DiffOptions::default().jit(tachy::JitOptions::eager()).args([name, size]);
        let report = tachy::diff::compare(&program, &options).unwrap();
        assert!(
            matches!(report.verdict, tachy::diff::Verdict::Agree(Ok(tachy::Status::Exited { code: 0 }))),
            "{name}: {report:?}"
        );
        assert!(report.rows > 0 && report.effects > 0);
    }
}

#[test]
fn info_says_what_a_program_is() {
    let folder = Folder::new();
    let Outcome { code, stdout, stderr } = tachy(&format!("info {}", fib()));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for expected in ["program ", "digest ", "0x00010000 _start", "r-x", "rw-", "functions"] {
        assert!(stdout.contains(expected), "{expected} in {stdout}");
    }
    assert!(!stdout.contains("function main"));
    assert!(tachy(&format!("info --symbols {}", fib())).stdout.contains("function main\n"));

    let facts = json(&tachy(&format!("info --json {}", fib())).stdout);
    assert_eq!(facts["entry"], 0x1_0000);
    assert_eq!(facts["segments"][0]["permissions"], "r-x");
    assert_eq!(facts["program_digest"], json(&tachy(&format!("run --json {}", fib())).stdout)["program_digest"]);

    // A program without symbols has no functions.
    let stdout = tachy(&format!("info {}", folder.file("exits", &exits()))).stdout;
    assert!(stdout.contains("entry     0x00010000\n") && stdout.contains("0 functions"), "{stdout}");
}

#[test]
fn bench_measures_both_engines_at_both_levels() {
    let folder = Folder::new();
    let (endless, path) = (folder.file("endless", &endless()), folder.path("bench.json"));
    let steps = json(&tachy(&format!("run --json {} -- 15", fib())).stdout)["steps"].clone();
    let args =
        format!("bench --runs 2 --limit-steps 200_000 --jit-threshold 10 --json={path} {} {endless} -- 15", fib());
    let Outcome { code, stdout, stderr } = tachy(&args);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for expected in ["fib.elf", "endless", "step limit", "geometric mean", "ratio", "KiB", "interpreted"] {
        assert!(stdout.contains(expected), "{expected} in {stdout}");
    }
    let facts = json(&folder.read("bench.json"));
    assert_eq!((&facts["runs"], &facts["error"]), (&2.into(), &Value::Null));
    let programs = facts["programs"].as_array().unwrap();
    let told: Vec<_> = programs.iter().map(|program| (program["steps"].clone(), program["exit"].clone())).collect();
    assert_eq!(told, [(steps, 0.into()), (200_000.into(), Value::Null)]);
    for level in programs.iter().flat_map(|program| [&program["untraced"], &program["rows"]]) {
        let positive = |value: &Value| assert!(value.as_f64().is_some_and(|value| value > 0.0), "{level}");
        for engine in [&level["interpreter"], &level["jit"], &level["compiled"]] {
            positive(&engine["seconds"]);
        }
        positive(&level["ratio"]);
        positive(&level["jit"]["steps_per_second"]);
        positive(&level["compiled"]["code_bytes"]);
        assert!(level["interpreted_share"].as_f64().is_some_and(|share| (0.0..0.5).contains(&share)), "{level}");
    }
}

/// Every guest prints the same from the command line under every engine.
#[test]
fn guests_print_what_their_readme_says() {
    let readme = fs::read_to_string(Path::new(crate::common::ROOT).join("guests/README.md")).unwrap();
    let table = readme.split("Without arguments, for tests").nth(1).unwrap().split("For measurements").next().unwrap();
    let mut seen = 0;
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let path: PathBuf = guest(cells[1]);
        for engine in ["--jit", "--interpreter"] {
            let outcome = tachy(&format!("run {engine} {}", path.display()));
            assert_eq!((outcome.code, outcome.stdout), (Some(0), format!("{}\n", cells[2])), "{}", outcome.stderr);
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}
