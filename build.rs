//! Gives the crate an id of what it was built from and how, as the environment variable `BUILD_ID`. Compiled code on
//! disk is only for the build that made it.
//!
//! Both the library and its runtime have this script. It must not know what the sources contain.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut id = Id::new();
    let mut files = vec![root.join("Cargo.toml"), root.join("Cargo.lock")];
    collect(&root.join("src"), &mut files);
    files.sort();
    for path in files {
        // A package from a registry has no lock file of its own.
        let Ok(bytes) = fs::read(&path) else { continue };
        id.add(path.strip_prefix(&root).expect("it lies there").as_os_str().as_encoded_bytes());
        id.add(&bytes);
    }
    for name in ["Cargo.toml", "Cargo.lock", "src"].into_iter().filter(|name| root.join(name).exists()) {
        println!("cargo::rerun-if-changed={name}");
    }
    let is_of_build = |name: &str| {
        ["CARGO_CFG_", "CARGO_FEATURE_"].iter().any(|start| name.starts_with(start))
            || ["TARGET", "OPT_LEVEL", "DEBUG", "PROFILE", "CARGO_PKG_VERSION", "CARGO_ENCODED_RUSTFLAGS"]
                .contains(&name)
    };
    let mut variables: Vec<_> = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_build)).collect();
    variables.sort();
    for (name, value) in variables {
        id.add(name.as_encoded_bytes());
        id.add(value.as_encoded_bytes());
    }
    let rustc = env::var_os("RUSTC").map(|rustc| Command::new(rustc).arg("-vV").output());
    if let Some(Ok(version)) = rustc {
        id.add(&version.stdout);
    }
    println!("cargo::rustc-env=BUILD_ID={:032x}", id.0);
}

/// Adds all files in a folder and its folders.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// FNV-1a with 128 bits. It tells builds apart, and nobody attacks it: who builds chooses the code anyway.
struct Id(u128);

impl Id {
    fn new() -> Id {
        Id(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a length and as many bytes.
    fn add(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}
