//! Tests the packages as they are published: their files, their dependencies, and their manifests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::ROOT;
use serde_json::Value;

/// The published packages, each after its dependencies.
const PACKAGES: [&str; 4] = ["tachy-runtime", "tachy", "tachy-r0vm", "tachy-cli"];

/// Largest size of a package's files, before compression.
const LIMIT_BYTES: u64 = 3 << 20;

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(ROOT).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// Returns the names of all packages that a package needs at run time.
fn normal_dependencies(package: &str) -> BTreeSet<String> {
    let args = ["tree", "--offline", "--locked", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p}"];
    cargo(&args).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn the_library_does_not_depend_on_what_serves_the_command_line() {
    let terminal =
        ["clap", "clap_builder", "indicatif", "console", "signal-hook", "tempfile", "anstream", "serde_json"];
    let (library, binary) = (normal_dependencies("tachy"), normal_dependencies("tachy-cli"));
    let server = normal_dependencies("tachy-r0vm");
    assert!(!server.contains("risc0-zkvm"), "the server takes nothing of RISC Zero's client");
    for name in terminal {
        assert!(!server.contains(name), "tachy-r0vm depends on {name}");
        assert!(!library.contains(name), "tachy depends on {name}");
        assert!(binary.contains(name), "tachy-cli no longer depends on {name}: correct this test");
    }
    assert!(library.contains("tachy-runtime") && library.contains("cranelift-codegen"), "{library:?}");
}

fn files(package: &str) -> BTreeSet<String> {
    cargo(&["package", "--offline", "--list", "--allow-dirty", "-p", package]).lines().map(str::to_owned).collect()
}

#[test]
fn packages_have_what_their_code_reads_and_are_small() {
    for (package, folder) in PACKAGES.into_iter().zip(["runtime", "", "server", "cli"]) {
        let files = files(package);
        for file in ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT"] {
            assert!(files.contains(file), "{package} has no {file}");
        }
        let folder = Path::new(ROOT).join(folder);
        let bytes: u64 =
            files.iter().filter_map(|file| fs::metadata(folder.join(file)).ok()).map(|file| file.len()).sum();
        assert!((10_000..LIMIT_BYTES).contains(&bytes), "{package}: {bytes} bytes");
        assert!(!files.iter().any(|file| file.starts_with("guests/c/") || file.starts_with("fuzz/")), "{package}");

        // Examples and documentation read files that lie beside the sources.
        let mark = "env!(\"CARGO_MANIFEST_DIR\"), \"/";
        let sources = files.iter().filter(|file| file.ends_with(".rs") && !file.ends_with("tests.rs"));
        for source in sources {
            let text = fs::read_to_string(folder.join(source)).expect("a source is text");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for read in text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(files.contains(read), "{package}: {source} reads {read}, which the package does not have");
            }
        }
    }
}

#[test]
fn manifests_say_what_a_registry_shows() {
    let text = cargo(&["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let is_published = package["publish"].is_null();
        assert_eq!(is_published, PACKAGES.contains(&name), "{name}");
        for key in ["description", "license", "repository", "rust_version"] {
            assert!(package[key].is_string(), "{name} has no {key}");
        }
        if is_published {
            assert!(package["keywords"].as_array().is_some_and(|words| (1..=5).contains(&words.len())), "{name}");
        }
        // Cargo does not package a dependency on a path without a version.
        for dependency in package["dependencies"].as_array().expect("a list") {
            let is_ours = PACKAGES.contains(&dependency["name"].as_str().expect("a name"));
            assert!(!is_ours || dependency["req"] == "^0.1.0", "{name}: {dependency}");
        }
    }
    assert_eq!(packages.len(), PACKAGES.len() + 1, "and xtask");
}
