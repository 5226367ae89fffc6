//! Tests access groups: consecutive accesses off few base registers, which native code checks together. Any of them may
//! be the first of its page, misaligned, beyond a limit or forbidden. All accesses before it must then be complete, and
//! none after it.

use crate::common::assembler::Assembler;
use crate::common::engines::{Case, End, Setup, assert_same};
use crate::common::rng::Rng;
use tachy::isa::{Class, Op, TABLE};
use tachy::program::{Permissions, Segment};
use tachy::{MachineKind, Program};

const CODE: u32 = 0x1_0000;
const PAGE: u32 = 1024;
/// Three readable and writable pages between holes.
const DATA: u32 = 0x4_0000;
/// A read-only page followed by a writable one.
const MIXED: u32 = 0x5_0000;
/// The last page of the address space.
const TOP: u32 = 0xffff_fc00;

const BASES: [u8; 4] = [8, 9, 18, 19];
const VALUES: [u8; 4] = [5, 6, 7, 28];
const COUNT: u8 = 31;

/// A loop around a run of accesses, each of which may fail. Their bases move a little in each round.
fn program(rng: &mut Rng, machine: MachineKind) -> Program {
    let mut asm = Assembler::new(CODE);
    let edges = [DATA, DATA + PAGE, DATA + 2 * PAGE, MIXED, MIXED + PAGE, TOP, 0x8_0000, 0xbfff_fc00];
    for base in BASES {
        let location = rng.pick(&edges).wrapping_add(4 * rng.between(0, 64)).wrapping_sub(64);
        asm.li(base, location);
    }
    for value in VALUES {
        asm.li(value, rng.word());
    }
    asm.li(COUNT, rng.between(1, 60));
    let top = asm.label_here();
    for _ in 0..rng.between(2, 20) {
        let (base, value) = (rng.pick(&BASES), rng.pick(&VALUES));
        match rng.below(16) {
            0..12 => {
                let line = loop {
                    let line = &TABLE[rng.below(TABLE.len() as u64) as usize];
                    if matches!(line.class, Class::Load | Class::Store) {
                        break line;
                    }
                };
                let align = if rng.one_in(100) { 1 } else { line.access_bytes() as i32 };
                let offset = match rng.below(8) {
                    0 => rng.between(0, 4096) as i32 - 2048,
                    _ => rng.between(0, 48) as i32 - 8,
                };
                // A value loaded into a base is a valid address only by accident.
                let rd = if rng.one_in(80) { base } else { value };
                asm.op(line.op, rd, base, value, offset.div_euclid(align) * align);
            }
            12 | 13 => {
                let from = if rng.one_in(2) { base } else { rng.pick(&BASES) };
                asm.i(Op::Addi, base, from, 4 * rng.between(0, 16) as i32 - 24);
            }
            14 => asm.r(Op::Add, value, value, rng.pick(&VALUES)),
            _ if rng.one_in(6) => asm.op(Op::Lui, base, 0, 0, (DATA & !0xfff) as i32),
            _ => asm.i(Op::Xori, value, value, 0x55),
        }
    }
    for base in BASES {
        asm.i(Op::Addi, base, base, rng.pick(&[0, 4, 8, 16, 64, -4]));
    }
    asm.i(Op::Addi, COUNT, COUNT, -1);
    asm.branch(Op::Bne, COUNT, 0, top);
    asm.op(Op::Ebreak, 0, 0, 0, 0);
    let words: Vec<u32> = (0..3 * PAGE / 4).map(|_| rng.word()).collect();
    let page = (PAGE / 4) as usize;
    let mut segments = vec![
        Segment::from_words(CODE, &asm.finish().words, Permissions::RX),
        Segment::from_words(DATA, &words, Permissions::RW),
        Segment::from_words(MIXED, &words[..page], Permissions::R),
        Segment::from_words(MIXED + PAGE, &words[page..2 * page], Permissions::RW),
    ];
    if machine == MachineKind::Bare {
        segments.push(Segment::from_words(TOP, &words[2 * page..], Permissions::RW));
    }
    Program::from_segments(CODE, segments).expect("a test's own program")
}

/// Returns the seeds from `TACHY_SEED`, or the default ones.
fn seeds() -> Vec<u64> {
    match std::env::var("TACHY_SEED") {
        Ok(seed) => vec![seed.parse().expect("TACHY_SEED is a number")],
        Err(_) => (0..200).collect(),
    }
}

#[test]
fn accesses_that_are_looked_at_together() {
    let (mut ended, mut trapped, mut refused, mut cut) = (0, 0, 0, 0);
    for seed in seeds() {
        for machine in [MachineKind::Bare, MachineKind::R0vm] {
            let mut rng = Rng::new(seed);
            let mut case = Case::new(program(&mut rng, machine)).on(machine);
            if rng.one_in(3) {
                case = case.limit_steps(rng.below(600));
            }
            if rng.one_in(3) {
                case.limits.memory_bytes = Some((PAGE * (8 + rng.between(0, 6))) as u64);
            }
            let setups = [Setup::eager(), Setup::eager().threshold(4).buffer_rows(256).region_instructions(12)];
            let outcome = assert_same(&format!("seed {seed} on {machine:?}"), &case, &setups);
            match outcome.end {
                End::Failed { kind: "trap", ref text, .. } if text.contains("ebreak") => ended += 1,
                End::Failed { kind: "trap", .. } => trapped += 1,
                End::Failed { kind: "memory-limit", .. } => refused += 1,
                End::Failed { kind: "step-limit", .. } => cut += 1,
                ref other => panic!("seed {seed}: {other:?}"),
            }
        }
    }
    println!("{ended} came to their end, {trapped} trapped, {refused} met a limit on memory, {cut} one on steps");
    assert!(std::env::var("TACHY_SEED").is_ok() || [ended, trapped, refused, cut].into_iter().all(|count| count > 15));
}
