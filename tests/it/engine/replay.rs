//! Tests replay: the state at any step, computed only from the initial image, rows and effects, equals the session's.

use crate::common::assembler::Assembler;
use crate::common::cases::writer;
use crate::common::engines::{Case, End, Setup, assert_same};
use crate::common::generator::generate;
use crate::common::rng::Rng;
use tachy::isa::Op;
use tachy::risc0::host::HostEnv;
use tachy::trace::{Replay, ReplayError, VecSink};
use tachy::{Engine, Env, Executor, JitOptions, MachineKind, NullSink, Program, Session, Sink, Status};

/// Runs a fresh session under `setup` to `step`, without rows.
fn session_at<'a>(case: &'a Case, setup: &Setup, step: u64) -> Session<'a> {
    let env = Env::new().args(case.args.iter().cloned()).stdin(&case.stdin[..]);
    let mut session = setup.executor(case).start(env).expect("it starts");
    // A trap or limit before the step leaves the session where it occurred.
    let _ = session.run_to(step, &mut NullSink::off());
    session
}

/// Compares a replayed state with that of a session.
fn assert_state(what: &str, case: &Case, replay: &Replay, session: &Session<'_>) {
    assert_eq!(replay.step(), session.steps(), "{what}");
    assert_eq!(replay.registers(), session.registers(), "{what}");
    for (address, word) in replay.words() {
        assert_eq!(word, session.word(address), "{what}: the word at {address:#x}");
    }
    // Memory that the trace did not show equals the image.
    for segment in case.program.segments() {
        // A segment may end at the end of the address space.
        for offset in (0..segment.memory_bytes as usize).step_by(4) {
            let address = segment.address + offset as u32;
            let initial = segment
                .data
                .get(offset..offset + 4)
                .map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")));
            let replayed = replay.word(address).unwrap_or(initial);
            assert_eq!(replayed, session.word(address), "{what}: the word at {address:#x}");
        }
    }
}

#[test]
fn random_programs_at_random_steps() {
    for seed in 5000..5060 {
        let case = generate(seed).case();
        let mut rng = Rng::new(seed);
        let total = session_at(&case, &Setup::interpreter(), u64::MAX).steps();
        for step in [rng.below(total + 1), rng.below(total + 1), total] {
            let what = format!("seed {seed}, step {step} of {total}");
            let mut traced = session_at(&case, &Setup::eager(), 0);
            let mut replay = traced.replay(step);
            let _ = traced.run(&mut replay);
            let expected = session_at(&case, &Setup::eager(), step);
            assert_state(&what, &case, &replay, &expected);
            // The last row does not show the next pc.
            if step < total {
                assert_eq!(replay.pc(), expected.pc(), "{what}");
            }
        }
    }
}

#[test]
fn a_replay_can_begin_in_the_middle() {
    let elf = std::fs::read(crate::common::guest("quicksort")).expect("the guests are in the repository");
    let mut case = Case::new(Program::from_elf(&elf).expect("a good program"));
    case.args = ["quicksort", "300"].map(|arg| arg.as_bytes().to_vec()).to_vec();
    let mut session = session_at(&case, &Setup::eager(), 10_000);
    let mut replay = session.replay(25_000);
    assert_eq!(session.run_to(20_000, &mut replay).expect("it goes on"), Status::Reached);
    assert_eq!((replay.step(), replay.registers()), (20_000, session.registers()));
    assert_eq!(session.run(&mut replay).expect("it ends"), Status::Exited { code: 0 });
    let expected = session_at(&case, &Setup::interpreter(), 25_000);
    assert_eq!((replay.step(), replay.registers()), (25_000, expected.registers()));
    assert_eq!(replay.pc(), expected.pc());
}

/// On R0VM, registers lie in memory as well, each mode has its own registers, and words are stored at a segment's end.
#[test]
fn guests_of_r0vm_at_random_steps() {
    let guests: [(&str, &[u32], u32); 7] = [
        ("kernel_modes", &[], 13),
        ("kernel_registers", &[], 13),
        ("accelerators", &[1], 16),
        ("smc", &[10], 14),
        ("recursion", &[2, 3, 50], 14),
        ("merkle", &[2, 1], 14),
        ("ledger", &[3, 4], 14),
    ];
    for (seed, (name, words, po2)) in (0..).zip(guests) {
        let path = format!("{}/guests/r0vm/bin/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        let program = Program::from_risc0(&std::fs::read(path).expect("the guests are in the repository"));
        let case = Case::new(program.expect("a good binary")).on(MachineKind::R0vm);
        let session_at = |engine, step| {
            let builder = Executor::builder().machine(MachineKind::R0vm).engine(engine).jit(JitOptions::eager());
            let host = HostEnv::builder()
                .random_seed([0; 32])
                .write_slice(words)
                .segment_limit_po2(po2)
                .build()
                .expect("a host");
            let executor = builder.build(&case.program).expect("good settings");
            executor.state_at(Env::new().host(host), step).expect("no trap before the end")
        };
        let total = session_at(Engine::Interpreter, u64::MAX).steps();
        let mut rng = Rng::new(seed);
        for step in (0..12).map(|_| rng.below(total)).chain([u64::MAX]) {
            let what = format!("{name}, step {step} of {total}");
            let mut traced = session_at(Engine::Jit, 0);
            let mut replay = traced.replay(step);
            traced.run(&mut replay).expect("it ends");
            let mut expected = session_at(Engine::Interpreter, step);
            assert_state(&what, &case, &replay, &expected);
            // A trap may precede the next row, which is then the handler's first.
            let mut next = VecSink::default();
            if step < total && expected.run_to(step + 1, &mut next).is_ok() {
                assert_eq!(replay.pc(), next.rows[0].pc, "{what}");
            }
        }
    }
}

/// A store overwrites its own register through the register's address: its row shows the old value, the next row the
/// new one.
#[test]
fn stores_into_the_register_of_their_own_address() {
    for (op, kept) in [(Op::Sw, 0), (Op::Sh, 0xffff_0000)] {
        let mut asm = Assembler::new(0xc000_0000);
        asm.li(5, 0xffff_0000 + 4 * 5);
        asm.li(6, 0x1234);
        asm.store(op, 6, 0, 5);
        asm.i(Op::Addi, 7, 5, 0);
        // a0 and a7 are 0: the program halts.
        asm.op(Op::Ecall, 0, 0, 0, 0);
        let case = Case::code(asm.base(), &asm.finish().words, Vec::new()).on(MachineKind::R0vm);
        let outcome = assert_same("a store into its own base", &case, &[Setup::eager()]);
        assert_eq!(outcome.end, End::Done(Status::Exited { code: 0 }));
        assert_eq!(outcome.state.expect("it ran").registers[7], kept | 0x1234);
    }
}

/// A trace from the start can advance a state from the middle; the rows before that state are skipped.
#[test]
fn a_recorded_trace_may_begin_before_the_replay() {
    let case = writer();
    let mut sink = VecSink::default();
    let mut whole = session_at(&case, &Setup::interpreter(), 0);
    let _ = whole.run(&mut sink);
    assert!(sink.effects.len() > 10, "{} effects", sink.effects.len());
    let from = sink.effects[sink.effects.len() / 2].step + 1;
    let mut replay = session_at(&case, &Setup::interpreter(), from).replay(u64::MAX);
    replay.rows(0, &sink.rows, &sink.effects).expect("it is the session's own trace");
    assert_state("from the middle", &case, &replay, &whole);
}

/// The replayed state at a step equals that of a session paused there.
#[test]
fn state_at_a_step() {
    let steps = |case: &Case| session_at(case, &Setup::interpreter(), u64::MAX).steps();
    let case = (5001..).map(|seed| generate(seed).case()).find(|case| steps(case) > 1000).expect("there are many");
    let executor = Setup::eager().executor(&case);
    let env = || tachy::Env::new().args(case.args.iter().cloned());
    let total = session_at(&case, &Setup::interpreter(), u64::MAX).steps();
    for step in [0, 1, total / 2, total - 1] {
        let expected = session_at(&case, &Setup::interpreter(), step);
        let found = executor.state_at(env(), step).expect("no trap before the end");
        assert_eq!((found.steps(), found.pc(), found.registers()), (step, expected.pc(), expected.registers()));
        assert_eq!(found.memory_digest(), expected.memory_digest(), "step {step}");
    }
}

/// Inconsistent rows are refused, with the step at which that shows.
#[test]
fn a_forged_trace_is_refused() {
    let mut found = 0;
    for case in (5003..5013).map(|seed| generate(seed).case()) {
        let start = session_at(&case, &Setup::interpreter(), 0);
        let mut sink = VecSink::default();
        let _ = session_at(&case, &Setup::interpreter(), 0).run(&mut sink);
        sink.rows.truncate(3000);
        let effects = |step: usize| {
            let of_step = sink.effects.iter().filter(move |effect| effect.step == step as u64);
            of_step.copied().collect::<Vec<_>>()
        };
        for forged in (0..sink.rows.len().min(400)).step_by(7) {
            let mut rows = sink.rows.clone();
            // A wrong result shows when a later step reads it.
            rows[forged].rd ^= 4;
            let mut replay = start.replay(u64::MAX);
            let result = rows.iter().enumerate().try_for_each(|(step, row)| replay.apply(row, &effects(step)));
            if let Err(ReplayError { step, .. }) = result {
                assert!(step > forged as u64, "forged at {forged}, refused at {step}");
                found += 1;
            }
        }
    }
    assert!(found > 50, "of hundreds of forged values only {found} were ever read?");
}
