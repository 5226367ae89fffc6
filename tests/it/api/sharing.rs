//! Tests sessions of one executor, in sequence and concurrently on several threads. They share code, and no session
//! affects another.

use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, DATA, guest};
use crate::common::engines::{Case, Outcome, Setup, difference, final_difference, run, run_on};
use crate::common::generator::generate;
use tachy::decode::{Instruction, encode};
use tachy::isa::{Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::risc0::host::HostEnv;
use tachy::trace::VecSink;
use tachy::{Env, Executor, JitOptions, MachineKind, NullSink, Program};

/// Runs a session with rows and compares it with `reference`.
fn assert_traced(what: &str, executor: &Executor, case: &Case, reference: &Outcome) {
    let mut sink = VecSink::default();
    let outcome = run_on(executor, case, |session| session.run(&mut sink));
    let outcome = Outcome { rows: sink.rows, effects: sink.effects, ..outcome };
    if let Some(text) = difference(reference, &outcome, Variant::Standard) {
        panic!("{what}, with rows: {text}");
    }
}

/// Runs a session without rows and compares it with `reference`.
fn assert_untraced(what: &str, executor: &Executor, case: &Case, reference: &Outcome) {
    let outcome = run_on(executor, case, |session| session.run(&mut NullSink::off()));
    if let Some(text) = final_difference(reference, &outcome) {
        panic!("{what}, without rows: {text}");
    }
}

/// Runs sessions on four threads, alternating between rows and no rows.
fn assert_together(what: &str, executor: &Executor, case: &Case, reference: &Outcome) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let what = format!("{what}, thread {thread}");
            scope.spawn(move || {
                for turn in 0..2 {
                    match (thread + turn) % 2 {
                        0 => assert_traced(&what, executor, case, reference),
                        _ => assert_untraced(&what, executor, case, reference),
                    }
                }
            });
        }
    });
}

#[test]
fn random_programs_on_several_threads() {
    for seed in 8000..8040 {
        let case = generate(seed).case();
        let reference = run(&case, &Setup::interpreter());
        for setup in [Setup::eager().region_instructions(20), Setup::eager().threshold(3).background(true)] {
            assert_together(&format!("seed {seed}, {setup:?}"), &setup.executor(&case), &case, &reference);
        }
    }
}

/// Code memory is too small for the program: while one session runs in a generation, others begin the next.
#[test]
fn code_memory_is_dropped_while_others_run() {
    let case = guest("rust_mix", &[]).limit_steps(120_000);
    let case = Case { whole_memory: true, ..case };
    let reference = run(&case, &Setup::interpreter());
    let setup = Setup::eager().region_instructions(1000).code_bytes(1 << 20);
    for setup in [setup.clone(), setup.background(true)] {
        assert_together(&format!("rust_mix, {setup:?}"), &setup.executor(&case), &case, &reference);
    }
}

/// Sessions that are too short to warm up alone do so together, and no session affects the result of the next.
#[test]
fn short_sessions_warm_each_other_up() {
    // Each session has fewer calls than the threshold.
    let case = guest("fib", &["10"]);
    let reference = run(&case, &Setup::interpreter());
    let executor = Setup::eager().threshold(1000).executor(&case);
    let mut interpreted = Vec::new();
    for _ in 0..20 {
        let mut sink = VecSink::default();
        let outcome = run_on(&executor, &case, |session| {
            let result = session.run(&mut sink);
            interpreted.push(session.stats().interpreted_steps);
            result
        });
        assert_eq!(
            difference(&reference, &Outcome { rows: sink.rows, effects: sink.effects, ..outcome }, Variant::Standard),
            None
        );
    }
    let steps = reference.rows.len() as u64;
    assert_eq!(interpreted[0], steps, "one session alone gets nothing warm");
    assert!(interpreted[19] * 2 < steps, "{interpreted:?} of {steps}");
}

/// The program may not write this code, but it shares a page with data: one session's writes there do not become
/// another's code.
#[test]
fn code_in_a_page_with_data() {
    let mut asm = Assembler::new(CODE);
    let (top, site) = (asm.label(), asm.label());
    asm.li(5, 40);
    asm.la(6, site);
    // The immediate of `addi x8, x8, 1` grows by one in each round.
    asm.li(7, 1 << 20);
    asm.place(top);
    asm.place(site);
    asm.word(encode(Instruction { op: Op::Addi, rd: 8, rs1: 8, rs2: 0, imm: 1 }));
    asm.i(Op::Lw, 9, 6, 0);
    asm.r(Op::Add, 9, 9, 7);
    asm.store(Op::Sw, 9, 0, 6);
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, top);
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    let segments = vec![
        Segment::from_words(CODE, &asm.finish().words, Permissions::RX),
        Segment::new(CODE + 0x200, vec![7; 64], Permissions::RW),
    ];
    let case = Case::new(Program::from_segments(CODE, segments).expect("a test's own program"));
    let reference = run(&case, &Setup::interpreter());
    assert_eq!(reference.state.as_ref().expect("it ran").registers[8], (1..41).sum::<u32>());
    for setup in [Setup::eager(), Setup::eager().region_instructions(1), Setup::eager().threshold(5)] {
        assert_together(&format!("{setup:?}"), &setup.executor(&case), &case, &reference);
    }
}

/// A loop of `addi x8, x8, 1` in a writable segment. After some rounds it becomes `addi x8, x8, 2` if the byte on stdin
/// says so. Some sessions of one executor therefore write their code and some do not.
#[test]
fn some_sessions_write_over_their_code() {
    let mut asm = Assembler::new(CODE);
    let (top, site, keep) = (asm.label(), asm.label(), asm.label());
    // read(0, DATA, 1)
    asm.li(17, 63);
    asm.li(10, 0);
    asm.li(11, DATA);
    asm.li(12, 1);
    asm.op(Op::Ecall, 0, 0, 0, 0);
    asm.i(Op::Lbu, 13, 11, 0);
    asm.la(6, site);
    asm.i(Op::Lw, 9, 6, 0);
    asm.li(7, 1 << 20);
    asm.r(Op::Add, 9, 9, 7);
    asm.li(5, 100);
    asm.li(14, 50);
    asm.place(top);
    asm.branch(Op::Bne, 5, 14, keep);
    asm.branch(Op::Beq, 13, 0, keep);
    asm.store(Op::Sw, 9, 0, 6);
    asm.place(keep);
    asm.place(site);
    asm.word(encode(Instruction { op: Op::Addi, rd: 8, rs1: 8, rs2: 0, imm: 1 }));
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, top);
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    let code = Segment::from_words(CODE, &asm.finish().words, Permissions::RWX);
    let segments = vec![code, Segment::new(DATA, vec![0; 64], Permissions::RW)];
    let case = Case::new(Program::from_segments(CODE, segments).expect("a test's own program"));
    let cases = [0, 1].map(|byte| Case { stdin: vec![byte], ..case.clone() });
    let references = cases.each_ref().map(|case| run(case, &Setup::interpreter()));
    let sums = references.each_ref().map(|outcome| outcome.state.as_ref().expect("it ran").registers[8]);
    assert_eq!(sums, [100, 150]);
    for setup in [Setup::eager(), Setup::eager().threshold(5), Setup::eager().threshold(3).background(true)] {
        let executor = setup.executor(&case);
        for _ in 0..2 {
            for (case, reference) in cases.iter().zip(&references) {
                assert_together(&format!("stdin {:?}, {setup:?}", case.stdin), &executor, case, reference);
            }
        }
    }
}

/// All memory of R0VM is writable, but its sessions share code until one of them writes to it.
#[test]
fn sessions_of_r0vm_share_code() {
    for (guest, words, shares) in [("recursion", &[2, 5, 500][..], true), ("smc", &[20], false)] {
        let path = format!("{}/guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
        let program = Program::from_risc0(&std::fs::read(path).expect("the guests are in the repository"));
        let program = program.expect("a good binary");
        let builder = Executor::builder().machine(MachineKind::R0vm).jit(JitOptions::eager());
        let executor = builder.build(&program).expect("an executor");
        let translated = [0, 1, 2].map(|_| {
            let host = HostEnv::builder().random_seed([0; 32]).write_slice(words).build().expect("a host");
            let session = executor.run(Env::new().host(host)).expect("it ends");
            session.stats().translated_instructions
        });
        assert!(translated[0] > 0, "{guest}: {translated:?}");
        match shares {
            true => assert_eq!(translated[1..], [0, 0], "{guest}: {translated:?}"),
            false => assert!(translated[1] > 0 && translated[1] < translated[0], "{guest}: {translated:?}"),
        }
    }
}
