//! Tests programs that never end, under both machines' limits. `tests/it/engine/limits.rs` covers `bare`'s time limit
//! and cancelling.

use std::time::Duration;

use tachy::isa::Op;
use tachy::{Env, Limits, MachineKind, NullSink};

use super::{CODE, MACHINES, case, run_alike};
use crate::common::assembler::Assembler;
use crate::common::cases::every_setup;
use crate::common::engines::{Case, assert_same};

/// Adds up for ever, without touching memory.
fn endless(machine: MachineKind) -> Case {
    let mut asm = Assembler::new(CODE);
    let top = asm.label_here();
    asm.i(Op::Addi, 5, 5, 1);
    asm.jal(0, top);
    case(machine, asm)
}

#[test]
fn loops_without_memory_end_at_limits() {
    for machine in MACHINES {
        let program = endless(machine).program;
        for setup in every_setup() {
            let steps = Limits::none().steps(3_000_001);
            let found = run_alike(&program, machine, &setup, steps);
            assert!(found.end.starts_with("step-limit"), "{}", found.end);
            assert_eq!(found.steps, 3_000_001);
            let mut case = endless(machine);
            case.limits.time = Some(Duration::from_millis(20));
            let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
            let error = session.run(&mut NullSink::off()).expect_err("it has no end");
            assert_eq!(error.kind(), "time-limit", "{setup:?}: {error}");
        }
    }
}

/// A limit on cycles covers steps and everything else that takes cycles.
#[test]
fn loops_end_at_a_limit_on_cycles() {
    let program = endless(MachineKind::R0vm).program;
    for setup in every_setup() {
        let mut case = Case::new(program.clone()).on(MachineKind::R0vm);
        case.limits.cycles = Some(200_003);
        let mut session = setup.executor(&case).start(Env::new()).expect("it starts");
        let error = session.run(&mut NullSink::off()).expect_err("it has no end");
        assert_eq!((error.kind(), session.steps()), ("cycle-limit", 200_003), "{setup:?}: {error}");
    }
}

/// Touches a new page at each step until memory or a segment is too small.
#[test]
fn loops_that_touch_all_of_memory() {
    for machine in MACHINES {
        let mut asm = Assembler::new(CODE);
        asm.li(5, 0xefff_fc00);
        asm.li(6, 1024);
        let top = asm.label_here();
        asm.store(Op::Sw, 5, 0, 5);
        asm.r(Op::Sub, 5, 5, 6);
        asm.jal(0, top);
        let mut case = case(machine, asm);
        case.limits.memory_bytes = Some(2 << 20);
        let outcome = assert_same("touches everything", &case, &super::setups());
        let state = outcome.state.expect("it ran");
        assert!(
            matches!(outcome.end, crate::common::engines::End::Failed { kind: "memory-limit", .. }),
            "{:?}",
            outcome.end
        );
        assert_eq!(state.pages, 2048);
    }
}
