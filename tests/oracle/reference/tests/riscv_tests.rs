//! The riscv-tests that RISC Zero's circuit is tested with, under the reference. They lie in the dependency's sources and
//! are read from there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use flate2::read::GzDecoder;
use oracle_reference::{Environment, Exit, Image, run_image};

/// The circuit's sources, as cargo has unpacked them.
fn sources() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let circuit = packages.iter().find(|package| package["name"] == "risc0-circuit-rv32im");
    let manifest = circuit.and_then(|package| package["manifest_path"].as_str()).expect("a dependency of ours");
    PathBuf::from(manifest).with_file_name("src")
}

fn elves() -> BTreeMap<String, Vec<u8>> {
    let archive = File::open(sources().join("prove/testdata/riscv-tests.tgz")).expect("the circuit brings its tests");
    let mut elves = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let path = entry.path().expect("a path").into_owned();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            let mut elf = Vec::new();
            entry.read_to_end(&mut elf).expect("it can be read");
            elves.insert(name, elf);
        }
    }
    elves
}

#[test]
fn riscv_tests_pass_in_segments_of_any_length() {
    let elves = elves();
    assert_eq!(elves.len(), 46, "{:?}", elves.keys());
    let mut splits = 0;
    for (name, elf) in &elves {
        let image = Image::from_elf(elf).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for po2 in [13, 14, 20] {
            let outcome = run_image(&image, &Environment { po2, ..Environment::default() });
            assert_eq!(outcome.failure, None, "{name} at po2 {po2}");
            assert_eq!(outcome.exit, Some(Exit::Halted(0)), "{name} at po2 {po2}");
            splits += outcome.segments.len() - 1;
        }
    }
    assert!(splits > 46, "{splits} splits");
}
