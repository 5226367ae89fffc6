//! Tests the program `tachy` on RISC Zero's programs, as its users see it: options, output, exit codes, files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{R, X, elf, guest};
use serde_json::{Value, json};
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::risc0::Binary;
use tachy::risc0::host::HostEnv;
use tachy::{Env, Executor, MachineKind, Program};
use tempfile::TempDir;

/// The result of a process.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Outcome {
    /// Parses standard output, which must be exactly one JSON object.
    fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `tachy` with these arguments, separated by spaces.
fn tachy(args: &str) -> Outcome {
    let args = args.split(' ').filter(|arg| !arg.is_empty());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tachy"));
    let output = command.args(args).stdin(Stdio::null()).output().expect("tachy starts");
    let stderr = String::from_utf8(output.stderr).expect("it is text");
    Outcome { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Returns the path of one of R0VM's guests.
fn risc0(name: &str) -> String {
    let path = Path::new(crate::common::ROOT).join("guests/r0vm/bin").join(name).with_extension("bin");
    path.display().to_string()
}

/// A folder that is removed at the end of the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// Writes a file of input words.
    fn words(&self, words: &[u32]) -> String {
        let name: Vec<String> = words.iter().map(u32::to_string).collect();
        self.file(&format!("input-{}", name.join("-")), &bytes(words))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).expect("it was written")
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The input of the guest `hello`: the string "world", the number 41.
fn hello_input() -> Vec<u8> {
    [&bytes(&[5]), b"world\0\0\0".as_slice(), &bytes(&[41])].concat()
}

/// A program in machine mode in place of the kernel, which ends with this word.
fn kernel_that_ends_with(word: i32) -> Vec<u8> {
    let li = |rd, imm: i32| encode(Instruction { op: Op::Addi, rd, rs1: 0, rs2: 0, imm: imm as u32 });
    let ecall = encode(Instruction { op: Op::Ecall, rd: 0, rs1: 0, rs2: 0, imm: 0 });
    let code = bytes(&[li(10, word), li(17, 0), ecall]);
    elf(0xc000_0000, &[(0xc000_0000, &code, R | X)])
}

#[test]
fn a_program_binary_runs_with_its_input() {
    let folder = Folder::new();
    let input = folder.file("input", &hello_input());
    for options in ["", "--interpreter", "--crosscheck", "--machine r0vm", "--execute-only --jit-threshold 0"] {
        for name in ["--input", "--stdin"] {
            let outcome = tachy(&format!("run {options} {name} {input} {}", risc0("hello")));
            assert_eq!(outcome.code, Some(0), "{options}: {outcome:?}");
            assert!(outcome.stdout.starts_with(b"greeting world\n"), "{options}: {outcome:?}");
            assert_eq!(outcome.stderr, "41 so far\n", "{options}");
        }
    }
    let refused = tachy(&format!("run --machine bare {}", risc0("hello")));
    assert_eq!(refused.code, Some(65));
    assert!(refused.stderr.contains("run it on machine r0vm"), "{}", refused.stderr);
}

#[test]
fn json_has_what_the_library_reports() {
    let folder = Folder::new();
    let input = folder.words(&[2, 6, 500]);
    let seed = "0123456789abcdef".repeat(4);
    let options = format!("--json --po2 14 --random-seed {seed} --input {input}");
    let outcome = tachy(&format!("run --stats {options} {}", risc0("recursion")));
    let facts = outcome.json();
    assert_eq!(facts["random_seed"], json!(seed));

    let program = Program::from_risc0(&fs::read(risc0("recursion")).expect("a guest")).expect("a program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("an executor");
    let words = bytes(&[2, 6, 500]);
    let host = HostEnv::builder().segment_limit_po2(14).stdin(words.as_slice()).build().expect("a host");
    let session = executor.run(Env::new().host(host)).expect("it ends");
    let report = session.report().expect("r0vm has one");

    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!((&facts["machine"], &facts["exit"]), (&json!("r0vm"), &json!({ "kind": "halted", "code": 0 })));
    assert_eq!(facts["image_id"], json!(program.image_id().expect("it has one").to_string()));
    assert_eq!(facts["steps"], json!(session.steps()));
    for (name, value) in [
        ("user_cycles", report.user_cycles),
        ("paging_cycles", report.paging_cycles),
        ("reserved_cycles", report.reserved_cycles),
        ("total_cycles", report.total_cycles),
    ] {
        assert_eq!(facts[name], json!(value), "{name}");
    }
    let segments: Vec<Value> = (0..)
        .zip(&report.each)
        .map(|(index, segment): (u64, _)| {
            let (po2, user, paging) = (segment.po2, segment.user_cycles, segment.paging_cycles);
            json!({ "index": index, "po2": po2, "user_cycles": user, "paging_cycles": paging })
        })
        .collect();
    assert!(segments.len() > 3);
    assert_eq!(facts["segments"], json!(segments));
    // Ackermann's function of 2 and 6 is 2 * 6 + 3.
    assert_eq!(facts["journal"].as_str().map(|text| &text[..8]), Some("0f000000"));
    assert_eq!(facts["stats"]["machine_ecalls"]["terminate"], json!({ "calls": 1, "cycles": 2 }));
    assert!(facts["stats"]["syscalls"]["SYS_READ"]["calls"].as_u64().is_some_and(|calls| calls >= 3));
    for name in ["cycles", "segments", "machine ecall", "system call", "ecalls"] {
        assert!(outcome.stderr.lines().any(|line| line.starts_with(name)), "{name} in {}", outcome.stderr);
    }

    // Without hashing, only the time differs, and there is no claim.
    let executed = tachy(&format!("run --execute-only {options} {}", risc0("recursion")));
    let (mut facts, mut executed) = (facts, executed.json());
    for facts in [&mut facts, &mut executed] {
        let facts = facts.as_object_mut().expect("an object");
        facts.remove("seconds");
        facts.remove("stats");
        facts.remove("claim");
    }
    assert_eq!(facts, executed);

    // These fields do not exist on another machine.
    let facts = tachy(&format!("run --json {} -- 5", guest("fib").display())).json();
    assert_eq!((&facts["exit"], facts.get("image_id"), facts.get("segments")), (&json!(0), None, None));
}

#[test]
fn segments_are_files_of_what_the_library_makes() {
    let folder = Folder::new();
    let (input, segments) = (folder.words(&[300, 2]), folder.path("new/segments"));
    let command = format!("run --po2 13 --segments {segments} --input {input} {}", risc0("sparse"));
    assert_eq!(tachy(&command).code, Some(0));

    let program = Program::from_risc0(&fs::read(risc0("sparse")).expect("a guest")).expect("a program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("an executor");
    let words = bytes(&[300, 2]);
    let host = HostEnv::builder().segment_limit_po2(13).stdin(words.as_slice()).build().expect("a host");
    let mut expected = Vec::new();
    let env = Env::new().host(host).segments(|segment| {
        expected.push(segment.encode());
        Ok(())
    });
    drop(executor.run(env).expect("it ends"));
    let mut names: Vec<String> = fs::read_dir(&segments)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"))
        .collect();
    names.sort();
    let numbered: Vec<String> = (0..expected.len()).map(|index| format!("segment-{index:08}.bin")).collect();
    assert!(expected.len() > 3);
    assert_eq!(names, numbered);
    for (name, expected) in names.iter().zip(&expected) {
        assert!(folder.read(&format!("new/segments/{name}")) == *expected, "{name} differs");
    }

    // Old segments in the folder could pass for those of this run.
    let again = tachy(&command);
    assert_eq!(again.code, Some(64));
    assert!(again.stderr.contains("segments of an earlier run; remove them or use another folder"), "{}", again.stderr);
    let contradiction = tachy(&format!("run --execute-only --segments {} {}", folder.path("x"), risc0("sparse")));
    assert_eq!(contradiction.code, Some(64));
    let nothing_to_hash = tachy(&format!("run --hashing-threads 2 {}", risc0("sparse")));
    assert_eq!(nothing_to_hash.code, Some(64));
    assert!(nothing_to_hash.stderr.contains("--segments"), "{}", nothing_to_hash.stderr);
}

#[test]
fn any_number_of_threads_writes_the_same_segments() {
    let folder = Folder::new();
    let input = folder.words(&[25, 2]);
    let segments = |name: &str, options: &str| {
        let path = folder.path(name);
        let outcome = tachy(&format!("run --po2 13 --input {input} --segments {path} {options} {}", risc0("sparse")));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let files = fs::read_dir(&path).expect("the folder of the segments");
        let files = files.map(|file| file.expect("a file").path());
        files.map(|file| (file.file_name().map(ToOwned::to_owned), fs::read(&file).expect("a segment"))).collect()
    };
    let expected: std::collections::BTreeMap<_, Vec<u8>> = segments("default", "");
    assert!(expected.len() > 2, "{}", expected.len());
    for threads in ["0", "1", "2", "5"] {
        let found = segments(threads, &format!("--hashing-threads {threads}"));
        assert!(found == expected, "{threads} threads");
    }
}

#[test]
fn a_pause_is_told_and_is_no_success() {
    let folder = Folder::new();
    let input = folder.words(&[3, 10, 20, 30, 40]);
    let journal = folder.path("journal");
    let outcome = tachy(&format!("run --journal {journal} --input {input} {}", risc0("pause")));
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(75), 0), "{outcome:?}");
    assert!(outcome.stderr.starts_with("tachy: the guest paused with code 1"), "{}", outcome.stderr);
    assert_eq!(folder.read("journal"), bytes(&[0, 10]));
    let facts = tachy(&format!("run --json --input {input} {}", risc0("pause"))).json();
    assert_eq!(facts["exit"], json!({ "kind": "paused", "code": 1 }));
    assert_eq!(facts["journal"], "000000000a000000");
    let diff = tachy(&format!("diff --input {input} {}", risc0("pause")));
    assert_eq!((diff.code, diff.stderr.as_str()), (Some(0), ""));
    assert!(String::from_utf8_lossy(&diff.stdout).ends_with("rows agree, paused with code 1\n"), "{diff:?}");
}

#[test]
fn a_guest_that_pauses_is_resumed() {
    let folder = Folder::new();
    let input = folder.words(&[3, 10, 20, 30, 40]);
    let parts = ["000000000a000000", "010000004a010000", "0200000014280000", "0300000094da0400"];
    let (journal, segments) = (folder.path("journal"), folder.path("segments"));
    for (engine, resume, count) in
        [("--jit", "--resume", 4), ("--interpreter", "--resume=3", 4), ("--crosscheck", "--resume=1", 2)]
    {
        let folder_option = if engine == "--jit" { format!("--segments {segments}") } else { String::new() };
        let options = format!("{engine} {resume} {folder_option} --journal {journal} --input {input}");
        let json = folder.path("json");
        let outcome = tachy(&format!("run --json={json} {options} {}", risc0("pause")));
        let (code, end) = if count == 4 { (0, "halted") } else { (2, "paused") };
        assert_eq!(outcome.code, Some(if count == 4 { 0 } else { 75 }), "{options}: {outcome:?}");
        assert_eq!(outcome.stderr.contains("paused with code 2; --resume"), count == 2, "{outcome:?}");
        let facts: Value = serde_json::from_slice(&folder.read("json")).expect("an object");
        assert_eq!(facts["exit"], json!({ "kind": end, "code": code }));
        assert_eq!(facts["journal"], json!(parts[count - 1]));
        let before = facts["parts_before"].as_array().expect("a list");
        assert_eq!(before.len(), count - 1);
        let steps = before.iter().chain([&facts]).map(|part| part["part_steps"].as_u64().expect("a number"));
        assert_eq!(json!(steps.sum::<u64>()), facts["steps"]);
        for (index, part) in before.iter().enumerate() {
            assert_eq!(part["exit"], json!({ "kind": "paused", "code": index + 1 }));
            assert_eq!((&part["journal"], &part["segments"][0]["index"]), (&json!(parts[index]), &json!(0)));
        }
        // The figures of RISC Zero's executor, from `guests/r0vm/README.md`.
        assert_eq!((&before[0]["user_cycles"], &before[0]["paging_cycles"]), (&json!(2482), &json!(7795)));
        let journals: String = folder.read("journal").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(journals, parts[..count].concat());

        let rows = tachy(&format!("trace --format none --json {resume} --input {input} {}", risc0("pause"))).json();
        assert_eq!((&rows["steps"], &rows["rows"]), (&facts["steps"], &facts["steps"]));
        let without_claims = |facts: &Value| {
            let mut parts = facts["parts_before"].clone();
            for part in parts.as_array_mut().expect("a list") {
                part.as_object_mut().expect("an object").remove("claim");
            }
            parts
        };
        assert_eq!(without_claims(&rows), without_claims(&facts));
    }
    let mut names: Vec<String> = fs::read_dir(&segments)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"))
        .collect();
    names.sort();
    assert_eq!(names, [0, 1, 2, 3].map(|index| format!("segment-{index:08}.bin")));
    // A partial run stops at its step, whether or not the guest pauses.
    let step = |args: &str| tachy(&format!("trace --format none --json {args} {}", risc0("pause"))).json();
    let whole = step(&format!("--resume --input {input}"));
    let steps = whole["steps"].as_u64().expect("a number");
    let tail = step(&format!("--resume --from {} --to {} --input {input}", steps - 20, steps - 10));
    assert_eq!((&tail["steps"], &tail["rows"]), (&json!(steps - 10), &json!(10)));
}

#[test]
fn descriptors_are_files() {
    let folder = Folder::new();
    let (first, second) = (folder.file("first", b"One and\n"), folder.file("second", &b"another ".repeat(200)));
    let (out, err) = (folder.path("out"), folder.path("err"));
    let options = format!("--input {first} --read-fd 4={second} --write-fd 5={out} --write-fd 0x2={err}");
    let outcome = tachy(&format!("run {options} {}", risc0("streams")));
    assert_eq!((outcome.code, outcome.stdout.as_slice(), outcome.stderr.as_str()), (Some(0), &b"ONE AND\n"[..], ""));
    assert!(folder.read("out") == b"ANOTHER ".repeat(200));
    assert_eq!(folder.read("err"), b"streams: done\n");
    // A comparison does not show the guest's output.
    fs::remove_file(&out).expect("it was written");
    assert_eq!(tachy(&format!("diff {options} {}", risc0("streams"))).code, Some(0));
    assert!(!Path::new(&out).exists());

    let streams = risc0("streams");
    let none = folder.path("none/file");
    assert_eq!(tachy(&format!("run --input {first} --write-fd 5={out} {streams}")).code, Some(73));
    assert_eq!(tachy(&format!("run --read-fd 4={none} {streams}")).code, Some(66));
    assert_eq!(tachy(&format!("run --write-fd 5={none} {streams}")).code, Some(74));
}

/// Builds a user program that verifies a claim and a control root in its data, and ends with the low byte of a word of
/// its input digest.
fn program_that_verifies(claim_and_root: [u8; 64], input_word: i32) -> Vec<u8> {
    let (text, data_address) = (0x0020_0800, 0x0020_1000);
    let [t0, a0, a1, a2, a3, a4, s0, t6] = [5, 10, 11, 12, 13, 14, 8, 31];
    let insn = |op, rd, rs1, imm: i32| encode(Instruction { op, rd, rs1, rs2: 0, imm: imm as u32 });
    let li = |rd, imm| insn(Op::Addi, rd, 0, imm);
    let ecall = insn(Op::Ecall, 0, 0, 0);
    let data = |rd| insn(Op::Lui, rd, 0, data_address as i32);
    let input = [li(t0, 1), li(a0, input_word), ecall, insn(Op::Andi, s0, a0, 0xff), insn(Op::Slli, s0, s0, 8)];
    let name = insn(Op::Addi, a2, a2, 64);
    let verify = [li(t6, 14), data(a2), name, data(a3), li(a4, 64), li(a0, 0), li(a1, 0), li(t0, 2), ecall];
    let halt = [insn(Op::Addi, a0, s0, 0), data(a1), li(t0, 0), ecall];
    let code = bytes(&[&input, &verify[..], &halt].concat());
    let data = [&claim_and_root[..], b"risc0_zkvm_platform::syscall::nr::SYS_VERIFY_INTEGRITY\0"].concat();
    elf(text, &[(text, &code, R | X), (data_address, &data, R)])
}

#[test]
fn assumptions_and_the_input_digest_reach_the_guest() {
    let folder = Folder::new();
    let (claim, root, other) = ("11".repeat(32), "22".repeat(32), "33".repeat(32));
    let input = (0..32).map(|byte| format!("{byte:02x}")).collect::<String>();
    for (name, with_root) in [("any root", 0), ("one root", 0x22)] {
        let mut data = [0x11; 64];
        data[32..].fill(with_root);
        let program = folder.file("verifies.elf", &program_that_verifies(data, 3));
        let run = |options: &str| tachy(&format!("run --machine r0vm {options} {program}"));
        // Word 3 of the digest begins with its byte 12.
        let known = format!("--assumption {other} --assumption {claim}:{root} --input-digest {input}");
        assert_eq!(run(&known).code, Some(12), "{name}: {:?}", run(&known));
        assert_eq!(run(&format!("--interpreter --assumption {claim}:{root}")).code, Some(0), "{name}");
        let fails = |options: &str| run(options).code == Some(73);
        assert!(fails("") && fails(&format!("--assumption {other}:{root}")), "{name}");
        // A root that was named excludes all others.
        for options in [format!("--assumption {claim}"), format!("--assumption {claim}:{other}")] {
            assert_eq!(fails(&options), with_root != 0, "{name}: {options}");
        }
    }
}

#[test]
fn an_elf_that_is_not_for_the_kernel_is_refused() {
    let folder = Folder::new();
    let below = folder.file("below.elf", &elf(0x8000, &[(0x8000, &[0x13, 0, 0, 0], R | X)]));
    for program in [guest("fib").display().to_string(), below] {
        for command in ["run", "trace", "diff", "info", "bench"] {
            let outcome = tachy(&format!("{command} --machine r0vm {program}"));
            assert_eq!((outcome.code, outcome.stdout.len()), (Some(65), 0), "{command}: {outcome:?}");
            for part in ["not built for RISC Zero", "riscv32im-risc0-zkvm-elf", "machine bare"] {
                assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
            }
        }
    }
    // A program at another address starts, and then makes a system call that the kernel does not know.
    let (text, ecall) = (0x0020_0800, encode(Instruction { op: Op::Ecall, rd: 0, rs1: 0, rs2: 0, imm: 0 }));
    let t0 = encode(Instruction { op: Op::Addi, rd: 5, rs1: 0, rs2: 0, imm: 99 });
    let linux = folder.file("linux.elf", &elf(text, &[(text, &bytes(&[t0, ecall]), R | X)]));
    let outcome = tachy(&format!("run --machine r0vm {linux}"));
    assert_eq!(outcome.code, Some(73));
    assert!(outcome.stderr.contains("there the kernel stops at a system call"), "{}", outcome.stderr);
}

#[test]
fn the_journal_goes_where_it_shall() {
    let folder = Folder::new();
    let input = folder.file("input", &hello_input());
    let expected = [b"hello, world!".as_slice(), &bytes(&[42])].concat();
    let hello = risc0("hello");
    let file = folder.path("journal");
    for command in ["run", "trace --format none", "diff"] {
        let outcome = tachy(&format!("{command} --journal {file} --input {input} {hello}"));
        assert_eq!((outcome.code, folder.read("journal") == expected), (Some(0), true), "{command}: {outcome:?}");
        // On standard output there is only the journal.
        let outcome = tachy(&format!("{command} --journal - --input {input} {hello}"));
        assert_eq!((outcome.code, outcome.stdout == expected), (Some(0), true), "{command}: {outcome:?}");
    }
    for command in ["run --json", "trace", "diff --json"] {
        let outcome = tachy(&format!("{command} --journal - --input {input} {hello}"));
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{command}: {outcome:?}");
    }
    // A panic discards what the guest wrote before it.
    let outcome = tachy(&format!("run --journal {file} --input {} {}", folder.words(&[0]), risc0("panic")));
    assert_eq!(outcome.code, Some(73));
    assert!(outcome.stderr.contains("the guest panicked: attempt to divide by zero"), "{}", outcome.stderr);
    assert_eq!(folder.read("journal"), b"");
    let outcome = tachy(&format!("run --journal {} --input {input} {hello}", folder.path("none/journal")));
    assert_eq!(outcome.code, Some(74));
}

#[test]
fn arguments_and_variables_are_the_guests() {
    // After reading its arguments and a variable, the guest makes a call that only the user's own host would answer.
    let calls = |args: &str| {
        let outcome = tachy(&format!("run --json --stats {args}"));
        let facts = outcome.json();
        assert_eq!((outcome.code, &facts["error"]["kind"]), (Some(73), &json!("host")), "{outcome:?}");
        assert!(facts["error"]["message"].as_str().is_some_and(|text| text.contains("\"echo\"")), "{outcome:?}");
        let bytes = |name: &str| facts["stats"]["syscalls"][name]["bytes"].as_u64();
        (bytes("SYS_ARGV"), bytes("SYS_GETENV"))
    };
    let calls_bin = risc0("calls");
    assert_eq!(calls(&calls_bin), (None, Some(0)));
    assert_eq!(calls(&format!("--env OTHER=x --env GREETING=hi=lo {calls_bin} -- one three")), (Some(8), Some(5)));
}

#[test]
fn its_options_are_its_own() {
    let fib = guest("fib").display().to_string();
    let (digest, more) = ("00".repeat(32), ["--read-fd 4=x", "--write-fd 5=x", "--resume"]);
    let digests = [format!("--input-digest {digest}"), format!("--assumption {digest}")];
    for option in more.into_iter().chain(digests.iter().map(String::as_str)) {
        let outcome = tachy(&format!("run {option} {fib}"));
        assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{option}: {outcome:?}");
        assert!(outcome.stderr.contains("requires machine r0vm"), "{}", outcome.stderr);
    }
    for option in ["--env A=b", "--po2 20", "--limit-cycles 9", "--journal -", "--segments x", "--execute-only"] {
        for command in ["run", "trace --format none", "diff"] {
            let outcome = tachy(&format!("{command} {option} {fib}"));
            assert_eq!((outcome.code, outcome.stdout.len()), (Some(64), 0), "{command} {option}: {outcome:?}");
            assert!(outcome.stderr.contains("requires machine r0vm"), "{}", outcome.stderr);
        }
    }
    for option in [
        "--env A",
        "--env =b",
        "--po2 12",
        "--po2 25",
        "--limit-cycles many",
        "--read-fd 4",
        "--write-fd 3=x",
        "--assumption 00",
        "--input-digest 0",
        "--resume=x",
    ] {
        assert_eq!(tachy(&format!("run {option} {}", risc0("hello"))).code, Some(64), "{option}");
    }
}

#[test]
fn limits_hit_and_are_told() {
    let folder = Folder::new();
    let input = folder.file("input", &hello_input());
    for (options, code, kind) in [
        ("--limit-cycles 1000", 72, "cycle-limit"),
        ("--limit-output 3", 72, "output-limit"),
        ("--limit-steps 100", 72, "step-limit"),
        ("--limit-memory 10K", 71, "memory-limit"),
    ] {
        for engine in ["--jit", "--interpreter"] {
            let outcome = tachy(&format!("run {engine} --json {options} --input {input} {}", risc0("hello")));
            let facts = outcome.json();
            assert_eq!((outcome.code, &facts["error"]["kind"]), (Some(code), &json!(kind)), "{outcome:?}");
            assert_eq!((&facts["exit"], &facts["journal"]), (&Value::Null, &Value::Null));
        }
    }
}

#[test]
fn traces_and_comparisons_of_a_guest() {
    let folder = Folder::new();
    let input = folder.words(&[200]);
    let smc = risc0("smc");
    let trace = |options: &str| {
        let outcome = tachy(&format!("trace --format none --json {options} --input {input} {smc}"));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.json()
    };
    let (jit, interpreter) = (trace("--jit --jit-threshold 0"), trace("--interpreter"));
    for name in ["digests", "rows", "steps", "exit", "user_cycles", "segments", "journal"] {
        assert!(!jit[name].is_null());
        assert_eq!(jit[name], interpreter[name], "{name}");
    }
    let outcome = tachy(&format!("diff --json --input {input} {smc}"));
    let diff = outcome.json();
    assert_eq!((outcome.code, &diff["agree"]), (Some(0), &json!(true)), "{outcome:?}");
    for name in ["rows", "exit", "user_cycles", "segments", "journal", "image_id"] {
        assert_eq!(diff[name], interpreter[name], "{name}");
    }
    let bench = tachy(&format!("bench --runs 1 {}", risc0("kernel_modes")));
    assert_eq!(bench.code, Some(0), "{bench:?}");
}

#[test]
fn an_elf_gets_its_kernel_or_is_one() {
    let folder = Folder::new();
    let input = folder.file("input", &hello_input());
    let binary = fs::read(risc0("hello")).expect("a guest");
    let user = folder.file("user.elf", Binary::parse(&binary).expect("a program binary").user_elf);
    let (from_elf, from_binary) = (
        tachy(&format!("run --machine r0vm --json --input {input} {user}")).json(),
        tachy(&format!("run --json --input {input} {}", risc0("hello"))).json(),
    );
    for name in ["image_id", "program_digest", "steps", "total_cycles", "journal", "exit"] {
        assert_eq!(from_elf[name], from_binary[name], "{name}");
    }
    let id = from_binary["image_id"].as_str().expect("it has one");
    let line = format!("image id  {id}\n");
    for args in [format!("info {}", risc0("hello")), format!("info --machine r0vm {user}")] {
        let outcome = tachy(&args);
        assert!(String::from_utf8_lossy(&outcome.stdout).contains(&line), "{args}: {outcome:?}");
    }

    let kernel = folder.file("kernel.elf", &kernel_that_ends_with(0));
    let facts = tachy(&format!("run --machine r0vm --json {kernel}")).json();
    assert_eq!(facts["exit"], json!({ "kind": "halted", "code": 0 }));
    assert_eq!((&facts["steps"], &facts["image_id"], &facts["journal"]), (&json!(3), &Value::Null, &Value::Null));
    let senseless = folder.file("senseless.elf", &kernel_that_ends_with(2));
    let outcome = tachy(&format!("run --machine r0vm {senseless}"));
    assert_eq!(outcome.code, Some(73), "{outcome:?}");
    assert!(outcome.stderr.contains("an end of the program with 0x00000002"), "{}", outcome.stderr);
}
