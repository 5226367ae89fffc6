//! Tests what stops a program of R0VM from outside, and whether it continues correctly: limits, and segments that no
//! callback takes.

use tachy::isa::Op;
use tachy::risc0::Segment;
use tachy::risc0::host::HostEnv;
use tachy::trace::VecSink;
use tachy::{Env, Error, NullSink, Status};

use super::{A0, A1, A2, A7, DATA, ECALL, PAGE_BYTES, T1, WRITE, case, ecall, setups, terminate};
use crate::common::assembler::Assembler;
use crate::common::engines::{Setup, run};

/// A trap that a memory limit stops on its way to the handler is repeated, and recorded once.
#[test]
fn a_trap_that_is_stopped_and_done_again() {
    let write = |asm: &mut Assembler| {
        asm.li(5, DATA);
        asm.store(Op::Sw, 5, 0, 5);
        asm.word(0);
    };
    let program = case(write, &[]);
    let whole = run(&program, &Setup::interpreter());
    for setup in setups().into_iter().chain([Setup::interpreter()]) {
        let mut limited = 0;
        for pages in 1.. {
            let mut case = program.clone();
            case.limits.memory_bytes = Some(pages * PAGE_BYTES as u64);
            let executor = setup.executor(&case);
            let (mut sink, mut session) = (VecSink::default(), executor.start(Env::new()).expect("it starts"));
            if !matches!(session.run(&mut sink), Err(Error::Limit(_))) {
                break;
            }
            limited += 1;
            session.limits_mut().memory_bytes = None;
            assert!(matches!(session.run(&mut sink), Err(Error::Trap(_))), "{setup:?}, {pages} pages");
            assert!(sink.effects == whole.effects, "{setup:?}, {pages} pages: {:?}", sink.effects);
        }
        assert!(limited >= 3, "{setup:?}: {limited}");
    }
}

/// If taking a segment fails after the last step, nothing more executes, even when the session is run again.
#[test]
fn segments_that_nobody_takes_at_the_end() {
    let write = |asm: &mut Assembler| {
        asm.li(5, 4000);
        let top = asm.label_here();
        asm.i(Op::Addi, 5, 5, -1);
        asm.branch(Op::Bne, 5, 0, top);
        terminate(asm);
        // Must never execute.
        asm.li(T1, 0x666);
        terminate(asm);
    };
    let case = case(write, &[]);
    let whole = run(&case, &Setup::interpreter());
    for setup in [Setup::interpreter(), Setup::eager()] {
        let executor = setup.executor(&case);
        let cut = |fails: Option<u64>| {
            let (mut taken, mut next) = (Vec::new(), 0);
            let take = |segment: &Segment| {
                next += 1;
                if Some(next - 1) == fails {
                    return Err("not now".into());
                }
                taken.push(segment.index());
                Ok(())
            };
            let mut session = executor.start(Env::new().segment_po2(13).segments(take)).expect("it starts");
            let first = session.run(&mut NullSink::off()).is_ok();
            let again = session.run(&mut NullSink::off());
            let end = (session.steps(), session.exit_code(), session.registers()[usize::from(T1)]);
            drop(session);
            (first, again, end, taken)
        };
        let (.., end, all) = cut(None);
        assert_eq!(end, (whole.rows.len() as u64, Some(0), 0));
        assert!(all.len() > 8, "{all:?}");
        for fails in &all {
            let (first, again, found, taken) = cut(Some(*fails));
            assert!(!first, "{setup:?}, {fails}");
            assert!(matches!(again, Ok(Status::Exited { code: 0 }) | Err(Error::Ended { .. })), "{again:?}");
            assert_eq!(found, end, "{setup:?}, {fails}");
            // All segments are still taken.
            assert_eq!(taken, all, "{setup:?}, {fails}");
        }
    }
}

/// The kernel's messages count as output, and the run's output limit also applies on this machine.
#[test]
fn output_is_limited() {
    const SAID_BYTES: u32 = 100;
    let write = |asm: &mut Assembler| {
        asm.li(8, 5);
        let top = asm.label_here();
        asm.li(A0, 1);
        asm.li(A1, DATA);
        asm.li(A2, SAID_BYTES);
        asm.li(A7, WRITE);
        ecall(asm);
        asm.i(Op::Addi, 8, 8, -1);
        asm.branch(Op::Bne, 8, 0, top);
        terminate(asm);
    };
    let case = case(write, &[(DATA, &[0x2e2e_2e2e; 25])]);
    // The kernel's messages, rows, effects and counts, in one run, or in two with a limit between.
    let say = |setup: &Setup, limit: Option<u64>| {
        let mut case = case.clone();
        case.limits.output_bytes = limit;
        let executor = setup.executor(&case);
        let (mut said, mut sink, mut stopped) = (Vec::new(), VecSink::default(), None);
        let host = HostEnv::builder().kernel_output(&mut said).build().expect("it is built");
        let mut session = executor.start(Env::new().host(host)).expect("it starts");
        let mut result = session.run(&mut sink);
        if let Err(error) = &result {
            assert_eq!(error.kind(), "output-limit", "{setup:?}, {limit:?}");
            stopped = Some(session.steps());
            session.limits_mut().output_bytes = None;
            result = session.run(&mut sink);
        }
        assert!(matches!(result, Ok(Status::Exited { code: 0 })), "{setup:?}, {limit:?}: {result:?}");
        let calls = session.report().map(|report| report.ecalls);
        drop(session);
        (stopped, (said, sink.rows, sink.effects, calls))
    };
    let (_, whole) = say(&Setup::interpreter(), None);
    assert_eq!(whole.0.len(), 5 * SAID_BYTES as usize);
    let ecalls: Vec<u64> = (0..).zip(&whole.1).filter(|(_, row)| row.insn == ECALL).map(|(step, _)| step).collect();
    for setup in setups().into_iter().chain([Setup::interpreter()]) {
        for (limit, stops_at) in [(0, Some(0)), (99, Some(0)), (100, Some(1)), (499, Some(4)), (500, None)] {
            let (stopped, found) = say(&setup, Some(limit));
            assert_eq!(stopped, stops_at.map(|call: usize| ecalls[call]), "{setup:?}, {limit}");
            assert!(found == whole, "{setup:?}, {limit}");
        }
    }
}
