//! Tests the layers of the JIT: each imports only those below it, the analyses at the bottom are pure, and the lowering
//! has one match over the table's operations, without a wildcard.
//!
//! It reads text and must not know the library.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the bottom up.
const LAYERS: [&str; 4] = ["analysis", "lowering", "code", "session"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder of the repository").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// Returns the lines of code of a layer: file, number, and the line without its comment.
fn lines(layer: &str) -> Vec<(String, usize, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/jit").join(layer);
    let mut lines = Vec::new();
    for path in rust_files(&folder) {
        let file = path.strip_prefix(&folder).expect("it lies there").display().to_string();
        let text = fs::read_to_string(&path).expect("source is text");
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            lines.push((file.clone(), number, code.to_owned()));
        }
    }
    assert!(lines.len() > 500, "the layer {layer} was not found");
    lines
}

#[test]
fn layers_import_only_those_below_them() {
    let mut findings = Vec::new();
    for (level, layer) in LAYERS.iter().enumerate() {
        for (file, number, line) in lines(layer) {
            let knows_above = LAYERS[level + 1..].iter().any(|above| line.contains(&format!("jit::{above}")));
            // Other layers are imported by their full path, so that this test sees it.
            let goes_around = line.contains("super::super") || (file == "mod.rs" && line.contains("use super::"));
            if knows_above || goes_around {
                findings.push(format!("{layer}/{file}:{number}: {line}"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn analyses_do_not_know_cranelift() {
    let knows = |line: &str| line.contains("cranelift");
    let findings: Vec<_> = lines("analysis").into_iter().filter(|(_, _, line)| knows(line)).collect();
    assert!(findings.is_empty(), "{findings:#?}");
    assert!(lines("lowering").iter().any(|(_, _, line)| knows(line)), "the lowering is where Cranelift is known");
}

/// A new line of the table therefore does not compile until `operations.rs` lowers it. The deliberately wrong lowerings
/// belong to a test.
#[test]
fn one_match_without_a_wildcard_says_how_operations_are_lowered() {
    let names = |line: &str| line.split(|char: char| !char.is_alphanumeric() && char != '_').any(|word| word == "Op");
    let mut findings = Vec::new();
    for (file, number, line) in lines("lowering") {
        let is_here = file == "operations.rs";
        if (names(&line) && !is_here && file != "wrong.rs") || (is_here && line.trim().starts_with("_ =>")) {
            findings.push(format!("{file}:{number}: {line}"));
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}
