//! Tests of helpers with wrong answers: native code must never continue where it would leave the slice.

use super::*;
use crate::row::{ROW_BYTES, Row};

/// Answers with these functions.
struct Answers<A, R>(A, R);

impl<A, R> Assist for Answers<A, R>
where
    A: FnMut(&mut HartState<'_>, u32) -> Verdict,
    R: FnMut(&mut BetweenSlices<'_>, u32) -> Verdict,
{
    fn access(&mut self, vm: &mut HartState<'_>, address: u32, _: Access, _: u32) -> Verdict {
        self.0(vm, address)
    }

    fn access_group(&mut self, vm: &mut HartState<'_>, group: u32, _: u32) -> Verdict {
        self.0(vm, group)
    }

    fn refill(&mut self, vm: &mut BetweenSlices<'_>, steps: u32) -> Verdict {
        self.1(vm, steps)
    }

    fn system(&mut self, _: &mut BetweenSlices<'_>) -> Proceed {
        Proceed::Stop
    }
}

/// Executes system instructions with this function.
struct Systems<S>(S);

impl<S: FnMut(&mut BetweenSlices<'_>) -> Proceed> Assist for Systems<S> {
    fn access(&mut self, _: &mut HartState<'_>, _: u32, _: Access, _: u32) -> Verdict {
        Verdict::Stop
    }

    fn access_group(&mut self, _: &mut HartState<'_>, _: u32, _: u32) -> Verdict {
        Verdict::Stop
    }

    fn refill(&mut self, _: &mut BetweenSlices<'_>, _: u32) -> Verdict {
        Verdict::Stop
    }

    fn system(&mut self, vm: &mut BetweenSlices<'_>) -> Proceed {
        self.0(vm)
    }
}

/// Makes a request through one of the helpers, like generated code. Returns whether the verdict is to stop, and whether
/// the answer panicked.
fn ask(
    vm: &mut Vm,
    helper: unsafe extern "C" fn(*mut u8),
    [subject, request]: [u32; 2],
    assist: &mut dyn Assist,
) -> (bool, bool) {
    ask_with(vm, &[], helper, [subject, request], assist)
}

/// Does [`ask`] with these code memories.
fn ask_with(
    vm: &mut Vm,
    codes: &[&CodeMemory],
    helper: unsafe extern "C" fn(*mut u8),
    [subject, request]: [u32; 2],
    assist: &mut dyn Assist,
) -> (bool, bool) {
    let mut host = Host { assist, codes, panic: None, broken: None };
    let base = vm.base().as_ptr();
    let context = VmContext::below(base);
    // SAFETY: as in `enter`: the Vm is borrowed exclusively, and the targets of the pointers live meanwhile.
    let verdict = unsafe {
        (*context).host = (&raw mut host).cast();
        (*context).assist_subject = subject;
        (*context).assist_request = request;
        helper(base);
        (*context).host = ptr::null_mut();
        (*context).verdict
    };
    (verdict != 0, host.panic.is_some())
}

fn refill(vm: &mut Vm, steps: u32, answer: impl FnMut(&mut BetweenSlices<'_>, u32) -> Verdict) -> (bool, bool) {
    ask(vm, refill_helper, [0, steps], &mut Answers(|_: &mut HartState<'_>, _| Verdict::Stop, answer))
}

fn harts() -> [Vm; 2] {
    [0, 64].map(|capacity| {
        let mut vm = Vm::new().expect("there is room");
        vm.set_row_capacity(capacity).expect("there is room");
        vm
    })
}

#[test]
fn native_code_goes_on_only_in_a_slice_that_holds_its_steps() {
    for mut vm in harts() {
        let opens = |room: u64| {
            move |vm: &mut BetweenSlices<'_>, _: u32| {
                vm.open_slice(room);
                Verdict::Continue
            }
        };
        assert_eq!(refill(&mut vm, 1, |_, _| Verdict::Continue), (true, false), "nothing was opened");
        assert_eq!(refill(&mut vm, 9, opens(8)), (true, false), "too little was opened");
        assert_eq!(refill(&mut vm, 8, opens(8)), (false, false));
        assert_eq!(refill(&mut vm, 8, |_, _| Verdict::Stop), (true, false));
        let stops = refill(&mut vm, 8, |vm, _| {
            vm.end_slice();
            Verdict::Continue
        });
        assert_eq!(stops, (true, false), "it was charged");
        assert_eq!(refill(&mut vm, 8, |_, _| panic!("on purpose")), (true, true));
    }
    // The buffer has less room than that.
    let [_, mut rows] = harts();
    let opens = |vm: &mut BetweenSlices<'_>, _: u32| {
        vm.open_slice(u64::MAX);
        Verdict::Continue
    };
    assert_eq!(refill(&mut rows, 65, opens), (true, false));
    assert_eq!(refill(&mut rows, 64, opens), (false, false));
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn system_instructions_lead_to_entries_alone() {
    use crate::code::tests::{memory, publish};
    let [filled, empty] = [(); 2].map(|()| memory().expect("there is room"));
    let function = publish(&filled, &[&[0; 32]]).expect("there is room")[0];
    filled.set_entry(0x1000, function, 1, 0);
    let [mut vm, _] = harts();
    let mut leads = |codes: &[&CodeMemory], to: u32, proceed| {
        let answer = |vm: &mut BetweenSlices<'_>| {
            vm.set_pc(to);
            proceed
        };
        let (stops, panics) = ask_with(&mut vm, codes, system_helper, [0, 0], &mut Systems(answer));
        assert!(!panics && vm.pc() == to);
        // SAFETY: the context is the Vm's.
        let base = unsafe { (*VmContext::below(vm.base().as_ptr())).code_base };
        (!stops).then_some(base)
    };
    let both = [&empty, &filled];
    assert_eq!(leads(&both, 0x1000, Proceed::In(1)), Some(filled.base()));
    assert_eq!(leads(&both, 0x1000, Proceed::Stop), None);
    assert_eq!(leads(&both, 0x1000, Proceed::In(0)), None, "a memory that has never had an entry");
    assert_eq!(leads(&both, 0x1000, Proceed::In(2)), None, "a memory that there is not");
    for misaligned in [0x1001, 0x1002, 0x1003] {
        assert_eq!(leads(&both, misaligned, Proceed::In(1)), None, "generated code would find the entry at 0x1000");
    }
    let mut panics = Systems(|_: &mut BetweenSlices<'_>| panic!("on purpose"));
    assert_eq!(ask_with(&mut vm, &both, system_helper, [0, 0], &mut panics), (true, true));
}

#[test]
fn an_access_is_requested_at_its_own_step() {
    for mut vm in harts() {
        vm.between_slices().open_slice(10);
        // A block of seven steps is counted, and its third step makes the request.
        let unit = vm.progress_unit();
        let context = VmContext::below(vm.base().as_ptr());
        // SAFETY: the context is the Vm's.
        unsafe { (*context).progress += 7 * if unit == ProgressUnit::Row { ROW_BYTES as u64 } else { 1 } };
        assert_eq!(vm.steps(), 7);
        let request = AssistRequest::Access(Access::Load(4)).pack(5, 5);
        let mut seen = None;
        let access = |vm: &mut HartState<'_>, address: u32| {
            seen = Some((vm.steps(), vm.slice_left(), address));
            Verdict::Continue
        };
        let mut answers = Answers(access, |_: &mut BetweenSlices<'_>, _| Verdict::Stop);
        assert_eq!(ask(&mut vm, access_helper, [0x1234, request], &mut answers), (false, false));
        assert_eq!(seen, Some((2, 8, 0x1234)));
    }
}

/// Requests that generated code never makes do not reach the engine.
#[test]
fn requests_that_make_no_sense_stop_native_code() {
    for mut vm in harts() {
        let unknown = 3;
        // The hart has done no step that could be taken back.
        let too_early = AssistRequest::Access(Access::Load(4)).pack(1, 1);
        vm.between_slices().open_slice(10);
        for request in [unknown, too_early] {
            let never = |_: &mut HartState<'_>, _| panic!("the engine was called");
            let mut answers = Answers(never, |_: &mut BetweenSlices<'_>, _| Verdict::Continue);
            assert_eq!(ask(&mut vm, access_helper, [0x1234, request], &mut answers), (true, false), "{request:#x}");
            assert_eq!(vm.steps(), 0);
        }
    }
}

/// An interpreter that does one step.
struct OneStep;

impl crate::hart::Interpret for OneStep {
    type Output = bool;

    fn run<const ROWS: bool>(self, hart: &mut crate::hart::Stepping<'_, ROWS>) -> bool {
        hart.count(Row { pc: 4, ..Row::default() });
        ROWS
    }
}

#[test]
fn rows_are_kept_as_far_as_the_buffer_goes() {
    let [mut off, mut rows] = harts();
    assert!(!off.interpret(OneStep) && off.steps() == 1 && off.between_slices().rows().is_empty());
    for step in 1..=64 {
        assert!(rows.interpret(OneStep) && rows.steps() == step);
    }
    assert_eq!(rows.between_slices().rows(), [Row { pc: 4, ..Row::default() }; 64]);
    let beyond = catch_unwind(AssertUnwindSafe(|| rows.interpret(OneStep)));
    assert!(beyond.is_err() && rows.steps() == 64);
    rows.between_slices().clear_rows();
    assert!(rows.interpret(OneStep) && rows.steps() == 65 && rows.row_count() == 1);
    rows.between_slices().open_slice(u64::MAX);
    assert_eq!(rows.slice_left(), 63);
    // A new buffer replaces the old one, and then there is no buffer.
    rows.set_row_capacity(300).expect("there is room");
    assert!(rows.steps() == 65 && rows.row_count() == 0 && rows.slice_over());
    assert!(rows.interpret(OneStep) && rows.between_slices().rows().len() == 1);
    rows.set_row_capacity(0).expect("it takes no room");
    assert!(!rows.interpret(OneStep) && rows.steps() == 67 && !rows.tracing());
}
