//! Tests loads and stores: every alignment and page edge, the ends of the address space, and forbidden accesses.

use std::collections::BTreeSet;

use tachy::Cause;
use tachy::isa::{Class, Line, Op};
use tachy::program::{Permissions, Segment};

use super::{CODE, OPERANDS, Tested, assert_trap, lines, setups, states};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, assert_same};
use crate::common::rng::Rng;

const POINTER: u8 = 28;
const END: u8 = 29;
const READ_BACK: u8 = 27;

const PAGE: u32 = 1024;
/// Two readable and writable pages between holes.
const DATA: u32 = 0x4_0000;
const DATA_BYTES: u32 = 2 * PAGE;
const READ_ONLY: u32 = 0x5_0000;
const WRITE_ONLY: u32 = 0x5_1000;
const RUN_ONLY: u32 = 0x5_2000;
/// The first and the last page of the address space.
const BOTTOM: u32 = 0;
const TOP: u32 = 0xffff_fc00;
const STACK_TOP: u32 = 0xf000_0000;
const STACK_BOTTOM: u32 = STACK_TOP - (8 << 20);

fn segments(operands: &[u32]) -> Vec<Segment> {
    let mut rng = Rng::new(3);
    let mut filled = |address, bytes: u32, permissions| {
        let words: Vec<u32> = (0..bytes / 4).map(|_| rng.bits() as u32).collect();
        Segment::from_words(address, &words, permissions)
    };
    let write_only = Permissions { read: false, write: true, execute: false };
    let run_only = Permissions { read: false, write: false, execute: true };
    vec![
        filled(DATA, DATA_BYTES, Permissions::RW),
        filled(READ_ONLY, PAGE, Permissions::R),
        filled(WRITE_ONLY, PAGE, write_only),
        filled(RUN_ONLY, PAGE, run_only),
        filled(BOTTOM, PAGE, Permissions::RW),
        filled(TOP, PAGE, Permissions::RW),
        Segment::from_words(OPERANDS, operands, Permissions::R),
    ]
}

/// Returns allowed addresses: both ends of each page, in every alignment that `line` allows.
fn good_addresses(line: &Line) -> Vec<u32> {
    let pages = [DATA, DATA + PAGE, BOTTOM, TOP, STACK_BOTTOM, STACK_TOP - PAGE];
    let near_ends = (0..12).chain(PAGE - 12..PAGE);
    let all = pages.iter().flat_map(|&page| near_ends.clone().map(move |offset| page + offset));
    all.filter(|address| address.is_multiple_of(line.access_bytes())).collect()
}

/// Returns these addresses and random ones in the same pages, `count` in all.
fn many_good_addresses(line: &Line, count: usize, rng: &mut Rng) -> Vec<u32> {
    let mut addresses = good_addresses(line);
    while addresses.len() < count {
        let page = rng.pick(&[DATA, DATA + PAGE, BOTTOM, TOP, STACK_BOTTOM, STACK_TOP - PAGE]);
        addresses.push(page + rng.between(0, PAGE / line.access_bytes()) * line.access_bytes());
    }
    addresses
}

/// Emits `line` with a base such that it accesses the base register plus `imm`.
fn emit(asm: &mut Assembler, line: &Line, data: u8, base: u8, imm: i32) {
    match line.class {
        Class::Store => asm.store(line.op, data, imm, base),
        _ => asm.i(line.op, data, base, imm),
    }
}

/// Data register and base register: different, equal, and x0 as the data.
const SHAPES: [[u8; 2]; 4] = [[5, 6], [6, 6], [0, 6], [31, 1]];
const IMMEDIATES: [i32; 7] = [0, 4, -1, 1, 2047, -2048, 777];

#[test]
fn accesses_reach_what_they_should() {
    for line in lines(Tested::Memory) {
        let mut rng = Rng::new(line.op as u64);
        let addresses = many_good_addresses(line, states().div_ceil(IMMEDIATES.len() * SHAPES.len()), &mut rng);
        let mut operands = Vec::new();
        let mut asm = Assembler::new(CODE);
        let mut at = Vec::new();
        for imm in IMMEDIATES {
            let start = OPERANDS + 4 * operands.len() as u32;
            for &address in &addresses {
                operands.extend([address.wrapping_sub(imm as u32), rng.word()]);
            }
            asm.li(POINTER, start);
            asm.li(END, OPERANDS + 4 * operands.len() as u32);
            let top = asm.label_here();
            for [data, base] in SHAPES {
                asm.i(Op::Lw, data, POINTER, 4);
                asm.i(Op::Lw, base, POINTER, 0);
                at.push(asm.here());
                emit(&mut asm, line, data, base, imm);
                asm.i(Op::Addi, READ_BACK, data, 0);
            }
            asm.i(Op::Addi, POINTER, POINTER, 8);
            asm.branch(Op::Bltu, POINTER, END, top);
        }
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        let case = Case::code(CODE, &asm.finish().words, segments(&operands));
        let outcome = assert_same(line.mnemonic, &case, &setups());
        // The oracle has judged the rows. This checks that every address occurred.
        assert!(at.len() * addresses.len() >= states(), "{}", line.mnemonic);
        for pc in at {
            let rows = outcome.rows.iter().filter(|row| row.pc == pc);
            assert!(rows.map(|row| row.addr).eq(addresses.iter().copied()), "{} at {pc:#x}", line.mnemonic);
        }
    }
}

/// With x0 as the base, the address is known: the first bytes of the address space, or the last ones with a negative
/// immediate.
#[test]
fn accesses_without_a_base() {
    for line in lines(Tested::Memory) {
        let mut asm = Assembler::new(CODE);
        let mut expected = Vec::new();
        for imm in [0, 4, 8, 1020, -4, -8, -1024, 1023, 1, 2, 3, -1, -2, -3] {
            if (imm as u32).is_multiple_of(line.access_bytes()) {
                expected.push(imm as u32);
                emit(&mut asm, line, 5, 0, imm);
                emit(&mut asm, line, 0, 0, imm);
                asm.i(Op::Addi, 5, 5, 0x123);
            }
        }
        asm.op(Op::Ebreak, 0, 0, 0, 0);
        let case = Case::code(CODE, &asm.finish().words, segments(&[0]));
        let outcome = assert_same(line.mnemonic, &case, &setups());
        let found: BTreeSet<u32> = outcome.rows.iter().filter(|row| row.rs1 == 0).map(|row| row.addr).collect();
        assert!(expected.iter().all(|address| found.contains(address)), "{}: {found:x?}", line.mnemonic);
    }
}

/// Returns addresses where `line` must trap, and the cause: missing permission, or misalignment despite permission.
fn bad_addresses(line: &Line) -> Vec<(u32, Cause)> {
    let bytes = line.access_bytes();
    let store = line.class == Class::Store;
    let (fault, misaligned) = match store {
        true => (Cause::StoreFault, Cause::StoreMisaligned),
        false => (Cause::LoadFault, Cause::LoadMisaligned),
    };
    let holes = [DATA - bytes, DATA + DATA_BYTES, STACK_BOTTOM - bytes, STACK_TOP, PAGE, TOP - bytes, 0x8000_0000];
    let forbidden: &[u32] = match store {
        true => &[READ_ONLY, READ_ONLY + PAGE - 4, RUN_ONLY, CODE],
        false => &[WRITE_ONLY, WRITE_ONLY + PAGE - 4, RUN_ONLY],
    };
    let mut bad: Vec<(u32, Cause)> = holes.iter().chain(forbidden).map(|&address| (address, fault)).collect();
    for offset in 1..4 {
        if offset % bytes != 0 {
            bad.extend([DATA + offset, DATA + PAGE - 4 + offset, TOP + (PAGE - 4) + offset].map(|at| (at, misaligned)));
            // If both apply, the missing permission is reported.
            bad.push((DATA + DATA_BYTES + offset, fault));
        }
    }
    bad
}

#[test]
fn accesses_that_must_trap() {
    for line in lines(Tested::Memory) {
        for (number, (address, cause)) in bad_addresses(line).into_iter().enumerate() {
            let imm = IMMEDIATES[number % IMMEDIATES.len()];
            let [data, base] = SHAPES[number % SHAPES.len()];
            let mut asm = Assembler::new(CODE);
            asm.li(data, 0x5eed_5eed);
            asm.li(base, address.wrapping_sub(imm as u32));
            emit(&mut asm, line, data, base, imm);
            asm.op(Op::Ebreak, 0, 0, 0, 0);
            let steps = asm.here() - CODE;
            let case = Case::code(CODE, &asm.finish().words, segments(&[0]));
            let what = format!("{} of {address:#x}", line.mnemonic);
            let outcome = assert_trap(&what, &case, cause, address);
            assert_eq!(outcome.rows.len() as u32, steps / 4 - 2, "{what}");
        }
    }
}

/// The instruction traps after many successes, when the engine knows its code and page well.
#[test]
fn accesses_that_trap_late() {
    for line in lines(Tested::Memory) {
        let good: Vec<u32> =
            good_addresses(line).into_iter().filter(|at| (DATA..DATA + DATA_BYTES).contains(at)).collect();
        let bad = bad_addresses(line);
        let last = bad.last().expect("there are holes");
        for &(address, cause) in [&bad[1], last] {
            let mut operands = good.repeat(2);
            operands.push(address);
            let mut asm = Assembler::new(CODE);
            asm.li(POINTER, OPERANDS);
            let top = asm.label_here();
            asm.i(Op::Lw, 6, POINTER, 0);
            asm.i(Op::Addi, 5, 5, 99);
            emit(&mut asm, line, 5, 6, 0);
            asm.i(Op::Addi, POINTER, POINTER, 4);
            asm.jal(0, top);
            let case = Case::code(CODE, &asm.finish().words, segments(&operands));
            let what = format!("{} of {address:#x} in a loop", line.mnemonic);
            let outcome = assert_trap(&what, &case, cause, address);
            assert!(outcome.rows.len() > 5 * good.len(), "{what}");
        }
    }
}
