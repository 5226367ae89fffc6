//! A system that lets nobody make code executable, or no more of it: hardened kernels and sandboxes do, and so does one
//! that is out of memory maps. What cannot be native is interpreted, with the same rows.
//!
//! The refusal is a filter of system calls, which Linux puts on a single thread and on those that it starts, and never
//! takes off again. Each test has a thread of its own for it, and the tests have a process of their own, so that no
//! other test runs on a thread that is refused memory. Where there are no such filters, the tests say so and pass.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "these tests use a part of it")]
mod common;

use std::thread;

use common::assembler::Assembler;
use common::cases::{CODE, every_setup, guest};
use common::engines::{Case, End, Setup};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use tachy::isa::Op;
use tachy::trace::{DigestSink, TraceDigest};
use tachy::{Env, Executor, JitOptions, NullSink, Session, Stats};

/// A system call by its number, with the place of its argument that says what may be done with the memory.
struct Call(i64, u8);

const PROTECT: Call = Call(libc::SYS_mprotect, 2);
const MAP: Call = Call(libc::SYS_mmap, 2);

/// From now on this thread and those it starts get no memory by this call, where the bits of `mask` in its protection are
/// those of `value`. False where the system knows no filters.
fn refuse(call: &Call, mask: i32, value: i32) -> bool {
    let masked = SeccompCmpOp::MaskedEq(mask as u64);
    let condition = SeccompCondition::new(call.1, SeccompCmpArgLen::Dword, masked, value as u64);
    let rule = SeccompRule::new(vec![condition.expect("an argument that calls have")]).expect("one condition");
    let rules = [(call.0, vec![rule])].into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().expect("a processor with filters");
    let refusal = SeccompAction::Errno(libc::ENOMEM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    let applied = seccompiler::apply_filter(&program);
    if let Err(error) = &applied {
        eprintln!("notice: no filter of system calls here: {error}");
    }
    applied.is_ok()
}

/// Nothing becomes executable any more.
fn refuse_code() -> bool {
    refuse(&PROTECT, libc::PROT_EXEC, libc::PROT_EXEC)
}

/// Nothing is reserved any more.
fn refuse_reservations() -> bool {
    refuse(&MAP, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, libc::PROT_NONE)
}

/// Runs on a thread of its own, which may then be refused what it likes.
fn aside<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(what).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs what is left of a session after the rows that `digest` has seen.
fn finish(session: &mut Session<'_>, mut digest: DigestSink) -> ((End, TraceDigest), Stats) {
    let end = End::of(session.run(&mut digest));
    ((end, digest.digest()), session.stats())
}

fn run(executor: &Executor, case: &Case) -> ((End, TraceDigest), Stats) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    finish(&mut session, DigestSink::default())
}

#[test]
fn where_nothing_may_become_executable_all_is_interpreted() {
    let case = guest("mix", &["1"]);
    let (expected, _) = run(&Setup::interpreter().executor(&case), &case);
    for setup in every_setup() {
        let run = || refuse_code().then(|| run(&setup.executor(&case), &case));
        let Some((found, stats)) = aside(run) else { return };
        assert_eq!(found, expected, "{setup:?}");
        assert_eq!((stats.regions, stats.entries, stats.code_bytes), (0, 0, 0), "{setup:?}: {stats:?}");
    }
}

/// What was translated before goes on being run, and nothing joins it.
#[test]
fn what_may_no_longer_become_executable_is_interpreted() {
    let case = guest("mix", &["1"]);
    let (expected, whole) = run(&Setup::eager().executor(&case), &case);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = Setup::eager().executor(&case).start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let mut digest = DigestSink::default();
    session.run_to(5000, &mut digest).expect("it is longer");
    let before = session.stats();
    assert!(before.regions > 0 && before.regions < whole.regions, "{before:?} {whole:?}");
    let Some((found, after)) = aside(|| refuse_code().then(|| finish(&mut session, digest))) else { return };
    assert_eq!(found, expected);
    assert_eq!((after.regions, after.code_flushes), (before.regions, 0), "{after:?}");
    assert!(after.entries > before.entries, "what there was has not been run: {after:?}");
}

/// Code that was copied and could not be sealed stays between what was sealed before and what is sealed afterwards.
#[test]
fn a_refusal_that_passes_leaves_no_mark() {
    let case = guest("mix", &["1"]);
    let (expected, _) = run(&Setup::interpreter().executor(&case), &case);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = Setup::eager().executor(&case).start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let mut digest = DigestSink::default();
    session.run_to(2000, &mut digest).expect("it is longer");
    let first = session.stats().regions;
    let refused = aside(|| refuse_code() && session.run_to(4000, &mut digest).is_ok());
    if !refused {
        return;
    }
    assert_eq!(session.stats().regions, first);
    let (found, stats) = finish(&mut session, digest);
    assert_eq!(found, expected);
    assert!(stats.regions > first, "nothing was translated when it could be: {stats:?}");
}

/// And the code itself, which waited for an entry, is tried again when it is as hot again.
#[test]
fn what_was_refused_is_native_when_it_can_be() {
    // A loop that is native before, and one without end.
    let mut asm = Assembler::new(CODE);
    asm.li(5, 1_000);
    let first = asm.label_here();
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, first);
    let second = asm.label_here();
    asm.i(Op::Addi, 5, 5, 1);
    asm.jal(0, second);
    let case = Case::code(CODE, &asm.finish().words, Vec::new());
    let executor = Setup::eager().threshold(20).executor(&case);
    let mut session = executor.start(Env::new()).expect("it starts");
    let mut sink = NullSink::off();
    session.run_to(1_000, &mut sink).expect("it has no end");
    let before = session.stats();
    let refused = aside(|| refuse_code() && session.run_to(500_000, &mut sink).is_ok());
    if !refused {
        return;
    }
    let meanwhile = session.stats();
    assert!(before.regions > 0 && meanwhile.regions == before.regions, "{before:?} {meanwhile:?}");
    session.run_to(1_000_000, &mut sink).expect("it has no end");
    let after = session.stats();
    assert!(after.regions > before.regions, "{after:?}");
    assert!(after.interpreted_steps < meanwhile.interpreted_steps + 50_000, "{after:?}");
}

/// Code memory that is full stays what it is, where there is no room for another.
#[test]
fn where_nothing_can_be_reserved_full_code_memory_is_the_last() {
    let case = guest("rust_mix", &[]).limit_steps(400_000);
    let (expected, _) = run(&Setup::interpreter().executor(&case), &case);
    let executor = Setup::eager().code_bytes(1 << 20).executor(&case);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let mut digest = DigestSink::default();
    session.run_to(1000, &mut digest).expect("it is longer");
    let rest = || refuse_reservations().then(|| (finish(&mut session, digest), executor.start(Env::new()).err()));
    let Some(((found, stats), refused)) = aside(rest) else { return };
    assert_eq!(found, expected);
    assert!(stats.code_flushes == 0 && stats.code_bytes > 1 << 19, "{stats:?}");
    let error = refused.expect("there is no room for another session");
    assert!(error.kind() == "host-memory" && error.to_string().contains("reserve"), "{error}");
    // Where there is room again, there is code again.
    let (found, stats) = run(&executor, &case);
    assert_eq!(found, expected);
    assert!(stats.code_flushes > 0, "{stats:?}");
}

/// The thread that translates is refused as well, since one that is starts it.
#[test]
fn refusals_reach_the_background() {
    let case = guest("mix", &["2"]);
    let (expected, _) = run(&Setup::interpreter().executor(&case), &case);
    let mut options = JitOptions::eager();
    (options.background, options.threshold) = (true, 20);
    let executor = Setup::jit(options).executor(&case);
    // Code memory is there before the thread is, which the first region starts.
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let mut digest = DigestSink::default();
    session.run_to(1, &mut digest).expect("it is longer");
    let Some((found, stats)) = aside(|| refuse_code().then(|| finish(&mut session, digest))) else { return };
    assert_eq!(found, expected);
    assert_eq!((stats.regions, stats.entries), (0, 0), "{stats:?}");
}
