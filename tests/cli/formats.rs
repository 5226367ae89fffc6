//! Tests the pages of `docs/formats` against what the command line writes: each page's program reads the file and must
//! find what the library says. Without Python the programs cannot run, and the tests say so. The tests compare the
//! columns and headers of the pages in any case.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tachy::risc0::Segment;
use tachy::risc0::host::HostEnv;
use tachy::trace::{EFFECTS_HEADER, ROWS_HEADER, VecSink};
use tachy::{Env, Executor, MachineKind, Program};

fn root() -> &'static Path {
    Path::new(crate::common::ROOT)
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs/formats").join(name)).expect("the page is there")
}

/// Returns the output of a page's program for a file, or `None` without Python.
fn read_by_page(name: &str, file: &Path) -> Option<String> {
    let page = page(name);
    let (_, rest) = page.split_once("```python\n").expect("a page has a program");
    let (program, _) = rest.split_once("```").expect("it ends");
    let output = match Command::new("python3").arg("-c").arg(program).arg(file).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("notice: the program of {name} was not run: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("it is text"))
}

/// Runs the command line in this folder.
fn tachy(folder: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tachy")).args(args).current_dir(folder).output().expect("it runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn guest(name: &str) -> (String, PathBuf) {
    let path = root().join("guests").join(name);
    (path.to_str().expect("a plain path").to_owned(), path)
}

/// Returns the trace of a small guest.
fn traced() -> (VecSink, Program) {
    let (name, path) = guest("bin/fib.elf");
    let program = Program::from_elf(&fs::read(path).expect("it is built")).expect("a good program");
    let mut sink = VecSink::default();
    let executor = Executor::builder().build(&program).expect("a good setting");
    executor.trace(Env::new().args([&name[..], "3"]), &mut sink).expect("it ends");
    (sink, program)
}

/// Compares line by line and shows the first difference.
fn assert_lines(found: &str, expected: &str) {
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {number}");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

/// Joins numbers and names to lines, separated by commas.
fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = Vec<T>>) -> String {
    lines.into_iter().map(|line| line.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[test]
fn rows_are_what_their_page_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (elf, _) = guest("bin/fib.elf");
    tachy(folder.path(), &["trace", "--format", "rows", "-o", "all.rows", &elf, "--", "3"]);
    tachy(
        folder.path(),
        &["trace", "--format", "rows", "--from", "100", "--to", "120", "-o", "part.rows", &elf, "--", "3"],
    );
    let (sink, program) = traced();
    let data = fs::read(folder.path().join("all.rows")).expect("it was written");
    // Reads the file as the page's table says, not with the library's own reader.
    let long = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"));
    assert_eq!((&data[..8], data.len()), (&b"TACHYROW"[..], 96 + 32 * sink.rows.len()));
    assert_eq!(data[8..24], [1, 0, 0, 0, 96, 0, 0, 0, 32, 0, 0, 0, 8, 0, 0, 0]);
    assert_eq!((long(24), long(32), long(40)), (0, sink.rows.len() as u64, sink.effects.len() as u64));
    assert_eq!((&data[48..80], &data[80..96]), (&program.digest()[..], &[0; 16][..]));
    let row = |step: usize| {
        let row = &sink.rows[step];
        let words = [row.pc, row.insn, row.rs1, row.rs2, row.rd, row.addr, row.mem_before, row.mem_after];
        let mut line = vec![step.to_string()];
        line.extend(words.map(|word| format!("{word:#010x}")));
        line
    };
    if let Some(found) = read_by_page("rows.md", &folder.path().join("all.rows")) {
        assert_lines(&found, &lines((0..sink.rows.len()).map(row)));
    }
    if let Some(found) = read_by_page("rows.md", &folder.path().join("part.rows")) {
        assert_lines(&found, &lines((100..120).map(row)));
    }
}

#[test]
fn text_is_what_its_page_says() {
    let page = page("csv.md");
    assert!(page.contains(&format!("`{}`", ROWS_HEADER)) && page.contains(&format!("`{}`", EFFECTS_HEADER)));
    let folder = tempfile::tempdir().expect("a folder");
    let (elf, _) = guest("bin/fib.elf");
    tachy(folder.path(), &["trace", "-o", "rows.csv", "--effects", "effects.csv", &elf, "--", "3"]);
    let (sink, _) = traced();
    if let Some(found) = read_by_page("csv.md", &folder.path().join("rows.csv")) {
        let rows = sink.rows.iter().enumerate().map(|(step, row)| {
            let words = [row.pc, row.insn, row.rs1, row.rs2, row.rd, row.addr, row.mem_before, row.mem_after];
            [step.to_string()].into_iter().chain(words.map(|word| word.to_string())).collect()
        });
        assert_lines(&found, &lines::<String>(rows));
    }
    if let Some(found) = read_by_page("csv.md", &folder.path().join("effects.csv")) {
        let effects = sink.effects.iter().map(|effect| {
            let (kind, space) = (effect.kind().to_string(), effect.space().to_string());
            let numbers = [effect.addr, effect.before, effect.after].map(|word| word.to_string());
            [effect.step.to_string(), kind, space].into_iter().chain(numbers).collect()
        });
        assert_lines(&found, &lines::<String>(effects));
    }
}

#[test]
fn segments_and_reports_are_what_their_pages_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let (binary, path) = guest("r0vm/bin/recursion.bin");
    let input = 3u32.to_le_bytes();
    fs::write(folder.path().join("input"), input).expect("a file");
    tachy(
        folder.path(),
        &["run", "--input", "input", "--po2", "14", "--segments", "segments", "--json=run.json", &binary],
    );
    let program = Program::from_risc0(&fs::read(path).expect("it is built")).expect("a good program");
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program).expect("a good setting");
    let mut segments: Vec<Segment> = Vec::new();
    let host = HostEnv::builder().stdin(&input[..]).build().expect("a good host");
    let env = Env::new().host(host).segment_po2(14).segments(|segment| {
        segments.push(segment.clone());
        Ok(())
    });
    let session = executor.run(env).expect("it ends");
    let steps = session.steps();
    drop(session);
    let count = fs::read_dir(folder.path().join("segments")).expect("a folder of segments").count();
    assert!(count > 1 && count == segments.len(), "{count} files of {} segments", segments.len());
    let mut report = format!("r0vm,{steps},{{'kind': 'halted', 'code': 0}}\n");
    for (number, segment) in segments.iter().enumerate() {
        let file = folder.path().join("segments").join(format!("segment-{number:08}.bin"));
        assert_eq!(fs::read(&file).expect("it was written"), segment.encode());
        let (user, paging, po2) = (segment.user_cycles(), segment.paging_cycles(), segment.po2());
        let (claim, pages) = (segment.claim(), segment.partial_image().pages().len());
        let threshold = segment.threshold();
        let expected =
            format!("{number} {po2} {user} {paging} {threshold} {pages} {} {}\n", claim.pre_state, claim.post_state);
        if let Some(found) = read_by_page("segments.md", &file) {
            assert_lines(&found, &expected);
        }
        report += &format!("{number},{po2},{user},{paging}\n");
    }
    if let Some(found) = read_by_page("json.md", &folder.path().join("run.json")) {
        assert_lines(&found, &report);
    }
    // The page lists every field of a report.
    let text = fs::read_to_string(folder.path().join("run.json")).expect("it was written");
    let object: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let page = page("json.md");
    let named: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for field in object.as_object().expect("an object").keys() {
        assert!(named.iter().any(|cell| cell.split(", ").any(|name| name == field)), "{field} is not on the page");
    }
}
