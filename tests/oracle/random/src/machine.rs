//! Programs in machine mode. It must not know what their instructions are.

use std::collections::BTreeMap;

use crate::Program;
use crate::assembler::{A0, A1, A7, ECALL, T0, ZERO, addi, b, jal, lui, sw};
use crate::body::{Body, Mode, OUTER};
use crate::elf::elf;
use crate::places::{GLOBAL_OUTPUT, MACHINE_BANK, Places, USER_BANK};
use crate::rng::Rng;

/// A program in the kernel's place; its user program is never reached.
pub fn machine_mode(seed: u64) -> Program {
    let mut rng = Rng::new(seed);
    let location = rng.pick(&[0x0001_0400, 0x0002_0000, 0x0600_0000, 0xc000_0000, 0xff00_0000, 0xfff8_0000]);
    let base = location + 4 * rng.below(250);
    let count = rng.within(3, 9) as usize;
    let end = if rng.one_in(2) { u32::MAX } else { 0xc000_0000 };
    let places = Places::new(&mut rng, count, end);
    let mut words = places.words.clone();
    registers(&mut rng, &mut words);

    let steps = rng.within(20, 250);
    let rounds = rng.within(1, 2 + 1000 / steps);
    let mut body = Body::new(&mut rng, base, &places, Mode::Machine);
    let over = body.asm.gap();
    body.leaves(3);
    body.asm.land(over, |distance| jal(distance, ZERO));
    body.rebase_all();
    body.asm.li(OUTER, rounds);
    let start = body.asm.here();
    body.steps(steps);
    repeat(&mut body, start);
    terminate(&mut body, false);
    words.extend(body.asm.placed());
    finish(seed, &mut rng, 0x0008_0000, &BTreeMap::from([(0x0008_0000, ECALL)]), base, &words)
}

/// Counts down and goes back to `start`, however far that is.
pub fn repeat(body: &mut Body<'_>, start: u32) {
    body.asm.emit(addi(OUTER, OUTER, 0xfff));
    // x0 may hold anything in machine mode.
    body.asm.emit(lui(0, T0));
    body.asm.emit(b(8, OUTER, T0, 5));
    let distance = start.wrapping_sub(body.asm.here());
    body.asm.emit(jal(distance, ZERO));
}

/// Leaves an output and ends, for good or, if `may_pause`, perhaps with a pause.
pub fn terminate(body: &mut Body<'_>, may_pause: bool) {
    body.asm.li(T0, GLOBAL_OUTPUT);
    let words = body.rng.below(9);
    for word in 0..words {
        let register = body.rng.below(32);
        body.asm.emit(sw(register, 4 * word, T0));
    }
    let kind = if may_pause { body.rng.below(2) } else { 0 };
    let code = body.rng.below(256) << 16;
    body.asm.li(A0, code | kind);
    let other = body.rng.operand();
    body.asm.li(A1, other);
    body.asm.li(A7, 0);
    body.asm.emit(ECALL);
}

/// First values for both banks; seldom for x0.
pub fn registers(rng: &mut Rng, words: &mut BTreeMap<u32, u32>) {
    for bank in [MACHINE_BANK, USER_BANK] {
        let first = if rng.one_in(8) { 0 } else { 1 };
        for register in first..32 {
            if rng.one_in(2) {
                words.insert(bank + 4 * register, rng.operand());
            }
        }
    }
}

/// Puts a program together. Po2 is small; the session limit is seldom hit.
pub fn finish(
    seed: u64,
    rng: &mut Rng,
    user_entry: u32,
    user: &BTreeMap<u32, u32>,
    kernel_entry: u32,
    kernel: &BTreeMap<u32, u32>,
) -> Program {
    let stdin = (0..rng.below(6000)).map(|_| rng.word() as u8).collect();
    let has_digest = rng.one_in(2);
    Program {
        seed,
        user_elf: elf(user_entry, user),
        kernel_elf: elf(kernel_entry, kernel),
        po2: rng.pick(&[13, 13, 13, 14, 14, 15, 16]),
        session_limit: if rng.one_in(16) { u64::from(rng.below(3000)) } else { 12_000 },
        stdin,
        input_digest: std::array::from_fn(|_| if has_digest { rng.word() as u8 } else { 0 }),
    }
}
