//! Tests that system calls stay in native code: a user's ecall, the kernel behind it, the kernel's own ecalls and the
//! return do not leave it. Counts are exact, because nothing is translated in the background.

use std::fs;
use std::path::Path;

use tachy::risc0::host::HostEnv;
use tachy::{Env, Executor, JitOptions, MachineKind, NullSink, Program, Stats};

/// Runs a guest of R0VM on these words of input. Returns its counts, and those of machine ecalls by name.
fn run(guest: &str, input: &[u32]) -> (Stats, Vec<(String, u64)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("guests/r0vm/bin/{guest}.bin"));
    let program = Program::from_risc0(&fs::read(path).expect("a guest")).expect("a program");
    // Everything that repeats is translated at once.
    let mut jit = JitOptions::eager();
    jit.threshold = 2;
    let executor = Executor::builder().machine(MachineKind::R0vm).jit(jit).build(&program).expect("an executor");
    let bytes: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    let host = HostEnv::builder().stdin(&bytes[..]).build().expect("a host");
    let mut session = executor.start(Env::new().host(host)).expect("it starts");
    session.run(&mut NullSink::off()).expect("it ends");
    let report = session.report().expect("r0vm has one");
    let calls = report.ecalls.iter().map(|(name, count)| ((*name).to_owned(), count.calls)).collect();
    (session.stats(), calls)
}

/// Each call of an accelerator is one ecall of the user and one of the kernel. Once both are translated, it leaves native
/// code only for what is new.
#[test]
fn calls_of_accelerators_stay_in_native_code() {
    for (guest, input, accelerator) in [
        ("ecdsa_bigint", &[4][..], "bigint"),
        ("p256", &[4, 0], "bigint"),
        ("rsa", &[60], "bigint"),
        ("merkle", &[8, 30], "sha2"),
    ] {
        let (stats, calls) = run(guest, input);
        let calls = calls.iter().find(|(name, _)| name == accelerator).expect("it is counted").1;
        assert!(calls > 20, "{guest}: {calls} calls of {accelerator}");
        assert!(4 * stats.entries <= calls, "{guest}: {calls} calls of {accelerator}, {stats:?}");
    }
}

/// A call that the host answers is one ecall of the user and at least two reads of the kernel.
#[test]
fn calls_of_the_host_stay_in_native_code() {
    let (stats, calls) = run("keccak", &[20_000, 0]);
    let reads = calls.iter().find(|(name, _)| name == "read").expect("it is counted").1;
    assert!(reads > 100 && 2 * stats.entries <= reads, "{reads} reads, {stats:?}");
}
