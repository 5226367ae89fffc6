//! Tests subcommands that are programs of their own: where they are looked for, and what they get.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const TACHY: &str = env!("CARGO_BIN_EXE_tachy");

/// Writes a program that prints its arguments.
fn write_program(folder: &Path) {
    let path = folder.join("tachy-prove");
    fs::write(&path, "#!/bin/sh\necho \"from $(dirname \"$0\"):\" \"$@\"\nexit 7\n").expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

fn prove(folder: &Path, path: &str) -> Output {
    let mut command = Command::new(TACHY);
    command.args(["prove", "a b", "--po2", "14", "--help"]).current_dir(folder).env("PATH", path);
    command.output().expect("tachy starts")
}

#[test]
fn a_program_is_found_in_path_and_gets_all_arguments() {
    let folder = tempfile::tempdir().expect("the system has files");
    write_program(folder.path());
    let output = prove(Path::new("/"), &format!("/nonexistent:{}:/bin", folder.path().display()));
    let expected = format!("from {}: a b --po2 14 --help\n", folder.path().display());
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout)), (Some(7), expected.into()));
}

#[test]
fn a_program_in_the_current_folder_is_not_started() {
    let folder = tempfile::tempdir().expect("the system has files");
    write_program(folder.path());
    for path in ["", ".", ":/nonexistent", "./", "../"] {
        let output = prove(folder.path(), path);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("install the package tachy-prove"), "{path:?}: {text}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0), "{path:?}");
    }
}
