//! Calls of the machine with arguments that are mostly right, at any alignment and length. It must not know what else a
//! program does.

use crate::assembler::{A0, A1, A2, A3, A4, A7, ECALL, T0, T1, sw};
use crate::body::Body;
use crate::places::USER_BANK;

const LENGTHS: [u32; 18] = [0, 0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 33, 100, 257, 1024];

/// One call of the machine, in machine mode.
pub fn machine_call(body: &mut Body<'_>) {
    match body.rng.below(60) {
        0..26 => read(body),
        26..32 => fetch_results(body),
        32..45 => poseidon2(body),
        45..56 => sha2(body),
        56..59 => write(body),
        // Nobody knows this one.
        _ if body.rng.one_in(6) => finish(body, 6),
        _ => read(body),
    }
}

fn finish(body: &mut Body<'_>, number: u32) {
    body.asm.li(A7, number);
    body.asm.emit(ECALL);
}

/// A read of a call by name. The host finds its arguments in the user's registers.
fn read(body: &mut Body<'_>) {
    let length = body.rng.pick(&LENGTHS);
    let which = body.rng.below(8).min(3) as usize;
    // Only READ and RANDOM have data to give.
    let which = if which == 3 { 0 } else { which };
    let length = if which == 1 { 0 } else { length };
    body.asm.li(T0, USER_BANK);
    body.asm.li(T1, 0);
    body.asm.emit(sw(T1, 4 * A3, T0));
    // The host panics at a length below what it is to deliver, in whole words.
    let wanted = if body.rng.one_in(60) { body.rng.below(1100) } else { length.next_multiple_of(4) };
    body.asm.li(T1, wanted);
    body.asm.emit(sw(T1, 4 * A4, T0));
    let (name, address) = (body.places.names[which], body.places.anywhere(body.rng));
    body.asm.li(A0, name);
    body.asm.li(A1, if length == 0 && body.rng.one_in(2) { 0 } else { address });
    body.asm.li(A2, if body.rng.one_in(200) { 1025 } else { length });
    finish(body, 1);
}

/// The results of the last call, two words.
fn fetch_results(body: &mut Body<'_>) {
    let address = body.places.anywhere(body.rng);
    body.asm.li(A0, 0);
    body.asm.li(A1, address);
    body.asm.li(A2, 8);
    finish(body, 1);
}

fn write(body: &mut Body<'_>) {
    let (length, address) = (body.rng.pick(&LENGTHS), body.places.anywhere(body.rng));
    body.asm.li(A0, 1);
    body.asm.li(A1, address);
    body.asm.li(A2, length);
    finish(body, 2);
}

/// Word addresses; blocks of half-words, or of elements with bit 31. What it is to check (bit 30) is mostly wrong.
fn poseidon2(body: &mut Body<'_>) {
    let page = body.places.anywhere(body.rng) & !0x3ff;
    let state = if body.rng.one_in(2) { 0 } else { (page >> 2) + body.rng.below(200) };
    let data = if body.rng.one_in(8) { body.places.anywhere(body.rng) >> 2 } else { (page >> 2) + body.rng.below(200) };
    let out = (page >> 2) + body.rng.below(200);
    let elements = if body.rng.one_in(4) { 1 << 31 } else { 0 };
    let checked = if body.rng.one_in(40) { 1 << 30 } else { 0 };
    let count = body.rng.below(5);
    body.asm.li(A0, state);
    body.asm.li(A1, data);
    body.asm.li(A2, out);
    body.asm.li(A3, elements | checked | count);
    finish(body, 3);
}

/// Byte addresses, which the machine rounds down. Any words do for constants.
fn sha2(body: &mut Body<'_>) {
    // Mostly in one page: a call that touches many costs more than the shortest segment has.
    let page = body.places.anywhere(body.rng) & !0x3ff;
    let is_near = !body.rng.one_in(12);
    for register in [A0, A1, A2, A4] {
        let address = if is_near { page + body.rng.below(0x300) } else { body.places.anywhere(body.rng) };
        body.asm.li(register, address);
    }
    let blocks = if is_near { body.rng.pick(&[0, 1, 1, 2, 3]) } else { body.rng.pick(&[1, 10]) };
    let ignored = if body.rng.one_in(4) { 0x0005_0000 } else { 0 };
    body.asm.li(A3, if body.rng.one_in(60) { 11 } else { blocks } | ignored);
    finish(body, 4);
}
