//! Tests of code memory with a system that refuses requests, wholly or in part. They never enter the code.

use std::thread;

use cranelift_codegen::{isa, settings};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::*;

/// A function that returns.
const RETURN: &[u8] = if cfg!(target_arch = "x86_64") { &[0xc3] } else { &[0xc0, 0x03, 0x5f, 0xd6] };
const CAPACITY_BYTES: usize = 1 << 20;

/// Returns an empty memory that counts in steps.
pub(crate) fn memory() -> Result<CodeMemory, CodeError> {
    let arch = std::env::consts::ARCH;
    let isa = isa::lookup_by_name(&format!("{arch}-unknown-linux-gnu")).expect("this host's");
    let isa = isa.finish(settings::Flags::new(settings::builder())).expect("flags as they are");
    let stubs = StubCode { dispatcher: RETURN, access: RETURN, refill: RETURN };
    // SAFETY: this code is never entered.
    unsafe { CodeMemory::new(isa, CAPACITY_BYTES, ProgressUnit::Step, stubs) }
}

pub(crate) fn publish(memory: &CodeMemory, functions: &[&[u8]]) -> Result<Vec<Function>, CodeError> {
    // SAFETY: this code is never entered.
    unsafe { memory.publish(functions) }
}

/// Runs `what` on a thread for which the system call `call` fails with ENOMEM if its third argument has the bits of
/// `value` in `mask`. Returns `None` if the system has no filters for system calls.
fn refused<T: Send>(call: i64, mask: i32, value: i32, what: impl FnOnce() -> T + Send) -> Option<T> {
    let masked = SeccompCmpOp::MaskedEq(mask as u64);
    let condition = SeccompCondition::new(2, SeccompCmpArgLen::Dword, masked, value as u64);
    let rule = SeccompRule::new(vec![condition.expect("an argument that calls have")]).expect("one condition");
    let rules = [(call, vec![rule])].into_iter().collect();
    let arch = std::env::consts::ARCH.try_into().expect("a processor with filters");
    let refusal = SeccompAction::Errno(libc::ENOMEM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    let run = || seccompiler::apply_filter(&program).is_ok().then(what);
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn assert_module<T>(result: Result<T, CodeError>) {
    let error = result.err().expect("the system refuses");
    assert!(matches!(&error, CodeError::Module(cause) if matches!(**cause, ModuleError::Allocation { .. })), "{error}");
    let cause = std::error::Error::source(&error).expect("it names its cause").to_string();
    assert!(cause.contains("os error 12"), "{error}: {cause}");
}

fn assert_closed(memory: &CodeMemory) {
    let used = memory.used_bytes();
    for _ in 0..2 {
        let error = publish(memory, &[RETURN]).expect_err("nobody knows what may be written");
        assert!(matches!(error, CodeError::Closed), "{error}");
    }
    assert_eq!(memory.used_bytes(), used);
}

#[test]
fn a_refused_batch_is_an_error_and_the_last_of_its_memory() {
    let [unsealed, unopened] = [memory(), memory()].map(|memory| memory.expect("nothing is refused yet"));
    // Copied, but not sealed.
    let batch = || publish(&unsealed, &[RETURN]);
    let Some(result) = refused(libc::SYS_mprotect, libc::PROT_EXEC, libc::PROT_EXEC, batch) else { return };
    assert_module(result);
    // Not even copied.
    let batch = || publish(&unopened, &[RETURN]);
    assert_module(refused(libc::SYS_mprotect, libc::PROT_WRITE, libc::PROT_WRITE, batch).expect("as above"));
    // They stay closed although nothing is refused any more.
    [&unsealed, &unopened].into_iter().for_each(assert_closed);
    publish(&memory().expect("another one"), &[RETURN]).expect("takes code");
}

/// The system makes the pages in front of a hole executable and refuses the rest. A write where the last batch ended
/// would then hit the first of them.
#[test]
fn pages_that_are_sealed_in_part_are_never_written_again() {
    let memory = memory().expect("nothing is refused");
    let page = system_page_bytes();
    let first = memory.used_bytes();
    let mut module = memory.module.lock().expect("nobody else has it");
    define(&mut module, &vec![0; 3 * page - 1]).expect("three pages are opened");
    let finalize = || module.finalize_definitions().map_err(Box::new);
    let batch = memory.arena.mapping.with_hole(first + page, page, finalize);
    drop(module);
    assert_module(batch.map_err(CodeError::from));
    assert_closed(&memory);
    assert!(!memory.arena.mapping.is_writable(first), "the test makes no partial failure");
}

#[test]
fn pages_that_are_opened_in_part_are_never_written_again() {
    let memory = memory().expect("nothing is refused");
    let page = system_page_bytes();
    let first = memory.used_bytes();
    let code = vec![0; 3 * page];
    let batch = memory.arena.mapping.with_hole(first + page, page, || publish(&memory, &[&code]));
    assert_module(batch);
    assert_closed(&memory);
    assert!(memory.arena.mapping.is_writable(first), "the test makes no partial failure");
}

/// The system soon reuses an address. A function of the old memory must then not be taken for one of the new.
#[test]
fn functions_of_a_memory_that_is_gone_are_no_other_ones() {
    let first = memory().expect("nothing is refused");
    let function = publish(&first, &[RETURN]).expect("there is room").remove(0);
    drop(first);
    let others: Vec<CodeMemory> = (0..8).map(|_| memory().expect("nothing is refused")).collect();
    for memory in &others {
        let set = || memory.set_entry(0x1_0000, function, 1, 0);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(set)).is_err());
        assert!(memory.entry(0x1_0000).is_none());
    }
}

#[test]
fn a_memory_that_is_refused_says_what_was() {
    let Some(result) = refused(libc::SYS_mprotect, libc::PROT_EXEC, libc::PROT_EXEC, memory) else { return };
    assert_module(result);
    let any = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let result = refused(libc::SYS_mmap, any, libc::PROT_NONE, memory).expect("as above");
    assert!(matches!(&result, Err(CodeError::Map(refusal)) if refusal.action == "reserve"), "{:?}", result.err());
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let memory = memory().expect("nothing is refused");
    let used = memory.used_bytes();
    let large = vec![0; CAPACITY_BYTES];
    let result = publish(&memory, &[RETURN, &large]);
    let as_it_was = |used_bytes: usize, capacity_bytes: usize| used_bytes == used && capacity_bytes == CAPACITY_BYTES;
    let is_full = |error: &CodeError| matches!(error, CodeError::Full { used_bytes, capacity_bytes } if as_it_was(*used_bytes, *capacity_bytes));
    assert!(result.as_ref().is_err_and(is_full), "{result:?}");
    assert_eq!(memory.used_bytes(), used);
    publish(&memory, &[RETURN]).expect("a small one fits");
}
