//! Tests hostile programs: each ends in a typed error or at a limit, within its budget of time, memory and translation,
//! and equally in both engines.
//!
//! Budgets are counted (regions, translated instructions, bytes of code, flushes), never timed. A defect that only
//! makes things slow would hang here. Other files cover the following, and these tests do not repeat it:
//!
//! - accesses at every edge of `bare`'s memory: `tests/it/engine/instructions/memory.rs`
//! - misaligned and odd targets, jumps into data, holes, around the end: `tests/it/engine/instructions/control.rs`
//! - buffers of `bare`'s system calls: `tests/it/engine/instructions/system.rs`
//! - limits of every size: `tests/it/engine/limits.rs`
//! - streams and sinks that fail or lie: `tests/it/api/streams.rs`
//! - damaged ELFs and binaries: `tests/it/program/elf.rs`, `tests/it/risc0/programs.rs`
//! - the host's calls one by one: `tests/it/risc0/host.rs`
//! - `smc`: `tests/it/jit/native.rs`
//! - code that changes while it is translated: `tests/isolated/process/background.rs`

mod accesses;
mod calls;
mod files;
mod images;
mod loops;
mod system_calls;
mod translation;

use crate::common::assembler::Assembler;
use crate::common::cases::short;
use crate::common::engines::{Case, Setup};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::trace::{DigestSink, TraceDigest};
use tachy::{Engine, Env, Error, Executor, JitOptions, Limits, MachineKind, Program, Stats};

/// An address for code of both machines.
const CODE: u32 = 0xc000_0000;
const DATA: u32 = 0xc010_0000;

const MACHINES: [MachineKind; 2] = [MachineKind::Bare, MachineKind::R0vm];

/// Returns the setups that are compared with the interpreter.
fn setups() -> [Setup; 2] {
    [Setup::eager(), Setup::eager().threshold(3).region_instructions(20).buffer_rows(256)]
}

/// Builds writable code and a page of data.
fn case(machine: MachineKind, asm: Assembler) -> Case {
    let segments = vec![
        Segment::from_words(asm.base(), &asm.finish().words, Permissions::RWX),
        Segment::new(DATA, vec![0x5a; 1024], Permissions::RW),
    ];
    short(Case::new(Program::from_segments(CODE, segments).expect("a test's own program")).on(machine))
}

/// How a run ended, as text; its rows; its counters.
struct Run {
    end: String,
    digest: TraceDigest,
    steps: u64,
    stats: Stats,
}

/// Runs a program of any size. Only the rows' state is compared.
fn run(program: &Program, machine: MachineKind, setup: &Setup, limits: Limits) -> Result<Run, Error> {
    let executor = setup.executor(&Case { limits, ..Case::new(program.clone()).on(machine) });
    let mut sink = DigestSink::default();
    let mut session = executor.start(Env::new())?;
    let end = match session.run(&mut sink) {
        Ok(status) => format!("{status:?}"),
        Err(error) => format!("{}: {error}", error.kind()),
    };
    Ok(Run { end, digest: sink.digest(), steps: session.steps(), stats: session.stats() })
}

/// Like [`run`], under both engines, which must not differ. Returns the second one's run.
fn run_alike(program: &Program, machine: MachineKind, setup: &Setup, limits: Limits) -> Run {
    let reference = run(program, machine, &Setup::interpreter(), limits).expect("it starts");
    let other = run(program, machine, setup, limits).expect("it starts");
    let facts = |run: &Run| (run.end.clone(), run.digest, run.steps);
    assert_eq!(facts(&reference), facts(&other), "{machine}, {setup:?}");
    other
}

/// Runs a case in lockstep, whatever it does to itself. Returns how it ended.
fn crosscheck(what: &str, program: &Program, machine: MachineKind, limits: Limits, env: Env<'_>) -> String {
    let mut jit = JitOptions::eager();
    jit.threshold = 2;
    let executor = Executor::builder().machine(machine).engine(Engine::Crosscheck).limits(limits).jit(jit);
    let executor = executor.build(program).expect("good settings");
    let mut session = executor.start(env).expect("it starts");
    match session.run(&mut tachy::NullSink::rows()) {
        Ok(status) => format!("{status:?}"),
        Err(error) => {
            assert!(!matches!(error, Error::Difference(_)), "{what}: {error}");
            error.kind().to_owned()
        }
    }
}

/// Ends a program of either machine with exit code 0.
fn exit(asm: &mut Assembler, machine: MachineKind) {
    asm.li(10, 0);
    asm.li(17, if machine == MachineKind::Bare { 93 } else { 0 });
    asm.op(Op::Ecall, 0, 0, 0, 0);
}
