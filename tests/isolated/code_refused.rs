//! Tests a system that refuses to make memory executable, or to map any more of it, as hardened kernels, sandboxes and
//! systems without free memory maps do. Code that cannot be native is interpreted, with the same rows.
//!
//! The refusal is a filter of system calls. Linux installs it for a single thread and the threads that it starts, and
//! never removes it. Each test therefore uses a thread of its own, and the tests have their own process, so that no
//! other test runs on a filtered thread. On systems without such filters the tests say so and pass.
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

/// A system call: its number, and the index of the argument with the memory protection.
struct Call(i64, u8);

const PROTECT: Call = Call(libc::SYS_mprotect, 2);
const MAP: Call = Call(libc::SYS_mmap, 2);

/// From now on, this call fails on this thread and those it starts if the bits of `mask` in its protection equal
/// `value`. Returns false if the system has no filters.
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

/// Refuses to make any memory executable.
fn refuse_code() -> bool {
    refuse(&PROTECT, libc::PROT_EXEC, libc::PROT_EXEC)
}

/// Refuses every reservation.
fn refuse_reservations() -> bool {
    refuse(&MAP, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC, libc::PROT_NONE)
}

/// Runs on a separate thread, which may then install its own filters.
fn aside<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(what).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs the rest of a session after the rows that `digest` has seen.
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

/// Code that was translated before still runs, and no more is added.
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

/// Code that was copied but could not be sealed lies between code that was sealed before and after it.
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

/// The code that was refused waited for an entry. It is tried again when it is as hot again.
#[test]
fn what_was_refused_is_native_when_it_can_be() {
    // A loop that becomes native first, and one that never ends.
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

/// If nothing more can be reserved, full code memory stays in use.
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
    // With room again, there is native code again.
    let (found, stats) = run(&executor, &case);
    assert_eq!(found, expected);
    assert!(stats.code_flushes > 0, "{stats:?}");
}

/// The translating thread is filtered as well, because a filtered thread starts it.
#[test]
fn refusals_reach_the_background() {
    let case = guest("mix", &["2"]);
    let (expected, _) = run(&Setup::interpreter().executor(&case), &case);
    let mut options = JitOptions::eager();
    (options.background, options.threshold) = (true, 20);
    let executor = Setup::jit(options).executor(&case);
    // Code memory exists before the thread, which the first region starts.
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
    let mut digest = DigestSink::default();
    session.run_to(1, &mut digest).expect("it is longer");
    let Some((found, stats)) = aside(|| refuse_code().then(|| finish(&mut session, digest))) else { return };
    assert_eq!(found, expected);
    assert_eq!((stats.regions, stats.entries), (0, 0), "{stats:?}");
}
