//! Tests what executors and sessions cost: code is compiled once for all sessions that can share it, an executor uses
//! the expected address space, and dropping it releases everything.

use std::collections::BTreeSet;
use std::fs;

use super::turn;
use crate::common::cases::{exit, guest};
use crate::common::engines::{Case, Setup, State};
use tachy::trace::{DigestSink, TraceDigest};
use tachy::{Executor, NullSink, Session, Sink, Stats, Status};

const THREADS: usize = 8;
const SESSIONS: usize = 64;

/// Runs one session to its end. Returns its digest, its final state, and its statistics.
fn run(executor: &Executor, case: &Case) -> (TraceDigest, State, Stats) {
    let (mut stdout, mut stderr, mut sink) = (Vec::new(), Vec::new(), DigestSink::default());
    let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("guests start");
    session.run(&mut sink).expect("guests end well");
    (sink.digest(), State::of(&session, case), session.stats())
}

/// Runs all sessions of one executor, some concurrently, and asserts that they do what the lone one did. Returns their
/// counters.
fn run_many(executor: &Executor, case: &Case, lone: &(TraceDigest, State, Stats)) -> Vec<Stats> {
    std::thread::scope(|scope| {
        let sessions = || (0..SESSIONS / THREADS).map(|_| run(executor, case)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(sessions)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().expect("no session panics")).collect();
        assert_eq!(all.len(), SESSIONS);
        for (digest, state, _) in &all {
            assert_eq!((digest, state), (&lone.0, &lone.1));
        }
        all.into_iter().map(|(_, _, stats)| stats).collect()
    })
}

/// Counts the distinct instructions of the program that a session ran.
fn distinct_instructions(case: &Case) -> u64 {
    #[derive(Default)]
    struct Pcs(BTreeSet<u32>);
    impl Sink for Pcs {
        fn rows(
            &mut self,
            _: u64,
            rows: &[tachy::Row],
            _: &[tachy::trace::Effect],
        ) -> Result<(), tachy::trace::SinkError> {
            self.0.extend(rows.iter().map(|row| row.pc));
            Ok(())
        }
    }
    let (mut stdout, mut stderr, mut pcs) = (Vec::new(), Vec::new(), Pcs::default());
    let executor = Setup::interpreter().executor(case);
    executor.trace(case.env(&mut stdout, &mut stderr), &mut pcs).expect("guests end well");
    pcs.0.len() as u64
}

#[test]
fn sixty_four_sessions_on_eight_threads_compile_once() {
    for (name, args) in [("fib", ["18"]), ("vm", ["40"]), ("mix", ["3"])] {
        let _turn = turn();
        let case = guest(name, &args);
        let lone = run(&Setup::eager().threshold(20).executor(&case), &case);
        let executor = Setup::eager().threshold(20).executor(&case);
        let all = run_many(&executor, &case, &lone);
        // Each entry is translated once. The regions depend on which thread came first, and they may overlap a little.
        // If even every second thread translated for itself, this would be twice as much.
        let translated: u64 = all.iter().map(|stats| stats.translated_instructions).sum();
        let (alone, distinct) = (lone.2.translated_instructions, distinct_instructions(&case));
        assert!(alone > 0 && translated <= 2 * distinct, "{name}: {translated}, alone {alone}, of {distinct}");
        // No thread waits for another's translation, so the system decides who ran what. At least one must have run
        // native code.
        assert!(all.iter().any(|stats| stats.interpreted_steps < lone.1.steps), "{name}: someone runs it");

        // A later session finds all existing code. It compiles only what all sessions together made hot, and interprets
        // less.
        let late = run(&executor, &case).2;
        assert!(translated + late.translated_instructions <= 2 * distinct, "{name}: {translated}, {late:?}");
        assert!(late.interpreted_steps <= lone.2.interpreted_steps, "{name}: {late:?} against {:?}", lone.2);
    }
}

#[test]
fn sessions_that_write_code_do_not_share_it() {
    let _turn = turn();
    let case = guest("smc", &["400"]);
    let setup = Setup::eager();
    let lone = run(&setup.executor(&case), &case);
    for stats in run_many(&setup.executor(&case), &case, &lone) {
        // Code translated before the first store into code is shared, later code is not. The system decides which
        // session runs the shared code at that moment, and so which regions arise: a few more or fewer than alone.
        assert!(stats.invalidations.abs_diff(lone.2.invalidations) <= 4, "{stats:?}, alone {:?}", lone.2);
        let (translated, alone) = (stats.translated_instructions, lone.2.translated_instructions);
        assert!(4 * translated <= 5 * alone && 2 * translated > alone, "{stats:?}, alone {:?}", lone.2);
    }
}

/// What the system reports about this process.
#[derive(Debug, Clone, Copy)]
struct Process {
    address_space_bytes: u64,
    resident_bytes: u64,
    mappings: usize,
    descriptors: usize,
    threads: usize,
}

fn process() -> Process {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says so");
    let bytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of its own");
        let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        kib.expect("a number of KiB") * 1024
    };
    let mappings = fs::read_to_string("/proc/self/maps").expect("Linux says so").lines().count();
    let entries = |folder: &str| fs::read_dir(folder).expect("Linux says so").count();
    Process {
        address_space_bytes: bytes("VmSize:"),
        resident_bytes: bytes("VmRSS:"),
        mappings,
        descriptors: entries("/proc/self/fd"),
        threads: entries("/proc/self/task"),
    }
}

/// Returns which signals this thread blocks and the process ignores and catches. The signals that the process's first
/// thread blocks do not matter: it blocks all of them while it starts a test's thread.
fn signals() -> Vec<String> {
    let status = fs::read_to_string("/proc/thread-self/status").expect("Linux says so");
    let found = status.lines().filter(|line| ["SigBlk", "SigIgn", "SigCgt"].iter().any(|name| line.starts_with(name)));
    found.map(str::to_owned).collect()
}

/// A small program that still gets hot.
fn tiny() -> Case {
    use tachy::isa::Op;
    let mut asm = crate::common::assembler::Assembler::new(crate::common::cases::CODE);
    asm.li(5, 50);
    let top = asm.label_here();
    asm.i(Op::Addi, 5, 5, -1);
    asm.branch(Op::Bne, 5, 0, top);
    exit(&mut asm);
    crate::common::cases::short(Case::code(crate::common::cases::CODE, &asm.finish().words, Vec::new()))
}

/// Returns a session with code for both levels.
fn both_levels<'env>(executor: &Executor, case: &Case) -> Session<'env> {
    let mut session = executor.start(tachy::Env::new().args(case.args.iter().cloned())).expect("it starts");
    assert_eq!(session.run_to(40, &mut NullSink::off()).expect("it pauses"), Status::Reached);
    session.run(&mut NullSink::rows()).expect("it ends");
    session
}

#[test]
fn sixty_four_executors_fit() {
    const GIB: u64 = 1 << 30;
    let _turn = turn();
    let case = tiny();
    let round = || {
        let before = process();
        let live: Vec<_> = (0..SESSIONS)
            .map(|_| {
                let executor = Setup::eager().executor(&case);
                let session = both_levels(&executor, &case);
                (executor, session)
            })
            .collect();
        let with = process();
        let each = with.address_space_bytes.saturating_sub(before.address_space_bytes) / SESSIONS as u64;
        assert!((4 * GIB..6 * GIB).contains(&each), "{each} bytes of address space each");
        let resident = with.resident_bytes.saturating_sub(before.resident_bytes) / SESSIONS as u64;
        assert!(resident < 8 << 20, "{resident} bytes resident each");
        drop(live);
        process()
    };
    // Memory that the allocator keeps after the first round is reused in the second.
    let (first, second) = (round(), round());
    let grown = second.address_space_bytes.saturating_sub(first.address_space_bytes);
    assert!(grown < GIB / 4, "{first:?}, {second:?}");
    assert!(second.mappings <= first.mappings + SESSIONS / 2, "{first:?}, {second:?}");
}

#[test]
fn executors_that_are_gone_leave_nothing() {
    let _turn = turn();
    let case = tiny();
    let cycles = |count: usize| {
        for _ in 0..count {
            let session = both_levels(&Setup::eager().executor(&case), &case);
            assert!(session.stats().regions > 0, "there was code to free");
        }
        process()
    };
    let (before, after) = (cycles(200), cycles(10_000));
    let grown = |from: u64, to: u64| to.saturating_sub(from);
    // A leak of a hundred bytes per cycle would add up to a megabyte.
    assert!(grown(before.address_space_bytes, after.address_space_bytes) < 1 << 20, "{before:?}, {after:?}");
    assert!(grown(before.resident_bytes, after.resident_bytes) < 1 << 20, "{before:?}, {after:?}");
    assert!(after.mappings <= before.mappings + 4, "{before:?}, {after:?}");
    assert_eq!(after.descriptors, before.descriptors, "{before:?}, {after:?}");
    assert!(after.threads <= before.threads, "{before:?}, {after:?}");
}

/// Signals belong to the host: traps, guards and limits need none, so the host's handlers stay installed.
#[test]
fn no_signal_handler_is_touched() {
    let _turn = turn();
    let before = signals();
    assert_eq!(before.len(), 3);
    let case = guest("rust_mix", &["1"]);
    let mut seen = Vec::new();
    for setup in crate::common::cases::every_setup() {
        let executor = setup.executor(&case);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut session = executor.start(case.env(&mut stdout, &mut stderr)).expect("it starts");
        session.run(&mut NullSink::rows()).expect("it ends");
        seen.push(signals());
    }
    // A trap does not install one either.
    let trap = Case::code(crate::common::cases::CODE, &[0x0000_2003], Vec::new());
    for setup in crate::common::cases::every_setup() {
        let mut session = setup.executor(&trap).start(tachy::Env::new()).expect("it starts");
        session.run(&mut NullSink::off()).expect_err("a load from 0");
        seen.push(signals());
    }
    assert!(seen.iter().all(|signals| *signals == before), "{before:?}: {seen:?}");
}

/// The same for R0VM, with hashing threads and segments that are taken.
#[test]
fn sessions_of_r0vm_that_are_gone_leave_nothing() {
    let _turn = turn();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/r0vm/bin/smc.bin");
    let program = tachy::Program::from_risc0(&fs::read(path).expect("the guests are in the repository"));
    let program = program.expect("a good binary");
    let cycles = |count: usize| {
        for _ in 0..count {
            let host = tachy::risc0::host::HostEnv::builder()
                .random_seed([0; 32])
                .write_slice(&[2u32])
                .build()
                .expect("a host");
            let mut segments = 0;
            let take = |_: &tachy::risc0::Segment| {
                segments += 1;
                Ok(())
            };
            let env = tachy::Env::new().host(host).segment_po2(13).segments(take).hashing_threads(5);
            let executor =
                Executor::builder().machine(tachy::MachineKind::R0vm).build(&program).expect("good settings");
            drop(executor.run(env).expect("it ends"));
            assert!(segments > 0);
        }
        process()
    };
    let (before, after) = (cycles(10), cycles(60));
    assert!(after.mappings <= before.mappings + 4, "{before:?}, {after:?}");
    assert_eq!(after.descriptors, before.descriptors, "{before:?}, {after:?}");
    let grown = after.address_space_bytes.saturating_sub(before.address_space_bytes);
    assert!(grown < 1 << 30, "not one session's memory is left: {before:?}, {after:?}");
    assert_no_threads_of_ours();
}

/// Asserts that no translating or hashing thread is left. Linux may list a joined thread a moment longer.
fn assert_no_threads_of_ours() {
    let ours = || {
        let threads = fs::read_dir("/proc/self/task").expect("Linux says so");
        let names = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("tachy-")).collect::<Vec<_>>()
    };
    for _ in 0..10_000 {
        if ours().is_empty() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("threads are left: {:?}", ours());
}
