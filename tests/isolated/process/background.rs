//! Tests background translation: code that changes while it is translated, and the end of the thread with its executor.

use std::fs;
use std::time::Duration;

use super::turn;
use crate::common::assembler::Assembler;
use crate::common::cases::{CODE, endless, exit, guest};
use crate::common::engines::{Case, Setup, final_difference, run_on, run_untraced};
use crate::common::generator::generate;
use tachy::decode::{Instruction, encode};
use tachy::isa::Op;
use tachy::program::{Permissions, Segment};
use tachy::{Env, Executor, JitOptions, NullSink, Program};

fn background(threshold: u16) -> Setup {
    Setup::jit(JitOptions::default()).threshold(threshold)
}

/// Counts the background threads of this process.
fn compilers() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("Linux says so");
    let names = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "tachy-compiler").count()
}

/// Asserts that there are no background threads. A joined thread has ended, but Linux may list it a moment longer.
fn assert_no_compilers() {
    for _ in 0..10_000 {
        if compilers() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{} background threads are left", compilers());
}

#[test]
fn the_thread_comes_with_the_first_hot_code_and_goes_with_the_executor() {
    let _turn = turn();
    let case = endless();
    let run = |executor: &Executor| {
        let mut session = executor.start(Env::new()).expect("it starts");
        session.run_to(1000, &mut NullSink::off()).expect("it has no end");
        session
    };
    let (cold, warm, on_the_spot) = (background(1001), background(10), background(10).background(false));
    let (cold, warm, on_the_spot) = (cold.executor(&case), warm.executor(&case), on_the_spot.executor(&case));
    run(&cold);
    assert!(run(&on_the_spot).stats().regions > 0);
    assert_eq!(compilers(), 0);
    let mut session = run(&warm);
    // The thread may take a while to start.
    while session.stats().regions == 0 {
        session.run_to(session.steps() + 1000, &mut NullSink::off()).expect("it has no end");
    }
    drop(session);
    assert_eq!(compilers(), 1);
    // All sessions and clones of an executor share its thread, and the last of them ends it.
    let (clone, session) = (warm.clone(), warm.start(Env::new()).expect("it starts"));
    run(&clone);
    drop(warm);
    assert_eq!(compilers(), 1);
    drop(clone);
    assert_eq!(compilers(), 1);
    drop(session);
    assert_no_compilers();
}

/// This holds however much is left to translate.
#[test]
fn an_executor_that_is_dropped_does_not_finish_its_queue() {
    let _turn = turn();
    let case = guest("rust_mix", &[]).limit_steps(200_000);
    for _ in 0..20 {
        let executor = background(1).executor(&case);
        let session = executor.start(Env::new().args(["rust_mix"]));
        session.expect("it starts").run(&mut NullSink::off()).expect_err("it is longer");
        drop(executor);
        assert_no_compilers();
    }
}

const PAGES: u32 = 48;
const FIRST_PAGE: u32 = 0x10_0000;

/// Calls a function, changes one of its instructions, calls it again, and continues with the next function, `rounds`
/// times. Each function has its own page. The number of calls varies from never hot to long translated, so that some
/// change hits every moment of a translation. a0 sums the functions' results.
fn patcher(seed: u32, rounds: u32) -> Case {
    let mut asm = Assembler::new(CODE);
    let (round, page, call, called) = (asm.label(), asm.label(), asm.label(), asm.label());
    asm.li(5, rounds);
    asm.li(6, seed);
    asm.li(7, 1_664_525);
    asm.li(8, 1 << 20);
    asm.place(round);
    asm.li(9, FIRST_PAGE);
    asm.li(18, PAGES);
    asm.place(page);
    // x19 = 1 to 4,096 calls, or one in sixteen of that.
    asm.r(Op::Mul, 6, 6, 7);
    asm.i(Op::Addi, 6, 6, 1013);
    asm.i(Op::Srli, 19, 6, 20);
    asm.i(Op::Andi, 20, 6, 64);
    asm.branch(Op::Beq, 20, 0, called);
    asm.i(Op::Srli, 19, 19, 4);
    asm.place(called);
    asm.i(Op::Addi, 19, 19, 1);
    asm.place(call);
    asm.op(Op::Jalr, 1, 9, 0, 0);
    asm.i(Op::Addi, 19, 19, -1);
    asm.branch(Op::Bne, 19, 0, call);
    // The immediate of the function's second instruction grows by one. The next call must see it.
    asm.i(Op::Lw, 21, 9, 4);
    asm.r(Op::Add, 21, 21, 8);
    asm.store(Op::Sw, 21, 4, 9);
    asm.op(Op::Jalr, 1, 9, 0, 0);
    asm.i(Op::Addi, 9, 9, 1024);
    asm.i(Op::Addi, 18, 18, -1);
    asm.branch(Op::Bne, 18, 0, page);
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, round);
    exit(&mut asm);
    let mut segments = vec![Segment::from_words(CODE, &asm.finish().words, Permissions::RX)];
    for number in 0..PAGES {
        let address = FIRST_PAGE + 1024 * number;
        let addi = |rd, rs1, imm| encode(Instruction { op: Op::Addi, rd, rs1, rs2: 0, imm });
        let function = [
            addi(22, 10, number),
            addi(10, 22, 1),
            encode(Instruction { op: Op::Jalr, rd: 0, rs1: 1, rs2: 0, imm: 0 }),
        ];
        segments.push(Segment::from_words(address, &function, Permissions::RWX));
    }
    Case::new(Program::from_segments(CODE, segments).expect("a test's own program"))
}

#[test]
fn a_change_while_it_is_translated_is_never_lost() {
    let _turn = turn();
    for seed in 0..6 {
        let case = patcher(seed, 14);
        let reference = run_untraced(&case, &Setup::interpreter());
        for setup in [background(1), background(7), background(60).region_instructions(20), background(300)] {
            let mut invalidations = 0;
            let outcome = run_on(&setup.executor(&case), &case, |session| {
                let result = session.run(&mut NullSink::off());
                invalidations = session.stats().invalidations;
                result
            });
            if let Some(text) = final_difference(&reference, &outcome) {
                panic!("seed {seed}, {setup:?}: {text}");
            }
            assert!(invalidations > 0, "seed {seed}, {setup:?}: nothing was changed that was translated");
        }
    }
}

/// Runs programs that change their own code, each on its own thread, so that translations are late.
#[test]
fn random_programs_with_late_translations() {
    let _turn = turn();
    for first in (20_000..20_120).step_by(4) {
        std::thread::scope(|scope| {
            for seed in first..first + 4 {
                scope.spawn(move || {
                    let case = generate(seed).case();
                    let reference = run_untraced(&case, &Setup::interpreter());
                    let executor = background(2).executor(&case);
                    for _ in 0..4 {
                        let outcome = run_on(&executor, &case, |session| session.run(&mut NullSink::off()));
                        if let Some(text) = final_difference(&reference, &outcome) {
                            panic!("seed {seed}: {text}");
                        }
                    }
                });
            }
        });
    }
}
