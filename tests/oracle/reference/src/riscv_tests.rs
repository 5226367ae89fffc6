//! The riscv-tests that RISC Zero's circuit is tested with. They lie in the dependency's sources and are read from there.
//! It must not know who runs them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use flate2::read::GzDecoder;

/// The circuit's sources, as cargo has unpacked them.
fn sources() -> PathBuf {
    // Only what this host builds: nobody has to have the packages of other systems.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let host = Command::new(rustc).args(["--print", "host-tuple"]).output().expect("rustc runs");
    let host = String::from_utf8(host.stdout).expect("a name of ASCII");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host.trim(), "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("there are packages");
    let circuit = packages.iter().find(|package| package["name"] == "risc0-circuit-rv32im");
    let manifest = circuit.and_then(|package| package["manifest_path"].as_str()).expect("a dependency of ours");
    PathBuf::from(manifest).with_file_name("src")
}

/// All of them by name, as ELFs that run in machine mode.
///
/// # Panics
///
/// If they are not where cargo has unpacked the circuit.
pub fn riscv_tests() -> BTreeMap<String, Vec<u8>> {
    let archive = File::open(sources().join("prove/testdata/riscv-tests.tgz")).expect("the circuit brings its tests");
    let mut elves = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(archive)).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let path = entry.path().expect("a path").into_owned();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
            let mut elf = Vec::new();
            entry.read_to_end(&mut elf).expect("it can be read");
            // Debug information of another system lies beside them.
            if elf.starts_with(b"\x7fELF") {
                elves.insert(name, elf);
            }
        }
    }
    elves
}
