//! Tests the report of an ended session on machine `r0vm`: everything that a proof needs besides the segments.

use tachy::program::{Permissions, Segment};
use tachy::risc0::host::{Assumption, HostEnv};
use tachy::risc0::{Digest, Exit, MachineError, Report};
use tachy::{Engine, Env, Error, Executor, MachineKind, NullSink, Program, Session, Status};

use crate::common::assembler::Assembler;

const ENGINES: [Engine; 3] = [Engine::Interpreter, Engine::Jit, Engine::Crosscheck];

fn executor(guest: &str, engine: Engine) -> Executor {
    let path = format!("{}/guests/r0vm/bin/{guest}.bin", env!("CARGO_MANIFEST_DIR"));
    let binary = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let program = Program::from_risc0(&binary).expect("a good binary");
    Executor::builder().machine(MachineKind::R0vm).engine(engine).build(&program).expect("good settings")
}

fn report(session: &Session<'_>) -> Report {
    session.report().expect("the machine is r0vm")
}

/// Asserts that the guest's output is the digest of the report's journal and assumptions. The claim that the segments
/// prove is then the claim that the report's parts give.
fn agrees(report: &Report) {
    let claim = report.claim().expect("segments were asked for");
    assert_eq!(Some(claim), report.claim_with(&report.assumptions));
    assert_eq!(report.journal.is_some(), claim.output != Digest::ZERO);
}

#[test]
fn a_pause_is_no_exit_and_each_part_has_a_report() {
    for engine in ENGINES {
        let host = HostEnv::builder().write_slice(&[2u32, 10, 20, 30]).build().expect("a host");
        let env = Env::new().host(host).segments(|_| Ok(()));
        let mut session = executor("pause", engine).start(env).expect("it starts");
        let mut ends = Vec::new();
        loop {
            let status = session.run(&mut NullSink::off()).expect("it goes on");
            let part = report(&session);
            agrees(&part);
            assert_eq!(part.earlier.len(), ends.len(), "{engine:?}");
            let journal = part.journal.clone().expect("it commits").bytes;
            ends.push((part.exit, journal, part.claim().expect("it has ended").digest()));
            match status {
                Status::Paused { code } => assert_eq!(part.exit, Some(Exit::Paused(code as u16))),
                status => {
                    assert_eq!((status, part.exit), (Status::Exited { code: 0 }, Some(Exit::Halted(0))));
                    break;
                }
            }
            session.resume().expect("it paused");
            assert!(report(&session).journal.is_none() && report(&session).claim().is_none());
        }
        let last = report(&session);
        let parts: Vec<&Report> = last.earlier.iter().chain([&last]).collect();
        let said: Vec<_> = parts
            .iter()
            .map(|part| (part.exit, part.journal.clone().expect("it commits").bytes, part.claim().unwrap().digest()))
            .collect();
        assert!(said == ends && parts.len() == 3, "{engine:?}");
        assert_eq!(parts.iter().map(|part| part.steps).sum::<u64>(), session.steps(), "{engine:?}");
        for pair in parts.windows(2) {
            assert_eq!(pair[0].claim().unwrap().post, pair[1].claim().unwrap().pre, "{engine:?}");
        }
    }
}

/// The report contains the guest's assumptions and Keccak batches, and what the host committed to.
#[test]
fn what_a_guest_relies_on_is_in_the_report() {
    for engine in ENGINES {
        let mut builder = HostEnv::builder();
        builder.input_digest([5; 32]).povw([9; 20], 77).io_callback("echo", |request| Ok(request.to_vec()));
        for claim in 0..=255 {
            builder.add_assumption(Assumption { claim: [claim; 32], control_root: None });
        }
        let mut nonces = Vec::new();
        let env = Env::new().host(builder.build().expect("a host")).segments(|segment| {
            nonces.push(segment.povw_nonce().copied());
            Ok(())
        });
        let mut session = executor("calls", engine).start(env).expect("it starts");
        session.run(&mut NullSink::off()).expect("it ends well");
        let report = report(&session);
        assert_eq!(report.input, Digest::from_bytes([5; 32]));
        assert!(!report.assumptions.is_empty(), "{engine:?}: the guest verifies claims");
        assert_ne!(report.claim_with(&report.assumptions), report.claim_with(&[]));
        let job = report.povw.expect("it was given");
        assert_eq!((job.log, job.job), ([9; 20], 77));
        drop(session);
        for (index, nonce) in (0..).zip(nonces) {
            assert_eq!(nonce, Some(job.nonce(index)));
        }

        let host = HostEnv::builder().write_slice(&[300u32, 1]).build().expect("a host");
        let outcome = executor("keccak", engine).run(Env::new().host(host)).expect("it ends well");
        let report = outcome.into_report().expect("the machine is r0vm");
        let permutations: Vec<usize> = report.keccaks.iter().map(|batch| batch.inputs.len()).collect();
        // 300 bytes are three blocks of 136. A last block of padding alone is not needed.
        assert_eq!(permutations, [3], "{engine:?}");
    }
}

/// A panic leaves no journal, and neither does an end with a zero output, whatever was written to descriptor 3.
#[test]
fn a_journal_counts_when_it_is_committed() {
    for engine in ENGINES {
        let host = HostEnv::builder().write_slice(&[0u32]).build().expect("a host");
        let mut session = executor("panic", engine).start(Env::new().host(host)).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it panics");
        assert!(report(&session).journal.is_none(), "{engine:?}: {error}");
    }
}

/// A kind of end that RISC Zero does not know is an error after the last segment.
#[test]
fn an_end_of_an_unknown_kind_is_an_error() {
    let mut asm = Assembler::new(0xc000_0000);
    asm.li(17, 0);
    asm.li(10, 0x0003_0002);
    asm.word(0x73);
    let code = Segment::from_words(0xc000_0000, &asm.finish().words, Permissions::RX);
    let program = Program::from_segments(0xc000_0000, vec![code]).expect("a good program");
    for engine in ENGINES {
        let executor = Executor::builder().machine(MachineKind::R0vm).engine(engine).build(&program);
        let mut segments = 0;
        let env = Env::new().segments(|_| {
            segments += 1;
            Ok(())
        });
        let mut session = executor.expect("good settings").start(env).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it has no good end");
        assert!(matches!(error.risc0(), Some(MachineError::Illegal { word: 0x0003_0002, .. })), "{engine:?}: {error}");
        assert_eq!((session.exit_code(), report(&session).exit), (None, Some(Exit::Unknown(0x0003_0002))));
        assert!(report(&session).claim().is_none());
        assert!(matches!(session.run(&mut NullSink::off()), Err(Error::Ended { .. })));
        drop(session);
        assert_eq!(segments, 1, "{engine:?}");
    }
}
