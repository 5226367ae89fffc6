//! Refuses to be built without the C++ that it is for. It must not know how that is built.

fn main() {
    println!("cargo::rerun-if-env-changed=RISC0_SKIP_BUILD_KERNELS");
    if std::env::var_os("RISC0_SKIP_BUILD_KERNELS").is_some() {
        println!(
            "cargo::error=RISC0_SKIP_BUILD_KERNELS is set: run this from the repository's root, \
            cargo test --manifest-path tests/oracle/prove/Cargo.toml"
        );
    }
}
