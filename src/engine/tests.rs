//! What no caller's code can bring about: a session whose run ended in a panic of the library's own.

use super::*;
use crate::env::Env;
use crate::machine::{Bare, Budget};
use crate::program::{Permissions, Program, Segment};
use crate::trace::NullSink;

#[test]
fn a_broken_session_is_refused() {
    // A jump to itself.
    let segment = Segment::from_words(0x1_0000, &[0x6f], Permissions::RX);
    let program = Program::from_segments(0x1_0000, vec![segment]).unwrap();
    let (mut vm, mut budget, env) = (Vm::new().unwrap(), Budget::default(), Env::new());
    let machine = Bare::boot(&program, &env, &mut vm, &mut budget).unwrap();
    let options = Options { caches: None, buffer_rows: 256, take_turns: false, regrow_steps: 0 };
    let mut hart = Hart::new(vm, machine, World::new(env, budget), options);
    let (limits, cancel, mut sink) = (Limits::default(), CancelHandle::default(), NullSink::off());
    assert!(matches!(hart.run(5, &limits, &cancel, &mut sink), Ok(Status::Paused)));
    // As a panic of the engine's leaves it.
    hart.under_way = true;
    for _ in 0..2 {
        let error = hart.run(10, &limits, &cancel, &mut sink).unwrap_err();
        assert_eq!((error.kind(), error.place().unwrap().step, hart.vm.steps()), ("broken", 5, 5));
    }
}
