//! A small kernel of R0VM that runs the fuzzer's code as its user. It resumes the user after calls and traps, every
//! other time in the middle of a word. It restarts the user every 16th time, and whenever the user jumped to nowhere.
//! This way code at odd addresses gets hot, too.

use tachy::program::{Permissions, Segment};

/// Base address and entry point of the kernel.
pub const ENTRY: u32 = 0xc000_0000;

const MEPC: u32 = 0xffff_0200;
const ECALL_DISPATCH: u32 = 0xffff_1000;
const TRAP_DISPATCH: u32 = 0xffff_2000;
const CAUSES: usize = 10;
const FETCH_FAULT: usize = 1;

// Registers: the trap counter, the user's pc minus four, the address where that is saved, the value to add, and a
// temporary.
const COUNT: u32 = 8;
const PC: u32 = 9;
const LOCATION: u32 = 10;
const TURNS: u32 = 11;
const VALUE: u32 = 12;

const MRET: u32 = 0x3020_0073;

fn addi(rd: u32, rs1: u32, imm: u32) -> u32 {
    (imm & 0xfff) << 20 | rs1 << 15 | rd << 7 | 0x13
}

fn andi(rd: u32, rs1: u32, imm: u32) -> u32 {
    addi(rd, rs1, imm) | 7 << 12
}

fn lui(rd: u32, upper: u32) -> u32 {
    upper & 0xffff_f000 | rd << 7 | 0x37
}

fn lw(rd: u32, rs1: u32) -> u32 {
    rs1 << 15 | 2 << 12 | rd << 7 | 0x03
}

fn sw(rs2: u32, rs1: u32) -> u32 {
    rs2 << 20 | rs1 << 15 | 2 << 12 | 0x23
}

fn add(rd: u32, rs1: u32, rs2: u32) -> u32 {
    rs2 << 20 | rs1 << 15 | rd << 7 | 0x33
}

fn srl(rd: u32, rs1: u32, rs2: u32) -> u32 {
    add(rd, rs1, rs2) | 5 << 12
}

/// Returns a branch over the next two instructions, taken if the register is not 0.
fn skip_two_unless_zero(register: u32) -> u32 {
    register << 15 | 1 << 12 | 12 << 7 | 0x63
}

/// Loads a constant, always with two instructions.
fn li(rd: u32, value: u32) -> [u32; 2] {
    [lui(rd, value.wrapping_add(0x800)), addi(rd, rd, value)]
}

/// Returns the kernel and the machine's own words, for a user that begins at `user`.
///
/// The lowest two bits of `how` are added to the user's first pc. The next two are added to the address where it is
/// resumed, either each time or in a fixed pattern, as the fifth bit chooses.
pub fn segments(user: u32, how: u32) -> Vec<Segment> {
    let (start, off, pattern) = (how & 3, how >> 2 & 3, if how & 16 == 0 { u32::MAX } else { 0xa5a5_0ff0 });
    let entry = [&li(LOCATION, MEPC)[..], &li(TURNS, pattern), &[addi(COUNT, 0, 0), MRET]].concat();
    // The word before the next one, or the middle of the word that follows.
    let resume = [
        &li(LOCATION, MEPC)[..],
        &[lw(PC, LOCATION), andi(PC, PC, -4i32 as u32), addi(COUNT, COUNT, 1)],
        &[andi(VALUE, COUNT, 15), skip_two_unless_zero(VALUE)],
        &li(PC, user - 4),
        &[srl(VALUE, TURNS, COUNT)],
        &[andi(VALUE, VALUE, if off == 0 { 0 } else { 1 })],
        // Multiplied by `off`, which is 1, 2 or 3.
        &vec![add(PC, PC, VALUE); off as usize],
        &[sw(PC, LOCATION), MRET],
    ]
    .concat();
    let restart = [&li(LOCATION, MEPC)[..], &li(PC, user - 4), &[sw(PC, LOCATION), MRET]].concat();
    let resume_at = ENTRY + 4 * entry.len() as u32;
    let restart_at = resume_at + 4 * resume.len() as u32;
    let mut traps = [resume_at; CAUSES];
    traps[FETCH_FAULT] = restart_at;
    vec![
        Segment::from_words(ENTRY, &[entry, resume, restart].concat(), Permissions::RX),
        Segment::from_words(MEPC, &[user - 4 + start], Permissions::RW),
        Segment::from_words(ECALL_DISPATCH, &[resume_at], Permissions::RW),
        Segment::from_words(TRAP_DISPATCH, &traps, Permissions::RW),
    ]
}
