//! Tests of every form, address and access group of the values pass against the interpreter's rows.

use super::*;
use crate::decode::{Instruction, decode, encode};
use crate::isa::{TABLE, Variant};
use crate::jit::analysis::access_groups::groups;
use crate::jit::analysis::testing::{START, assemble};
use crate::program::{Permissions, Program, Segment};
use crate::trace::{Row, VecSink};
use crate::{Engine, Env, Executor};

const CODE: u32 = 0x1_0000;
const DATA: u32 = 0x10_0000;

/// Values at the edge cases of arithmetic.
const HOSTILE: [u32; 32] = [
    0,
    1,
    2,
    3,
    4,
    31,
    32,
    33,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x3ff,
    0x7ff,
    0x800,
    0xfff,
    0x1000,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_f800,
    0xffff_ffc0,
    0xffff_ffe0,
    0xffff_fffe,
    0xffff_ffff,
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }

    fn pick(&mut self, values: &[u32]) -> u32 {
        values[self.below(values.len() as u32) as usize]
    }
}

fn word(op: Op, rd: u32, rs1: u32, rs2: u32, imm: u32) -> u32 {
    encode(Instruction { op, rd: rd as u8, rs1: rs1 as u8, rs2: rs2 as u8, imm })
}

/// Loads `value` into a register.
fn li(rd: u32, value: u32) -> [u32; 2] {
    let low = (value & 0xfff ^ 0x800).wrapping_sub(0x800);
    [word(Op::Lui, rd, 0, 0, value.wrapping_sub(low)), word(Op::Addi, rd, rd, 0, low)]
}

/// Returns the rows of these words, up to the `ebreak` behind them or the first trap.
fn rows(words: &[u32]) -> Vec<Row> {
    let code = [words, &[word(Op::Ebreak, 0, 0, 0, 0)]].concat();
    let segments = vec![
        Segment::from_words(CODE, &code, Permissions::RX),
        Segment::from_words(DATA, &[0x8765_4321; 1024], Permissions::RW),
    ];
    let program = Program::from_segments(CODE, segments).unwrap();
    let executor = Executor::builder().engine(Engine::Interpreter).build(&program).unwrap();
    let mut sink = VecSink::default();
    executor.start(Env::new()).unwrap().run(&mut sink).unwrap_err();
    sink.rows
}

fn placed(words: &[u32], at: usize) -> Vec<Placed> {
    let place = |(index, &word): (usize, &u32)| {
        let instruction = decode(word, Variant::Standard).unwrap();
        Placed { pc: CODE + 4 * (at + index) as u32, word, instruction }
    };
    words.iter().enumerate().map(place).collect()
}

/// Checks all facts about `block` against a run of it after `setup`. Returns how many forms other than
/// [`Form::Operation`] occurred.
fn check(setup: &[u32], block: &[u32], seed: u64) -> usize {
    let rows = rows(&[setup, block].concat());
    let mut registers = [0; 32];
    let mut step = |row: &Row| {
        let before = registers;
        if let Some(instruction) = decode(row.insn, Variant::Standard)
            && instruction.op.line().format.has_rd()
            && instruction.rd != 0
        {
            registers[instruction.rd as usize] = row.rd;
        }
        before
    };
    rows[..setup.len()].iter().for_each(|row| {
        step(row);
    });
    let rows = &rows[setup.len()..];
    let before: Vec<[u32; 32]> = rows.iter().map(step).collect();
    let placed = placed(block, setup.len());
    let known = Values::of_block(&placed);
    let value = |sum: Sum| match sum.base {
        Base::Zero => sum.offset,
        Base::Entry(register) => before[0][register as usize].wrapping_add(sum.offset),
        Base::Result(index) => rows[index].rd.wrapping_add(sum.offset),
    };
    let mut special = 0;
    for (index, (row, known)) in rows.iter().zip(&known).enumerate() {
        let op = placed[index].instruction.op;
        let at = format!("seed {seed}, instruction {index} ({op:?}): {known:?}, {row:?}");
        assert_eq!(known.operands.map(value), [row.rs1, row.rs2], "{at}");
        special += (known.form != Form::Operation) as usize;
        let amount = if op.line().format == Format::R { row.rs2 } else { placed[index].instruction.imm };
        match known.form {
            Form::Operation => {}
            Form::Sum(sum) => assert_eq!(value(sum), row.rd, "{at}"),
            Form::Shift(bits) => assert!(bits == amount % 32 && bits != 0, "{at}"),
            Form::RotateRight(sum, bits) => assert_eq!(value(sum).rotate_right(bits), row.rd, "{at}"),
            Form::Disjoint => assert!(row.rs1 & row.rs2 == 0 && row.rs1 | row.rs2 == row.rd, "{at}"),
        }
        if matches!(op.line().class, Class::Load | Class::Store) {
            assert_eq!(value(known.address), row.addr, "{at}");
        }
    }
    // Each access is in one group, and its address derives from a register's value at the start of the group.
    let mut accesses = (0..rows.len()).filter(|&index| placed[index].instruction.op.line().access_bytes() != 0);
    for group in groups(&placed) {
        for reached in &group.accesses {
            let index = group.at + reached.ahead as usize;
            let (Some(row), Some(start)) = (rows.get(index), before.get(group.at)) else { continue };
            assert_eq!(accesses.next(), Some(index), "seed {seed}");
            let base = if reached.register == 0 { 0 } else { start[reached.register as usize] };
            assert_eq!(base.wrapping_add(reached.offset), row.addr, "seed {seed}, {reached:?} of {group:?}");
            assert_eq!(reached.access.align_bytes(), placed[index].instruction.op.line().access_bytes());
            let covered = group.reaches.iter().any(|reach| {
                let first = value(Sum { base: reach.base, offset: reach.first });
                let last = value(Sum { base: reach.base, offset: reach.last });
                let end = last.wrapping_add(reach.unit_bytes).wrapping_sub(first);
                let wanted =
                    if placed[index].instruction.op.line().class == Class::Load { reach.loads } else { reach.stores };
                let inside = row.addr.wrapping_sub(first).checked_add(reached.access.align_bytes());
                // If the first unit is aligned, so is the access, and its page is that of the first or the last.
                let aligned = first % reach.unit_bytes != 0 || row.addr % reached.access.align_bytes() == 0;
                wanted && aligned && inside.is_some_and(|inside| inside <= end) && end <= 1024
            });
            assert!(covered, "seed {seed}, {reached:?} of {group:?}");
        }
    }
    assert_eq!(accesses.next(), None, "seed {seed}");
    special
}

#[test]
fn constants_are_the_interpreters() {
    let mut words = Vec::new();
    for line in TABLE.iter().filter(|line| line.class == Class::Compute) {
        for a in HOSTILE {
            words.extend(li(5, a));
            for b in HOSTILE {
                match line.format {
                    Format::R => {
                        words.extend(li(6, b));
                        words.push(word(line.op, 7, 5, 6, 0));
                    }
                    Format::U => words.push(word(line.op, 7, 0, 0, b & 0xffff_f000)),
                    Format::Shift => words.push(word(line.op, 7, 5, 0, b % 32)),
                    _ => words.push(word(line.op, 7, 5, 0, (b & 0xfff ^ 0x800).wrapping_sub(0x800))),
                }
            }
        }
    }
    let rows = rows(&words);
    let known = Values::of_block(&placed(&words, 0));
    assert_eq!(rows.len(), known.len());
    for (row, known) in rows.iter().zip(&known) {
        assert_eq!(known.form, Form::Sum(Sum::constant(row.rd)), "{row:?}");
    }
}

/// Returns the setup of the registers, and a block that mixes a few of them, constants, shifts, sums and accesses.
fn random_block(random: &mut Random) -> (Vec<u32>, Vec<u32>) {
    let mut setup = Vec::new();
    for register in 1..32 {
        let value = match random.below(3) {
            0 => random.pick(&HOSTILE),
            1 => random.below(u32::MAX),
            _ => DATA + 4 * random.below(900),
        };
        setup.extend(li(register, value));
    }
    setup.extend(li(8, DATA + 1024 + 4 * random.below(200)));
    setup.extend(li(9, DATA + 2048 - 4 * random.below(40)));
    let mut block = Vec::new();
    while block.len() < 40 {
        // There are few registers, so that values meet again.
        let mut register = || [0, 5, 6, 7, 10, 11, 12][random.below(7) as usize];
        let (rd, rs1, rs2) = (register(), register(), register());
        match random.below(12) {
            0 | 1 => block.extend(li(rd, random.pick(&HOSTILE))),
            2 => block.push(word(Op::Addi, rd, rs1, 0, random.below(9).wrapping_sub(4))),
            3 => {
                let bits = [0, 1, 8, 16, 31, 32][random.below(6) as usize];
                let amounts = [bits, [32 - bits, bits, 0, 32][random.below(4) as usize]];
                let [left, right] = [13, 14];
                if random.below(2) == 0 {
                    let [a, b] = amounts.map(|bits| bits % 32);
                    block.extend([word(Op::Slli, left, rs1, 0, a), word(Op::Srli, right, rs2, 0, b)]);
                } else {
                    block.extend([li(15, amounts[0]), li(16, amounts[1])].concat());
                    block.extend([word(Op::Sll, left, rs1, 15, 0), word(Op::Srl, right, rs1, 16, 0)]);
                }
                let order = if random.below(2) == 0 { [left, right] } else { [right, left] };
                block.push(word(Op::Or, rd, order[0], order[1], 0));
            }
            4 | 5 => {
                let lines: Vec<&_> = TABLE.iter().filter(|line| line.access_bytes() != 0).collect();
                let line = lines[random.below(lines.len() as u32) as usize];
                let offset = random.below(80).wrapping_sub(40) / line.access_bytes() * line.access_bytes();
                let offset = (offset & 0xfff ^ 0x800).wrapping_sub(0x800);
                block.push(word(line.op, rd, 8 + random.below(2), rs2, offset));
            }
            6 => block.push(word(Op::Addi, 8 + random.below(2), 8 + random.below(2), 0, 4 * random.below(5))),
            _ => {
                let lines: Vec<&_> = TABLE.iter().filter(|line| line.class == Class::Compute).collect();
                let line = lines[random.below(lines.len() as u32) as usize];
                let imm = match line.format {
                    Format::U => random.pick(&HOSTILE) & 0xffff_f000,
                    Format::Shift => random.below(32),
                    _ => (random.pick(&HOSTILE) & 0xfff ^ 0x800).wrapping_sub(0x800),
                };
                block.push(word(line.op, rd, rs1, rs2, imm));
            }
        }
    }
    (setup, block)
}

#[test]
fn random_blocks_are_the_interpreters() {
    let seeds = match std::env::var("TACHY_SEED") {
        Ok(seed) => vec![seed.parse().expect("TACHY_SEED is a number")],
        Err(_) => (0..4000).collect::<Vec<u64>>(),
    };
    let mut special = 0;
    for &seed in &seeds {
        let (setup, block) = random_block(&mut Random(seed));
        special += check(&setup, &block, seed);
    }
    assert!(special > 10 * seeds.len(), "{special} forms worth testing in {} blocks", seeds.len());
}

/// Returns the forms of the instructions of a block, each on registers of unknown value.
fn forms(words: &[u32]) -> Vec<Form> {
    Values::of_block(&placed(words, 0)).iter().map(|known| known.form).collect()
}

#[test]
fn shifts_that_make_32_together_only_as_registers_hold_them() {
    let joined = |left: u32, right: u32, other: u32| {
        let words = [
            &li(5, left)[..],
            &li(6, right),
            &[word(Op::Sll, 7, 10, 5, 0), word(Op::Srl, 8, other, 6, 0), word(Op::Or, 7, 7, 8, 0)],
        ]
        .concat();
        *forms(&words).last().unwrap()
    };
    let x10 = Sum::of(Base::Entry(10));
    assert_eq!(joined(8, 24, 10), Form::RotateRight(x10, 24));
    assert_eq!(joined(8, 24, 11), Form::Disjoint);
    // RISC-V shifts by the low five bits: 40 shifts by 8, and 32 does not shift.
    assert_eq!(joined(40, 24, 10), Form::RotateRight(x10, 24));
    for (left, right) in [(32, 0), (0, 32), (0, 0), (64, -32i32 as u32), (33, -1i32 as u32 - 1), (8, 8)] {
        assert_eq!(joined(left, right, 11), Form::Operation, "{left} and {right}");
    }
}

#[test]
fn moves_and_sums_come_from_one_base() {
    let words = [
        word(Op::Addi, 5, 10, 0, 0),
        word(Op::Addi, 6, 5, 0, 12),
        word(Op::Addi, 10, 10, 0, 4),
        word(Op::Sub, 7, 6, 0, 0),
        word(Op::Or, 8, 0, 7, 0),
        word(Op::Mul, 9, 8, 8, 0),
        word(Op::Addi, 9, 9, 0, -1i32 as u32),
    ];
    let base = Base::Entry(10);
    let sums = [0, 12, 4, 12, 12].map(|offset| Form::Sum(Sum { base, offset }));
    let product = Form::Sum(Sum { base: Base::Result(5), offset: u32::MAX });
    assert_eq!(forms(&words), [&sums[..], &[Form::Operation, product]].concat());
}

/// Checks the form of the last instruction of each text, as a reader of the manual would expect it.
#[test]
fn forms_are_the_simplest_that_a_block_tells() {
    let (x5, x6) = (Base::Entry(5), Base::Entry(6));
    let sum = |base, offset: i32| Form::Sum(Sum { base, offset: offset as u32 });
    let cases = [
        ("lui x7,0x12", sum(Base::Zero, 0x12000)),
        ("auipc x7,0x1", sum(Base::Zero, (START + 0x1000) as i32)),
        ("addi x7,x5,-4", sum(x5, -4)),
        ("addi x7,x5,8\n addi x7,x7,-8", sum(x5, 0)),
        ("addi x7,x0,3\n add x8,x6,x7", sum(x6, 3)),
        ("addi x7,x0,3\n sub x8,x6,x7", sum(x6, -3)),
        ("sub x8,x5,x6", Form::Operation),
        ("or x8,x0,x6", sum(x6, 0)),
        ("slli x8,x5,0", sum(x5, 0)),
        ("slli x8,x5,7", Form::Shift(7)),
        ("addi x7,x0,39\n sll x8,x5,x7", Form::Shift(7)),
        ("slli x7,x5,8\n srli x8,x5,24\n or x9,x7,x8", Form::RotateRight(Sum::of(x5), 24)),
        ("slli x7,x5,8\n srli x8,x6,24\n or x9,x7,x8", Form::Disjoint),
        ("slli x7,x5,8\n srli x8,x6,8\n or x9,x7,x8", Form::Operation),
        ("mul x7,x5,x6\n addi x8,x7,1", sum(Base::Result(0), 1)),
        ("addi x7,x0,-1\n addi x8,x0,0\n divu x9,x7,x8", sum(Base::Zero, -1)),
        ("lw x7,0(x5)", Form::Operation),
    ];
    for (text, expected) in cases {
        let region = assemble(&format!("main: {text}\n ecall")).region();
        let known = Values::of_block(&region.blocks[0].instructions);
        assert_eq!(known.last().map(|known| known.form), Some(expected), "{text}");
    }
}
