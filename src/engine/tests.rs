//! Tests of states that no caller's code can produce: a session whose run ended in a panic of the library, and a hart
//! whose native code is of another level.

use super::*;
use crate::bare::{Bare, GuestStreams, Settings};
use crate::decode::{Instruction, encode};
use crate::isa::Op;
use crate::jit::JitOptions;
use crate::machine::Budget;
use crate::program::{Permissions, Program, Segment};
use crate::trace::NullSink;
use tachy_runtime::Slot;

#[test]
fn a_broken_session_is_refused() {
    // A jump to itself.
    let segment = Segment::from_words(0x1_0000, &[0x6f], Permissions::RX);
    let program = Program::from_segments(0x1_0000, vec![segment]).unwrap();
    let (mut vm, mut budget, env) = (Vm::new().unwrap(), Budget::default(), GuestStreams::from(Settings::default()));
    let machine = Bare::boot(&program, &env, &mut vm.state(), &mut budget).unwrap();
    let options = Options { buffer_rows: 256, alternate_engines: false, merge_interval_steps: 0 };
    let mut hart = Hart::<Bare>::new(vm, machine, ExecutionContext::new(env, budget), None, options);
    let (limits, cancel, mut sink) = (Limits::default(), CancelHandle::default(), NullSink::off());
    assert!(matches!(hart.run(5, &limits, &cancel, &mut sink), Ok(Status::Reached)));
    // The state that a panic of the engine leaves.
    hart.under_way = true;
    for _ in 0..2 {
        let error = hart.run(10, &limits, &cancel, &mut sink).unwrap_err();
        assert_eq!((error.kind(), error.location().unwrap().step, hart.vm.steps()), ("broken", 5, 5));
    }
}

const CODE: u32 = 0x1_0000;

fn insn(op: Op, rd: u8, rs1: u8, rs2: u8, imm: i32) -> u32 {
    encode(Instruction { op, rd, rs1, rs2, imm: imm as u32 })
}

/// Creates a hart in an endless loop; it runs native code from its second round on.
fn hart() -> Hart<'static, Bare> {
    let words = [insn(Op::Addi, 5, 5, 0, 1), insn(Op::Beq, 0, 0, 0, -4)];
    let program = Program::from_segments(CODE, vec![Segment::from_words(CODE, &words, Permissions::RX)]).unwrap();
    let (mut vm, mut budget, env) = (Vm::new().unwrap(), Budget::default(), GuestStreams::from(Settings::default()));
    let machine = Bare::boot(&program, &env, &mut vm.state(), &mut budget).unwrap();
    let caches = Caches::new(&JitOptions::eager(), Bare::RULES, &program);
    let options = Options { buffer_rows: 256, alternate_engines: false, merge_interval_steps: 0 };
    Hart::<Bare>::new(vm, machine, ExecutionContext::new(env, budget), Some(caches.into()), options)
}

fn run(hart: &mut Hart<'static, Bare>, until: u64, mut sink: NullSink) -> Result<Status, Error> {
    hart.run(until, &Limits::default(), &CancelHandle::default(), &mut sink)
}

#[test]
fn native_code_of_another_level_is_an_error() {
    for (first, second) in [(NullSink::off(), NullSink::rows()), (NullSink::rows(), NullSink::off())] {
        let mut hart = hart();
        assert_eq!(run(&mut hart, 1000, first).unwrap(), Status::Reached);
        let entries = hart.stats().entries;
        // No run does this without changing its native code as well.
        hart.vm.set_row_capacity(if hart.vm.tracing() { 0 } else { 256 }).unwrap();
        let mut sink = NullSink::off();
        let cancel = CancelHandle::default();
        let mut control = Control {
            stop_step: 2000,
            slice_steps: 100,
            alternate_engines: false,
            deadline: None,
            cancel: &cancel,
            sink: &mut sink,
            sink_failed: false,
        };
        let ended = hart.run_slices(&mut control);
        if entries > 0 {
            assert!(matches!(ended, Ended::Internal(_)), "it ran code of another level");
            assert_eq!((hart.location().step, hart.vm.register(Slot::x(5))), (1000, 500));
        }
        let error = hart.ended(ended, 2000, &Limits::default()).unwrap_err();
        assert!(error.kind() == "internal" && error.to_string().contains("step 1000"), "{error}");
        // The next run brings both together again, whatever its level.
        assert_eq!(run(&mut hart, 3000, second).unwrap(), Status::Reached);
        assert_eq!(hart.vm.register(Slot::x(5)), 1500);
        assert!(hart.stats().entries > entries);
    }
}
