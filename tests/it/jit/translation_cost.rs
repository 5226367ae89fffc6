//! Tests the cost of translation: no program takes noticeably more work than under the interpreter alone, whatever it
//! does.
//!
//! Work is counted in interpreted steps, from the counters of a session with synchronous translation. The prices of a
//! native step, an entry into native code, a region and an instruction in it were measured once
//! (`src/jit/code/price.rs`). `cargo xtask processor-time` measures the same programs in processor time.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, DATA, chain, exit, flat, guest};
use crate::common::engines::{Case, Setup};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, JitOptions, NullSink, Program, Stats};

/// Prices in interpreted steps: of an entry, a region, an instruction in it. Five native steps count as one
/// interpreted step; they take that long or less, so native code gets no undue credit.
const NATIVE_STEPS: u64 = 5;
const ENTRY: u64 = 24;
const REGION: u64 = 33_000;
const INSTRUCTION: u64 = 3_600;
/// The price of a byte of code, where that gives more.
const BYTE: u64 = 96;
/// 5 ms of interpreted steps.
const FREE: u64 = 1_500_000;

fn work(steps: u64, stats: &Stats) -> u64 {
    let native = (steps - stats.interpreted_steps) / NATIVE_STEPS;
    let translation = stats.regions * REGION + stats.translated_instructions * INSTRUCTION;
    stats.interpreted_steps + native + stats.entries * ENTRY + translation
}

/// Runs a case to its end or its limit. Returns its steps and counters.
fn run(what: &str, case: &Case) -> (u64, Stats) {
    let executor = Setup::jit(JitOptions::default()).background(false).executor(case);
    let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
    let mut session = executor.start(env).expect("it starts");
    if let Err(error) = session.run(&mut NullSink::off()) {
        assert_eq!(error.kind(), "step-limit", "{what}: {error}");
    }
    let (steps, stats) = (session.steps(), session.stats());
    let (work, allowed) = (work(steps, &stats), steps + steps / 10 + FREE);
    assert!(work <= allowed, "{what}: {work} units of work, {allowed} allowed for {steps} steps: {stats:?}");
    println!("{what}: {:.3} of the interpreter's work", work as f64 / steps as f64);
    (steps, stats)
}

#[test]
fn flat_profiles() {
    for (functions, rounds) in [(200, 6_000), (2_000, 600), (20_000, 60), (20_000, 300)] {
        run(&format!("{functions} functions in {rounds} rounds"), &flat(functions, rounds));
    }
    // If there are few enough to pay off, they become native.
    let (steps, stats) = run("200 functions in 60,000 rounds", &flat(200, 60_000));
    assert!(stats.interpreted_steps < steps / 4, "{stats:?}");
    let (steps, stats) = run("2,000 functions in 60,000 rounds", &flat(2_000, 60_000));
    assert!(stats.interpreted_steps < steps / 4 * 3, "{stats:?}");
}

#[test]
fn chains() {
    for (places, rounds) in [(40, 20_000), (200, 2_000), (400, 2_000)] {
        run(&format!("a chain of {places} in {rounds} rounds"), &chain(places, rounds));
    }
}

/// Functions in which each load gives the address of the next one. Each needs its own checks, so there is far more code
/// than the number of instructions suggests. That costs time as well, which must be paid for before more is translated.
#[test]
fn much_code_for_each_instruction() {
    const FUNCTIONS: u32 = 150;
    const LOADS: u32 = 200;
    const ROUNDS: u32 = 2_000;
    let mut asm = Assembler::new(CODE);
    asm.li(6, ROUNDS);
    asm.li(5, DATA);
    let top = asm.label_here();
    let done = asm.label();
    let functions: Vec<_> = (0..FUNCTIONS).map(|_| asm.label()).collect();
    functions.iter().for_each(|&function| asm.jal(1, function));
    asm.i(Op::Addi, 6, 6, -1);
    asm.branch(Op::Beq, 6, 0, done);
    asm.jal(0, top);
    asm.place(done);
    exit(&mut asm);
    for function in functions {
        asm.place(function);
        (0..LOADS).for_each(|_| asm.i(Op::Lw, 5, 5, 0));
        asm.i(Op::Jalr, 0, 1, 0);
    }
    let segments = vec![
        Segment::from_words(CODE, &asm.finish().words, Permissions::RX),
        Segment::from_words(DATA, &[DATA], Permissions::RW),
    ];
    let case = Case::new(Program::from_segments(CODE, segments).expect("a test's own program"));
    let (steps, stats) = run("functions of loads", &case);
    let by_instructions = stats.regions * REGION + stats.translated_instructions * INSTRUCTION;
    let by_bytes = stats.code_bytes * BYTE;
    assert!(by_bytes > 2 * by_instructions, "{stats:?}");
    // The free budget, the share of all steps, the time that native code saved, and the last region.
    let earned = 750_000 + steps / 28 + (steps - stats.interpreted_steps);
    let last = 256 * INSTRUCTION * 3;
    assert!(by_bytes <= earned + last, "{by_bytes} units by bytes, {earned} earned: {stats:?}");
}

#[test]
fn guests_of_any_length() {
    for name in ["fib", "sieve", "sha256", "quicksort", "vm", "mix", "brk", "smc", "rust_mix"] {
        for steps in [10_000, 300_000, 3_000_000, 30_000_000, 200_000_000] {
            let args: &[&str] = match name {
                "fib" => &["36"],
                "sieve" => &["3000000", "12"],
                "sha256" => &["100000"],
                "quicksort" => &["250000", "8"],
                "vm" => &["14000"],
                "mix" => &["5500"],
                "brk" => &["4000"],
                "smc" => &["400000"],
                _ => &["60"],
            };
            let case = guest(name, args).limit_steps(steps);
            run(&format!("{name}, {steps} steps"), &case);
        }
    }
}
