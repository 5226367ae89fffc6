//! Programs in user mode, with kernels of their own. It must not know what their instructions are.

use std::collections::BTreeMap;

use crate::Program;
use crate::assembler::{A7, ECALL, MRET, OP_IMM, T0, T1, ZERO, addi, b, i, jal, lui, lw, r, sw};
use crate::body::{Body, Mode, OUTER, RECOVERY};
use crate::machine::{finish, registers, repeat, terminate};
use crate::places::{ECALL_DISPATCH, MEPC, Places, TRAP_DISPATCH, USER_BANK};
use crate::rng::Rng;

/// The kernel's count of traps.
const TRAPS: u32 = 0xc010_0000;
/// And of calls that may turn the user.
const TURNS: u32 = 0xc010_0004;
/// Calls of the user, counted from 1, that have a routine of their own; others share the last.
const ROUTINES: u32 = 4;

/// A user program under a kernel that handles its calls and its traps.
pub fn user_mode(seed: u64) -> Program {
    let mut rng = Rng::new(seed);
    let places = {
        let count = rng.within(3, 8) as usize;
        Places::new(&mut rng, count, 0xc000_0000)
    };
    let mut kernel = BTreeMap::new();
    registers(&mut rng, &mut kernel);
    // The kernel relies on x0 in its own bank.
    kernel.remove(&0xffff_0000);
    let kernel_entry = rng.pick(&[0xc000_0000, 0xc000_0300, 0xfe00_0000]) + 4 * rng.below(64);
    kernel.extend(kernel_words(&mut rng, kernel_entry, &places));

    let user_entry = rng.pick(&[0x0001_0400, 0x0020_0800, 0xbff0_0000]) + 4 * rng.below(250);
    let steps = rng.within(20, 200);
    let rounds = rng.within(1, 2 + 800 / steps);
    let mut body = Body::new(&mut rng, user_entry, &places, Mode::User);
    let over = body.asm.gap();
    body.leaves(2);
    body.asm.land(over, |distance| jal(distance, ZERO));
    body.rebase_all();
    body.asm.li(OUTER, rounds);
    let start = body.asm.here();
    body.asm.li(RECOVERY, start);
    body.steps(steps);
    repeat(&mut body, start);
    // Call 0 ends. Should the kernel come back, it ends again.
    body.asm.li(T0, 0);
    body.asm.emit(ECALL);
    body.asm.emit(jal(12u32.wrapping_neg(), ZERO));
    let mut user = places.words.clone();
    user.extend(body.asm.placed());
    finish(seed, &mut rng, user_entry, &user, kernel_entry, &kernel)
}

/// Entry, the routines of calls, the handlers of traps.
fn kernel_words(rng: &mut Rng, entry: u32, places: &Places) -> Vec<(u32, u32)> {
    // Now and then a handler is missing, unaligned, or not in the kernel's range.
    let broken = |rng: &mut Rng, handler: u32| match rng.below(150) {
        0 => 0,
        1 => handler | 2,
        2 => 0x0003_0000,
        _ => handler,
    };
    let mut body = Body::new(rng, entry, places, Mode::Machine);
    let to_start = body.asm.gap();

    let call_handler = body.asm.here();
    let routines: Vec<usize> = dispatch(&mut body);
    for gap in routines {
        body.asm.land(gap, |distance| jal(distance, ZERO));
        body.rebase_all();
        let steps = body.rng.within(1, 8);
        body.steps(steps);
        if body.rng.one_in(12) {
            turn_user(&mut body);
        }
        body.asm.emit(MRET);
    }

    let trap_handler = body.asm.here();
    count_trap(&mut body);
    body.asm.emit(MRET);
    let nowhere_handler = body.asm.here();
    count_trap(&mut body);
    body.asm.li(T0, USER_BANK);
    body.asm.emit(lw(T1, 4 * RECOVERY, T0));
    body.asm.emit(addi(T1, T1, 0xffc));
    body.asm.li(T0, MEPC);
    body.asm.emit(sw(T1, 0, T0));
    body.asm.emit(MRET);

    body.asm.land(to_start, |distance| jal(distance, ZERO));
    let call_handler = broken(body.rng, call_handler);
    store_word(&mut body, ECALL_DISPATCH, call_handler);
    for cause in 0..10 {
        let handler = broken(body.rng, if cause == 1 { nowhere_handler } else { trap_handler });
        store_word(&mut body, TRAP_DISPATCH + 4 * cause, handler);
    }
    // The loader left the user's entry here.
    body.asm.li(T0, 0x0001_0000);
    body.asm.emit(lw(T1, 0, T0));
    body.asm.emit(addi(T1, T1, 0xffc));
    body.asm.li(T0, MEPC);
    body.asm.emit(sw(T1, 0, T0));
    body.asm.emit(MRET);
    body.asm.placed().collect()
}

/// Looks at the user's t0: 0 terminates here, the others jump to what fills the gaps, in order.
fn dispatch(body: &mut Body<'_>) -> Vec<usize> {
    body.asm.li(T0, USER_BANK);
    body.asm.emit(lw(T0, 4 * T0, T0));
    body.asm.emit(lui(0, T1));
    let not_zero = body.asm.gap();
    terminate(body, true);
    // After a pause the user goes on.
    body.asm.emit(MRET);
    body.asm.land(not_zero, |distance| b(distance, T1, T0, 1));
    let mut gaps = Vec::new();
    for number in 1..ROUTINES {
        body.asm.li(T1, number);
        body.asm.emit(b(8, T1, T0, 1));
        gaps.push(body.asm.gap());
    }
    gaps.push(body.asm.gap());
    gaps
}

fn count_trap(body: &mut Body<'_>) {
    body.asm.li(T0, TRAPS);
    body.asm.emit(lw(T1, 0, T0));
    body.asm.emit(addi(T1, T1, 1));
    body.asm.emit(sw(T1, 0, T0));
}

/// Every now and then sends the user on in the middle of a word, or back from there: the same instructions, but for what
/// they say of their pc.
fn turn_user(body: &mut Body<'_>) {
    body.asm.li(T0, TURNS);
    body.asm.emit(lw(A7, 0, T0));
    body.asm.emit(addi(A7, A7, 1));
    body.asm.emit(sw(A7, 0, T0));
    body.asm.emit(i(OP_IMM, 2, A7, 7, A7));
    body.asm.li(T0, MEPC);
    body.asm.emit(lw(T1, 0, T0));
    body.asm.emit(r(0, A7, T1, 4, T1));
    body.asm.emit(sw(T1, 0, T0));
}

fn store_word(body: &mut Body<'_>, address: u32, word: u32) {
    body.asm.li(T0, address);
    body.asm.li(T1, word);
    body.asm.emit(sw(T1, 0, T0));
}
