//! Runs a guest with arguments and limits, and prints its output, its exit code and the first rows of its trace.
//!
//! This is the program to start from when you embed Tachy: `cargo run --example run_guest`.

use std::error::Error;
use std::io::{self, Write};

use tachy::disasm::disassemble;
use tachy::trace::VecSink;
use tachy::{Env, Executor, Limits, MachineKind, Program};

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// Writes what `main` prints, so that a test can check it.
pub fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    // A program is a checked ELF. `from_elf` refuses what Tachy cannot run, and says why.
    let elf = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/guests/bin/fib.elf"))?;
    let program = Program::from_elf(&elf)?;

    // An executor combines a program with an engine and limits. It can run any number of sessions, on any threads, and
    // they share their native code. The default engine is the JIT.
    let limits = Limits::none().steps(1_000_000).memory_bytes(16 << 20);
    let executor = Executor::builder().limits(limits).build(&program)?;

    // An environment is what one run sees: arguments and streams. The first argument is the program's own name.
    let env = || Env::new().args(["fib", "10"]);

    // A run without a trace is the fastest one.
    let mut output = Vec::new();
    let outcome = executor.run(env().stdout(&mut output))?;
    let (code, steps) = (outcome.exit_code().ok_or("the guest has not ended")?, outcome.steps());
    write!(out, "{}", String::from_utf8_lossy(&output))?;
    writeln!(out, "exit code {code} after {steps} steps")?;

    // A sink receives the rows of a trace. This one keeps them, here those of the first five steps.
    let mut trace = VecSink::default();
    executor.start(env())?.run_to(5, &mut trace)?;
    for (step, row) in trace.rows.iter().enumerate() {
        let code = disassemble(row.insn, row.pc, MachineKind::Bare.variant());
        writeln!(out, "{step} {:#010x} {code:<20} rd {:#010x}", row.pc, row.rd)?;
    }
    Ok(())
}
