//! Checks the repository against the rules of ARCHITECTURE.md and CONTRIBUTING.md: where unsafe code may be, which
//! modules may import which, how every file begins, and that the documents refer to existing files and tests.
//!
//! It reads text and must not know the library.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_LINES: usize = 700;

/// The functions outside runtime/ that may contain unsafe code: here the translator vouches for the code it publishes.
const UNSAFE_CROSSING: [(&str, &str); 3] = [
    ("src/jit/code/cache.rs", "publish_code"),
    ("src/jit/code/cache.rs", "publish_stored_code"),
    ("src/jit/code/cache.rs", "new_generation"),
];

/// Crates that only these paths may use.
const OWNERS: [(&str, &[&str]); 18] = [
    ("goblin", &["src/program/elf.rs", "src/program/elf/", "src/risc0/format/elf.rs"]),
    ("gimli", &["src/program/frames.rs", "src/program/lines.rs"]),
    ("rustc_demangle", &["src/program/demangle.rs", "src/program/demangle/"]),
    ("cpp_demangle", &["src/program/demangle.rs"]),
    ("miniz_oxide", &["src/program/elf/sections.rs", "tests/it/program/debug_sections.rs"]),
    ("ruzstd", &["src/program/elf/sections.rs", "tests/it/program/debug_sections.rs"]),
    // Terminals, signals and shells belong to the command line.
    ("anstream", &["cli/src/"]),
    ("anstyle", &["cli/src/"]),
    ("signal_hook", &["cli/src/interrupt.rs"]),
    ("indicatif", &["cli/src/progress.rs"]),
    ("dashu_int", &["src/risc0/machine/bigint/number.rs"]),
    ("cranelift_codegen", &["src/jit/lowering/", "src/jit/code/", "runtime/src/code.rs", "runtime/src/code/"]),
    ("cranelift_frontend", &["src/jit/lowering/", "src/jit/code/job.rs"]),
    ("cranelift_native", &["src/jit/lowering/abi.rs"]),
    ("cranelift_jit", &["runtime/src/code.rs"]),
    (
        "rustix",
        &[
            "runtime/src/map.rs",
            "runtime/src/map/",
            "src/jit/code/disk.rs",
            "cli/src/waiting.rs",
            "server/src/serve.rs",
        ],
    ),
    (
        "prost",
        &["server/", "fuzz/fuzz_targets/server.rs", "tests/cli/r0vm_server.rs", "tests/oracle/hosts/tests/messages.rs"],
    ),
    ("getrandom", &["src/risc0/host/builder.rs", "cli/src/risc0/seed.rs"]),
];

/// The modules of the library from the bottom up: each may import only those above it in this list. A file belongs to
/// the longest name here that prefixes its module path; a file without one fails the test.
const ORDER: [&str; 34] = [
    // Tables, plain data, words.
    "isa",
    "decode",
    "disasm",
    "printable",
    "stats",
    "status",
    "limits",
    "machine_kind",
    "program",
    "trace",
    "callers",
    "rules",
    "memory",
    // How a run ends, and what is observable of it.
    "error",
    "invariant",
    "overhear",
    "difference",
    "outcome",
    "run",
    // Execution: machines below engines, and each machine separate from the others.
    "machine",
    "interpreter",
    "jit",
    "no_jit",
    "engine",
    "crosscheck",
    "bare",
    "risc0",
    "machines",
    // The public entry points.
    "loading",
    "env",
    "session",
    "diff",
    "risc0::api",
    "guide",
];

/// Modules that must not import each other although the order would allow it.
const APART: [(&str, &[&str]); 5] = [
    ("bare", &["jit", "interpreter", "engine", "crosscheck"]),
    ("risc0", &["bare", "jit", "interpreter", "engine", "crosscheck"]),
    ("jit", &["machine", "run", "difference", "overhear"]),
    ("interpreter", &["run", "difference", "overhear"]),
    ("crosscheck", &["interpreter", "jit", "machine"]),
];

/// A text file of the repository.
struct File {
    /// Relative to the root, with slashes.
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Returns whether it is Rust code of the product or its tests. The guests are separate programs.
    fn is_ours(&self) -> bool {
        self.is_rust() && !self.path.starts_with("guests/") && !self.path.starts_with("tests/debug/source/")
    }

    /// Returns the path of the file's module in the library, as in `risc0::api::env`; `None` for crate roots and other
    /// crates.
    fn module(&self) -> Option<String> {
        let path = self.path.strip_prefix("src/")?.trim_end_matches(".rs").trim_end_matches("/mod");
        (path != "lib").then(|| path.replace('/', "::"))
    }

    /// Returns the text with comments and the contents of quotes blanked out. Lines keep their numbers.
    fn code(&self) -> String {
        code_only(&self.text)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the paths of all files known to git; without git, all files in the folder that were not built.
fn paths() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        let names = String::from_utf8(output.stdout).expect("the repository's names are plain");
        return names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect();
    }
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read") {
            let entry = entry.expect("an entry can be read");
            let built = entry.file_name() == "target" || entry.file_name() == ".git";
            match entry.file_type().expect("an entry has a type").is_dir() {
                true if built => {}
                true => folders.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found
}

/// Returns all text files, without files that were just deleted.
fn files() -> Vec<File> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let path = path.strip_prefix(root()).ok()?.to_str()?.replace('\\', "/");
        Some(File { path, text })
    };
    let files: Vec<File> = paths().into_iter().filter_map(read).collect();
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the repository was not found");
    files
}

fn rust_files() -> Vec<File> {
    files().into_iter().filter(File::is_ours).collect()
}

/// Fails with all findings at once.
fn assert_none(rule: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{rule}:\n  {}\n", findings.join("\n  "));
}

/// Blanks out comments, strings and characters; quotes and line ends stay.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let bytes = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_bytes(rest),
            '"' => quoted_bytes(rest, '"'),
            'r' | 'b' if !after_word && raw_string_bytes(rest).is_some() => raw_string_bytes(rest).unwrap_or(1),
            '\'' if is_character(rest) => quoted_bytes(rest, '\''),
            _ => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        code.extend(rest[..bytes].chars().map(|char| if matches!(char, '\n' | '"') { char } else { ' ' }));
        rest = &rest[bytes..];
    }
    code
}

fn block_comment_bytes(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted_bytes(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if char == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_bytes(text: &str) -> Option<usize> {
    let plain = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let body = plain.trim_start_matches('#');
    let end = format!("\"{}", &plain[..plain.len() - body.len()]);
    let body = body.strip_prefix('"')?;
    Some(text.len() - body.len() + body.find(&end)? + end.len())
}

/// Returns whether a quote begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

fn is_word_part(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Returns the words of a line of code, each with the text after it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let starts = line.char_indices().filter(|&(at, char)| is_word_part(char) && !line[..at].ends_with(is_word_part));
    starts.map(|(at, _)| {
        let rest = &line[at..];
        rest.split_at(rest.find(|char| !is_word_part(char)).unwrap_or(rest.len()))
    })
}

fn has_word(line: &str, word: &str) -> bool {
    words(line).any(|(found, _)| found == word)
}

/// Returns the name of the function that a line declares.
fn declared_function(line: &str) -> Option<&str> {
    let (_, rest) = words(line).find(|(word, _)| *word == "fn")?;
    words(rest).next().map(|(name, _)| name)
}

#[test]
fn unsafe_code_stands_in_the_runtime_and_at_the_crossing_alone() {
    let mut findings = Vec::new();
    let mut unused = UNSAFE_CROSSING.to_vec();
    for file in rust_files().iter().filter(|file| !file.path.starts_with("runtime/src/")) {
        let mut function = "";
        let code = file.code();
        for (number, line) in (1..).zip(code.lines()) {
            function = declared_function(line).unwrap_or(function);
            if has_word(line, "unsafe") {
                let place = (file.path.as_str(), function);
                unused.retain(|crossing| *crossing != place);
                if !UNSAFE_CROSSING.contains(&place) {
                    findings.push(format!("{}:{number}, in {function}", file.path));
                }
            }
            let allowed = UNSAFE_CROSSING.iter().any(|(path, _)| *path == file.path);
            if line.contains("allow(unsafe_code)") && !allowed {
                findings.push(format!("{}:{number} allows it", file.path));
            }
        }
    }
    findings.extend(unused.iter().map(|(path, function)| format!("{path}: none in {function}, where it is expected")));
    assert_none("unsafe code outside runtime/src and the crossing", findings);
    for (crate_root, attribute) in [
        ("src/lib.rs", "#![deny(unsafe_code)]"),
        ("cli/src/main.rs", "#![forbid(unsafe_code)]"),
        ("xtask/src/main.rs", "#![forbid(unsafe_code)]"),
    ] {
        let text = fs::read_to_string(root().join(crate_root)).expect("the crate has a root");
        assert!(text.lines().any(|line| line == attribute), "{crate_root} must say {attribute}");
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut findings = Vec::new();
    for file in rust_files() {
        let code = file.code();
        let (lines, code): (Vec<&str>, Vec<&str>) = (file.text.lines().collect(), code.lines().collect());
        for (index, line) in code.iter().enumerate() {
            let claims = words(line).any(|(word, rest)| {
                let next = rest.trim_start();
                word == "unsafe" && (next.is_empty() || next.starts_with('{') || next.starts_with("impl"))
            });
            if claims && !is_argued(&lines, &code, index) {
                findings.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    assert_none("unsafe without a SAFETY comment just above its statement", findings);
}

/// Returns whether a SAFETY comment precedes the statement that contains line `index`.
fn is_argued(lines: &[&str], code: &[&str], index: usize) -> bool {
    let mut above = (0..index).rev();
    // Skips the rest of the statement, if it began on an earlier line.
    let comment = above.find(|&line| {
        let text = code[line].trim();
        text.is_empty() || text.ends_with([';', '{', '}', ','])
    });
    let is_comment = |line: &usize| lines[*line].trim_start().starts_with("//");
    comment.is_some_and(|last| (0..=last).rev().take_while(is_comment).any(|line| lines[line].contains("SAFETY: ")))
}

/// Returns the index in [`ORDER`] of the module that contains a path.
fn level(path: &str) -> Option<usize> {
    let is_in = |module: &str| path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    (0..ORDER.len()).filter(|&level| is_in(ORDER[level])).max_by_key(|&level| ORDER[level].len())
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let apart: BTreeMap<&str, &[&str]> = APART.into_iter().collect();
    let mut findings = Vec::new();
    let mut seen = [false; ORDER.len()];
    for file in rust_files() {
        let Some(path) = file.module() else { continue };
        let Some(own) = level(&path) else {
            findings.push(format!("{}: {path} has no place in the order", file.path));
            continue;
        };
        seen[own] = true;
        // Unit tests may import anything for their setup.
        if file.path.ends_with("/tests.rs") {
            continue;
        }
        let module = ORDER[own];
        let foreign = apart.get(module).copied().unwrap_or_default();
        for (number, line) in (1..).zip(file.code().lines()) {
            for (_, rest) in words(line).filter(|(word, _)| *word == "crate") {
                if rest.starts_with("::{") || rest.starts_with("::*") {
                    findings.push(format!("{}:{number}: import by module, for this test to see", file.path));
                }
                let import = rest.strip_prefix("::").and_then(|rest| words(rest).next()).map(|(name, _)| name);
                // The root's re-exports are for callers.
                let Some(imported) = import.and_then(level) else { continue };
                if imported > own {
                    findings.push(format!("{}:{number}: {module} lies below {}", file.path, ORDER[imported]));
                }
                if foreign.contains(&ORDER[imported]) {
                    findings.push(format!("{}:{number}: {module} knows {}", file.path, ORDER[imported]));
                }
            }
        }
    }
    findings.extend((0..ORDER.len()).filter(|&level| !seen[level]).map(|level| format!("no module {}", ORDER[level])));
    assert_none("imports against the order", findings);
}

#[test]
fn the_runtime_knows_nothing_of_the_library() {
    let runtime = fs::read_to_string(root().join("runtime/Cargo.toml")).expect("the runtime has a manifest");
    assert!(!runtime.lines().any(|line| line.starts_with("tachy ") || line.starts_with("tachy=")), "{runtime}");
}

#[test]
fn foreign_crates_are_known_where_they_belong() {
    let mut findings = Vec::new();
    for file in rust_files() {
        for (number, line) in (1..).zip(file.code().lines()) {
            for (foreign, places) in OWNERS {
                if has_word(line, foreign) && !places.iter().any(|place| file.path.starts_with(place)) {
                    findings.push(format!("{}:{number} knows {foreign}", file.path));
                }
            }
        }
    }
    assert_none("a crate known outside its place", findings);
}

#[test]
fn the_library_prints_nothing() {
    let is_library = |file: &File| match file.module() {
        Some(_) => true,
        None => file.path == "src/lib.rs" || file.path.starts_with("runtime/src/"),
    };
    let mut findings = Vec::new();
    for file in rust_files().iter().filter(|file| is_library(file)) {
        for (number, line) in (1..).zip(file.code().lines()) {
            let prints = |(word, rest): (&str, &str)| match word {
                "print" | "println" | "eprint" | "eprintln" | "dbg" => rest.starts_with('!'),
                "stdout" | "stderr" => rest.starts_with("()"),
                _ => false,
            };
            if words(line).any(prints) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none("the library prints", findings);
}

/// A guest chooses addresses. With a known hasher, it could make a map arbitrarily slow.
#[test]
fn hashers_are_seeded() {
    let unseeded = ["rustc_hash", "BuildHasherDefault", "FxHash", "FxBuild", "FixedState", "DefaultHasher"];
    let mut findings = Vec::new();
    for file in rust_files().iter().filter(|file| !file.path.starts_with("tests/")) {
        for (number, line) in (1..).zip(file.code().lines()) {
            if unseeded.iter().any(|name| line.contains(name)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    assert_none("a hasher that is the same in each process", findings);
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let begins = |file: &File| file.text.starts_with("//! ");
    let findings = files().into_iter().filter(|file| file.is_rust() && !begins(file)).map(|file| file.path).collect();
    assert_none("no `//!` in the first line", findings);
}

#[test]
fn files_fit_in_the_head() {
    let long = |file: &File| file.text.lines().count() > MAX_LINES;
    let written = files().into_iter().filter(|file| file.is_rust() || file.path.ends_with(".md"));
    assert_none(&format!("more than {MAX_LINES} lines"), written.filter(long).map(|file| file.path).collect());
}

#[test]
fn nothing_is_left_for_later_in_the_text() {
    // Split, so that this file does not match itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")];
    assert_none("an unfinished place", lines_with(&marks));
}

#[test]
fn the_text_names_no_machine() {
    let folders = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    assert_none("a path of someone's machine", lines_with(&folders));
}

/// Returns all lines of text that contain one of these.
fn lines_with(marks: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    found
}

/// Returns the guests in a folder of binaries that are missing in its README's table, or that have no source.
fn undocumented_guests(folder: &str, source: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let documented = fs::read_to_string(root().join(folder).join("README.md")).expect("the guests have a README");
    let mut findings = Vec::new();
    for entry in fs::read_dir(root().join(folder).join("bin")).expect("the guests are built") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("guests have plain names").to_owned();
        let line = documented.lines().find(|line| line.starts_with(&format!("| `{name}` | ")));
        let language = line.and_then(|line| line.split(" | ").nth(1));
        let Some(source) = language.and_then(|language| source(&name, language)) else {
            findings.push(format!("{name}: not in the table of {folder}/README.md with its language"));
            continue;
        };
        if !root().join(&source).exists() {
            findings.push(format!("{name}: no {source}"));
        }
    }
    findings
}

#[test]
fn every_guest_is_documented_and_has_a_source() {
    let findings = undocumented_guests("guests", |name, language| match language {
        "C" => Some(format!("guests/c/{name}.c")),
        "Rust" => Some("guests/rust/src/main.rs".to_owned()),
        _ => None,
    });
    assert_none("guests", findings);
}

#[test]
fn every_guest_of_r0vm_is_documented_and_has_a_source() {
    let findings = undocumented_guests("guests/r0vm", |name, language| match language {
        "C" => Some(format!("guests/r0vm/c/{name}.c")),
        "Rust" => Some(format!("guests/r0vm/rust/src/bin/{name}.rs")),
        "Rust, programs" => Some(format!("guests/r0vm/programs/src/bin/{name}.rs")),
        "C, on linux.c" => Some(format!("guests/c/{name}.c")),
        "assembly" => name.strip_prefix("kernel_").map(|name| format!("guests/r0vm/kernel/{name}.S")),
        _ => None,
    });
    assert_none("guests of r0vm", findings);
}

/// Prefixes of the paths that documents refer to.
const NAMED_FOLDERS: [&str; 12] = [
    ".ci/",
    "cli/",
    "benches/",
    "docs/",
    "examples/",
    "fuzz/",
    "guests/",
    "runtime/",
    "src/",
    "tests/",
    "xtask/",
    "LICENSE-",
];

/// `src/isa.rs` in a document must exist, and for `tests/it/engine/guests.rs::some_test` the test must exist, too.
#[test]
fn documents_name_what_exists() {
    let mut findings = Vec::new();
    for file in files()
        .iter()
        .filter(|file| file.path.ends_with(".md") && (!file.path.contains('/') || file.path.starts_with("docs/")))
    {
        for (number, line) in (1..).zip(file.text.lines()) {
            for quoted in line.split('`').skip(1).step_by(2) {
                let (path, function) = quoted.split_once("::").unwrap_or((quoted, ""));
                let is_path = NAMED_FOLDERS.iter().any(|folder| path.starts_with(folder));
                if !is_path || path.contains([' ', '*', '<']) {
                    continue;
                }
                let named = root().join(path);
                let declares = |text: String| text.lines().any(|line| declared_function(line) == Some(function));
                if !named.exists() {
                    findings.push(format!("{}:{number}: no {path}", file.path));
                } else if !function.is_empty() && !fs::read_to_string(named).is_ok_and(declares) {
                    findings.push(format!("{}:{number}: no {function} in {path}", file.path));
                }
            }
        }
    }
    assert_none("a document names what is not there", findings);
}

/// Returns whether the path refers to tests: a test function, a file that has some, or a folder with such files.
/// `main.rs` and `mod.rs` stand for their whole folder.
fn is_test(named: &str) -> bool {
    let (path, function) = named.split_once("::").unwrap_or((named, ""));
    let folder = path.trim_end_matches("/main.rs").trim_end_matches("/mod.rs");
    let folder = format!("{}/", folder.trim_end_matches('/'));
    let is_meant = |file: &&File| file.path == path || (function.is_empty() && file.path.starts_with(&folder));
    let files = rust_files();
    let is_declared = |file: &File| {
        let lines: Vec<&str> = file.text.lines().collect();
        (0..lines.len()).filter(|&line| lines[line].trim() == "#[test]").any(|line| {
            let declared = lines[line..].iter().find_map(|line| declared_function(line));
            function.is_empty() || declared == Some(function)
        })
    };
    files.iter().filter(is_meant).any(is_declared)
}

/// Each line of the table of invariants names at least one test that holds it, and everything that it calls a test is
/// one.
#[test]
fn every_invariant_is_held_by_tests() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("there is one");
    let table = text.split("\n## ").find(|section| section.starts_with("Invariants\n")).expect("it has invariants");
    let lines = table.lines().filter(|line| line.starts_with('|') && line.contains('`'));
    let mut findings = Vec::new();
    let mut count = 0;
    for (number, line) in (1..).zip(lines) {
        count = number;
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, place, _, holders, _] = cells[..] else { panic!("three columns: {line}") };
        assert_eq!(place, number.to_string(), "numbered one by one");
        let holders: Vec<&str> = holders.split('`').skip(1).step_by(2).collect();
        // Files in the folders of tests, or unit tests by name.
        let is_named =
            |path: &&str| path.starts_with("tests/") || (path.contains(".rs::") && !path.starts_with("fuzz/"));
        let (tests, others): (Vec<&str>, Vec<&str>) = holders.iter().copied().partition(is_named);
        if tests.is_empty() {
            findings.push(format!("invariant {number} names no test, only {others:?}"));
        }
        findings.extend(tests.iter().filter(|path| !is_test(path)).map(|path| format!("invariant {number}: {path}")));
    }
    assert!(count > 0, "the table was not found");
    assert_none("held by what is no test", findings);
    assert!(is_test("tests/tidy.rs::every_invariant_is_held_by_tests") && is_test("tests/it/hostile/mod.rs"));
    assert!(!is_test("tests/tidy.rs::is_test") && !is_test("tests/common/mod.rs") && !is_test("tests/nowhere.rs"));
}

/// Returns the lines between ```language and ``` of a document, block by block.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<Vec<&'a str>> {
    let start = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.any(|line| line == start) {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").collect());
    }
    blocks
}

/// CI runs the README's set-up commands, and the documentation's tests include its example.
#[test]
fn the_readme_shows_what_is_tested() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("it is part of the repository");
    let (readme, ci, session) = (read("README.md"), read(".ci/run"), read("src/session.rs"));
    let setup = blocks(&readme, "sh").into_iter().next().expect("the README has a block of set-up commands");
    assert_eq!(setup.len(), 2, "two commands: one does the main job, one tests");
    for command in setup {
        assert!(ci.lines().any(|line| line == command), ".ci/run does not run `{command}`");
    }
    let example = blocks(&readme, "rust").concat();
    let documentation = session.lines().filter_map(|line| line.strip_prefix("///"));
    let documentation: Vec<&str> = documentation.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    assert!(!example.is_empty() && documentation.windows(example.len()).any(|lines| lines == example), "{example:#?}");
}

#[test]
fn comments_and_strings_are_no_code() {
    let text =
        "let a = \"unsafe // \\\" x\"; // unsafe\nr#\"unsafe \" \"#; /* unsafe /* */ unsafe */ 'a' '\\'' b: &'a str";
    let code = code_only(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 2);
    assert!(!has_word(&code, "unsafe") && !has_word(&code, "x"), "{code}");
    assert!(has_word(&code, "let") && has_word(&code, "str") && code.contains("&'a str"), "{code}");
    assert!(!has_word("unsafe_divisor(deny(unsafe_code))", "unsafe"));
    assert_eq!(declared_function("    pub(crate) unsafe extern fn name<T>("), Some("name"));
}
