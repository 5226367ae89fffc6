//! Runs a RISC Zero guest, and collects its journal and the segments that RISC Zero's prover consumes.
//!
//! Tachy executes and does not prove: `cargo run --example risc0_segments`.

use std::error::Error;
use std::io::{self, Write};

use tachy::risc0::host::HostEnv;
use tachy::{Env, Executor, MachineKind, Program};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// Writes what `main` prints, so that a test can check it.
pub fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // `risc0-build` makes such files. `Program::from_risc0_elf` takes the ELF of a user program instead.
    let binary = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/hello.bin"))?;
    let program = Program::from_risc0(&binary)?;
    let executor = Executor::builder().machine(MachineKind::R0vm).build(&program)?;

    // The host answers the guest's calls. Its builder has the names of `ExecutorEnv`: each `write` is a value that the
    // guest reads with `env::read`. With a fixed seed for the guest's random bytes, the run repeats exactly.
    let mut host = HostEnv::builder();
    host.write("world")?.write(&41u32)?.segment_limit_po2(16).random_seed([7; 32]);
    let host = host.build()?;

    // Segments arrive during the run, on a thread that hashes memory. `encode` gives the bytes for the prover.
    let mut segments = Vec::new();
    let env = Env::new().host(host).segments(|segment| {
        segments.push(segment.encode());
        Ok(())
    });
    let outcome = executor.run(env)?;

    let report = outcome.into_report().ok_or("machine r0vm has a report")?;
    let image_id = program.image_id().ok_or("a program binary has an image id")?;
    writeln!(out, "image id {image_id}")?;
    let journal = report.journal.as_ref().ok_or("the guest commits to its journal")?;
    writeln!(out, "journal of {} bytes: {:?}", journal.bytes.len(), String::from_utf8_lossy(&journal.bytes))?;
    writeln!(out, "{} user cycles, {} cycles in total", report.user_cycles, report.total_cycles)?;
    for (index, (cycles, bytes)) in report.each.iter().zip(&segments).enumerate() {
        writeln!(out, "segment {index}: 2^{} cycles, encoded in {} bytes", cycles.po2, bytes.len())?;
    }
    // The claim is the statement that a proof of these segments makes.
    let claim = report.claim().ok_or("the guest has halted")?;
    writeln!(out, "claim {}", claim.digest())?;
    Ok(())
}
