//! Tests what a session may do after each kind of failure: the table of docs/failures.md, cell by cell.
//!
//! Each test fails one call of the caller's code, at every point in turn. It catches the failure, continues the run,
//! and compares everything with a run without failures.

mod ends;
mod events;
mod faults;
mod hosts;
mod limits;
mod mixed;
mod pauses;
mod segments;
mod sinks;
mod streams;
mod subjects;

use std::collections::BTreeSet;

/// Each line of the table names its tests, and all of them exist.
#[test]
fn every_line_of_the_table_is_held() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (mut lines, mut named) = (0, BTreeSet::new());
    for line in
        read("docs/failures.md").lines().filter(|line| line.starts_with("| ") && !line.starts_with("| -")).skip(1)
    {
        lines += 1;
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 5, "{line}");
        let holders: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        assert!(!holders.is_empty(), "{line}");
        for holder in holders {
            let (path, test) = holder.split_once("::").unwrap_or_else(|| panic!("{holder} names no test"));
            assert!(read(path).contains(&format!("fn {test}()")), "no {holder}");
            named.insert(test.to_owned());
        }
    }
    assert!(lines > 25, "{lines}");
    // Every test here is in the table.
    for file in std::fs::read_dir(root.join("tests/it/api/failures")).expect("this test") {
        let path = file.expect("an entry can be read").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        let tests = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
        for (test, _) in tests {
            assert!(
                path.ends_with("mod.rs") || path.ends_with("mixed.rs") || named.contains(test),
                "{test} holds no line of the table"
            );
        }
    }
}
