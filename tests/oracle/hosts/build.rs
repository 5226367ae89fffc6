//! Gives an address to the kernels in C++ that are left out: what would call them is in this program, and never runs.

const KERNELS: [&str; 8] = [
    "keccak_cpu_poly_fp",
    "keccak_cpu_witgen",
    "recursion_cpu_accum",
    "recursion_cpu_eval_check",
    "recursion_cpu_witgen",
    "rv32im_cpu_accum",
    "rv32im_cpu_poly_fp",
    "rv32im_cpu_witgen",
];

fn main() {
    for kernel in KERNELS {
        println!("cargo::rustc-link-arg-bins=-Wl,--defsym=risc0_circuit_{kernel}=0");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
