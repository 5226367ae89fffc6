//! Tests of results and refusals of programs, and of arbitrary bytes, which must do no harm. Expected numbers are
//! literals or follow from definitions (a number times its inverse). They must not use the library under test.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::evaluate::{Evaluation, Loaded};
use super::program::Program;
use super::*;

const CONST: u64 = 0x2;
const LOAD: u64 = 0x3;
const STORE: u64 = 0x4;
const ADD: u64 = 0x8;
const SUB: u64 = 0x9;
const MUL: u64 = 0xa;
const REM: u64 = 0xb;
const QUO: u64 = 0xc;
const INV: u64 = 0xe;

/// Arenas of the tests, in registers a0 (input) and a1 (output).
const INPUT: u64 = 10 << 16;
const OUTPUT: u64 = 11 << 16;
const INPUT_ADDRESS: u32 = 0x0002_0004;
const OUTPUT_ADDRESS: u32 = 0x0003_0000;

/// Encodes an operation.
fn op(code: u64, result_type: u64, a: u64, b: u64) -> u64 {
    code | result_type << 4 | a << 16 | b << 40
}

/// Encodes a program whose types take these numbers of bytes in memory.
fn assemble(types: &[u64], constants: &[u64], operations: &[u64]) -> Vec<u8> {
    let mut bytes = b"bibc".to_vec();
    for word in [1, 1, types.len(), constants.len(), operations.len()] {
        bytes.extend((word as u32).to_le_bytes());
    }
    bytes.extend([0xee; 16]);
    for bytes_in_memory in types {
        bytes.extend(bytes_in_memory.to_le_bytes());
        bytes.extend([0xdd; 24]);
    }
    for word in constants.iter().chain(operations) {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

fn registers() -> [u32; 32] {
    let mut registers = [3; 32];
    (registers[10], registers[11]) = (INPUT_ADDRESS, OUTPUT_ADDRESS);
    registers
}

/// What an evaluation loads and stores.
#[derive(Debug, Default, PartialEq)]
struct Ran {
    loads: Vec<Loaded>,
    witness: BTreeMap<u32, [u32; 4]>,
}

impl From<&Evaluation> for Ran {
    fn from(Evaluation { loads, witness, .. }: &Evaluation) -> Ran {
        assert!(witness.is_sorted_by(|(before, _), (after, _)| before < after), "each address once, in order");
        Ran { loads: loads.clone(), witness: witness.iter().copied().collect() }
    }
}

fn run_in(mode: Mode, registers: &[u32; 32], bytes: &[u8], memory: &BTreeMap<u32, u32>) -> Result<Ran, BigIntError> {
    let program = Program::parse(bytes)?;
    let peek = |address: u32| {
        assert!(address.is_multiple_of(4), "peeked at {address:#x}");
        memory.get(&address).copied().unwrap_or(0)
    };
    // What an earlier evaluation has left does not matter.
    let mut scratch = Scratch::default();
    let first = evaluate(&program, mode, registers, peek, &mut scratch).map(Ran::from);
    let again = evaluate(&program, mode, registers, peek, &mut scratch).map(Ran::from);
    assert_eq!(first, again);
    first
}

fn run(bytes: &[u8]) -> Result<Ran, BigIntError> {
    run_in(Mode::User, &registers(), bytes, &BTreeMap::new())
}

/// Applies `code` to two signed 64-bit numbers, and returns the magnitude in 128 bits. Constants are unsigned, so the
/// program makes negative numbers by subtraction.
fn calculate(code: u64, a: i64, b: i64) -> Result<u128, BigIntError> {
    let constants = [0, a.unsigned_abs(), b.unsigned_abs()];
    let signed = |negative: bool, index: u64| if negative { op(SUB, 0, 0, index) } else { op(ADD, 0, 0, index) };
    let operations = [
        op(CONST, 0, 0, 1),
        op(CONST, 0, 1, 1),
        op(CONST, 0, 2, 1),
        signed(a < 0, 1),
        signed(b < 0, 2),
        op(code, 0, 3, 4),
        op(STORE, 0, OUTPUT, 5),
    ];
    let evaluation = run(&assemble(&[16], &constants, &operations))?;
    let (address, words) = evaluation.witness.first_key_value().expect("something was stored");
    assert_eq!((*address, evaluation.witness.len()), (OUTPUT_ADDRESS, 1));
    Ok(words.iter().rev().fold(0, |value, word| value << 32 | *word as u128))
}

#[test]
fn arithmetic_is_signed_and_truncates() {
    assert_eq!(calculate(ADD, 7, -9), Ok(2));
    assert_eq!(calculate(SUB, -7, 9), Ok(16));
    assert_eq!(calculate(MUL, -3, i64::MAX), Ok(3 * i64::MAX as u128));
    assert_eq!(calculate(QUO, -7, 2), Ok(3));
    assert_eq!(calculate(REM, -7, 2), Ok(1));
    assert_eq!(calculate(REM, 7, -4), Ok(3));
    // A sum reveals the sign of a remainder: (-7 % 4) + 5 = 2.
    let constants = [0, 7, 4, 5];
    let mut operations: Vec<u64> = (0..4).map(|index| op(CONST, 0, index, 1)).collect();
    operations.extend([op(SUB, 0, 0, 1), op(REM, 0, 4, 2), op(ADD, 0, 5, 3), op(STORE, 0, OUTPUT, 6)]);
    let evaluation = run(&assemble(&[16], &constants, &operations)).expect("it runs");
    assert_eq!(evaluation.witness[&OUTPUT_ADDRESS], [2, 0, 0, 0]);
}

#[test]
fn inverses_ignore_signs_and_may_not_exist() {
    for (a, b) in [(3, 7), (-3, 7), (3, -7), (10, 7), (1, 2), (2, i64::MAX), (i64::MIN, 0x7fff_ffff_ffff_ffe7)] {
        let inverse = calculate(INV, a, b).expect("they share no divisor");
        let modulus = b.unsigned_abs() as u128;
        assert!(inverse < modulus, "{a}, {b}: {inverse}");
        assert_eq!(inverse * (a.unsigned_abs() as u128 % modulus) % modulus, 1, "{a}, {b}: {inverse}");
    }
    for (a, b) in [(0, 7), (7, 7), (6, 9), (5, 1)] {
        assert_eq!(calculate(INV, a, b), Err(BigIntError::NoInverse { operation: 5 }), "{a}, {b}");
    }
}

#[test]
fn nothing_divides_by_zero() {
    for code in [REM, QUO, INV] {
        assert_eq!(calculate(code, 5, 0), Err(BigIntError::DivisionByZero { operation: 5 }));
    }
}

#[test]
fn loads_and_stores_move_whole_chunks_by_offset() {
    let memory: BTreeMap<u32, u32> = (0..16).map(|word| (INPUT_ADDRESS + 4 * word, word + 1)).collect();
    // Type 0 takes 20 bytes, which are two chunks. The second load begins at the second chunk.
    let operations =
        [op(LOAD, 0, INPUT, 0), op(LOAD, 1, INPUT | 1, 0), op(STORE, 0, OUTPUT | 3, 0), op(STORE, 1, OUTPUT, 1)];
    let bytes = assemble(&[20, 16], &[], &operations);
    let evaluation = run_in(Mode::User, &registers(), &bytes, &memory).expect("it runs");
    let loads = [(INPUT_ADDRESS, 8), (INPUT_ADDRESS + 16, 4)].map(|(address, words)| Loaded { address, words });
    assert_eq!(evaluation.loads, loads);
    let stored: Vec<_> = evaluation.witness.into_iter().collect();
    let expected =
        [(OUTPUT_ADDRESS, [5, 6, 7, 8]), (OUTPUT_ADDRESS + 48, [1, 2, 3, 4]), (OUTPUT_ADDRESS + 64, [5, 6, 7, 8])];
    assert_eq!(stored, expected);
}

#[test]
fn stores_fill_up_with_zeros_and_refuse_what_does_not_fit() {
    let constants = [1, 2, 3, u32::MAX as u64];
    let long = |words, bytes| run(&assemble(&[bytes], &constants, &[op(CONST, 0, 0, words), op(STORE, 0, OUTPUT, 0)]));
    let evaluation = long(3, 48).expect("it fits");
    assert_eq!(evaluation.witness[&OUTPUT_ADDRESS], [1, 0, 2, 0]);
    assert_eq!(evaluation.witness[&(OUTPUT_ADDRESS + 16)], [3, 0, 0, 0]);
    assert_eq!(evaluation.witness[&(OUTPUT_ADDRESS + 32)], [0; 4]);
    assert_eq!(long(3, 16), Err(BigIntError::TooSmall { operation: 1, needed: 17, bytes: 16 }));
    assert_eq!(long(4, 32).expect("28 bytes fit").witness[&(OUTPUT_ADDRESS + 16)], [3, 0, u32::MAX, 0]);
    // A type of zero bytes can hold only zero.
    assert_eq!(long(0, 0).expect("nothing is stored").witness, BTreeMap::new());
    assert_eq!(long(1, 0), Err(BigIntError::TooSmall { operation: 1, needed: 1, bytes: 0 }));
}

#[test]
fn a_later_store_wins_and_what_comes_later_is_zero_to_a_store() {
    let operations = [op(STORE, 0, OUTPUT, 1), op(CONST, 0, 0, 1), op(STORE, 0, OUTPUT | 1, 1)];
    let evaluation = run(&assemble(&[16], &[9], &operations)).expect("it runs");
    assert_eq!(evaluation.witness[&OUTPUT_ADDRESS], [0; 4]);
    assert_eq!(evaluation.witness[&(OUTPUT_ADDRESS + 16)], [9, 0, 0, 0]);
    let operations = [op(CONST, 0, 0, 1), op(STORE, 0, OUTPUT, 0), op(ADD, 0, 0, 1), op(STORE, 0, OUTPUT, 2)];
    let evaluation = run(&assemble(&[16], &[9], &operations)).expect("a store's result is zero");
    assert_eq!(evaluation.witness[&OUTPUT_ADDRESS], [9, 0, 0, 0]);
}

#[test]
fn references_reach_back_only() {
    let refused = |operations: &[u64], what, index, count| {
        let last = operations.len() as u32 - 1;
        let expected = BigIntError::Index { operation: last, what, index, count };
        assert_eq!(run(&assemble(&[16; 2], &[9; 3], operations)), Err(expected), "{what} {index}");
    };
    refused(&[op(ADD, 0, 0, 0)], "result", 0, 0);
    refused(&[op(CONST, 0, 0, 1), op(MUL, 0, 0, 1)], "result", 1, 1);
    refused(&[op(CONST, 0, 0, 1), op(MUL, 0, 0xff_ffff, 0)], "result", 0xff_ffff, 1);
    refused(&[op(STORE, 0, OUTPUT, 1)], "operation", 1, 1);
    refused(&[op(CONST, 0, 0, 4)], "constant", 3, 3);
    refused(&[op(CONST, 0, 0xff_ffff, 0xff_ffff)], "constant", 0x1ff_fffd, 3);
    refused(&[op(LOAD, 2, INPUT, 0)], "type", 2, 2);
    refused(&[op(LOAD, 0, 32 << 16, 0)], "register", 32, 32);
    refused(&[op(STORE, 0, 255 << 16, 0)], "register", 255, 32);
    // Zero constants from any index are zero.
    assert_eq!(run(&assemble(&[], &[], &[op(CONST, 0, 0xff_ffff, 0)])), Ok(Ran::default()));
}

#[test]
fn arenas_have_bounds_where_they_begin() {
    for code in [LOAD, STORE] {
        let place = |mode, base, offset: u64, bytes| {
            let mut registers = registers();
            registers[10] = base;
            run_in(mode, &registers, &assemble(&[bytes], &[], &[op(code, 0, INPUT | offset, 0)]), &BTreeMap::new())
        };
        let refused = |mode, base, offset, bytes: u64| {
            let expected =
                BigIntError::Address { operation: 0, address: base as u64 + 16 * offset, bytes: bytes as u32 };
            assert_eq!(place(mode, base, offset, bytes), Err(expected), "{mode:?}, {base:#x} + {offset} chunks");
        };
        for mode in [Mode::User, Mode::Machine] {
            refused(mode, 0, 0, 16);
            refused(mode, LOWEST_ADDRESS - 16, 0, 16);
            refused(mode, LOWEST_ADDRESS - 4, 0, 0);
            assert!(place(mode, LOWEST_ADDRESS - 16, 1, 16).is_ok(), "what counts is where it begins");
            assert!(place(mode, LOWEST_ADDRESS, 0, 16).is_ok());
            assert!(place(mode, USER_END - 4, 0, 32).is_ok(), "what counts is where it begins");
            let unaligned = BigIntError::Unaligned { operation: 0, register: 10, address: 0x2_0002 };
            assert_eq!(place(mode, 0x2_0002, 0, 16), Err(unaligned));
        }
        refused(Mode::User, USER_END, 0, 16);
        refused(Mode::User, USER_END - 16, 1, 16);
        assert!(place(Mode::Machine, USER_END, 0, 16).is_ok());
        assert!(place(Mode::Machine, 0xffff_fff0, 0, 16).is_ok());
        refused(Mode::Machine, 0xffff_fff4, 0, 16);
        refused(Mode::Machine, 0xffff_fff0, 1, 16);
        refused(Mode::Machine, 0xffff_0000, 0xffff, 16);
        assert!(place(Mode::Machine, 0xffff_fff0, 1, 0).is_ok(), "nothing fits anywhere");
        // Lengths are modulo 2^32, but do not wrap around at 2^64.
        assert!(place(Mode::User, LOWEST_ADDRESS, 0, 1 << 32).is_ok_and(|evaluation| evaluation == Ran::default()));
        let endless = BigIntError::Length { operation: 0, bytes: u64::MAX };
        assert_eq!(place(Mode::User, LOWEST_ADDRESS, 0, u64::MAX), Err(endless));
    }
}

#[test]
fn modes_are_two() {
    assert_eq!(Mode::new(0), Ok(Mode::User));
    assert_eq!(Mode::new(1), Ok(Mode::Machine));
    assert_eq!(Mode::new(2), Err(BigIntError::Mode(2)));
}

#[test]
fn programs_that_are_none_are_refused_before_anything_runs() {
    let good = assemble(&[16], &[9], &[op(CONST, 0, 0, 1), op(STORE, 0, OUTPUT, 0)]);
    for bytes in 0..good.len() {
        let error = run(&good[..bytes]).expect_err("it is cut off");
        assert!(matches!(error, BigIntError::Short { bytes: found, .. } if found == bytes as u64), "{bytes}: {error}");
    }
    let with = |at: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        run(&bytes)
    };
    assert_eq!(with(0, 1), Err(BigIntError::Magic(1)));
    assert_eq!(with(4, 2), Err(BigIntError::Version(2)));
    // Bytes before each list, including the header's 24, and the size of its items.
    let lists = [("inputs", 24, 16), ("types", 40, 32), ("constants", 72, 8), ("operations", 80, 8)];
    for (at, (list, before, each)) in (8..24).step_by(4).zip(lists) {
        let error = with(at, u32::MAX).expect_err("there are not so many");
        let needed = format!("its list of {list} needs {}", before + each * u64::from(u32::MAX));
        assert!(error.to_string().ends_with(&needed), "{error}");
    }
    for code in (0..16).filter(|code| ![2, 3, 4, 8, 9, 10, 11, 12, 14].contains(code)) {
        // The first operation would fail, but does not run.
        let error = run(&assemble(&[], &[], &[op(ADD, 0, 5, 5), op(code, 0, 0, 0)]));
        assert_eq!(error, Err(BigIntError::Code { operation: 1, code: code as u8 }));
    }
    let mut longer = good.clone();
    longer.extend([0xff; 100]);
    assert_eq!(run(&longer), run(&good), "what follows is not looked at");
}

/// All numbers together may take 64 MiB, and not a byte more.
#[test]
fn memory_runs_out_exactly() {
    const WORDS: u64 = 1 << 15;
    let run_with = |last: u64| {
        let mut operations = vec![op(CONST, 0, 0, WORDS), op(CONST, 0, 0, 0)];
        // A number and zero.
        operations.extend(vec![op(ADD, 0, 0, 1); (64 << 20) / 8 / WORDS as usize - 1]);
        operations.extend([op(CONST, 0, 0, 0), op(CONST, 0, 0, last)]);
        run(&assemble(&[], &vec![1; WORDS as usize], &operations))
    };
    assert_eq!(run_with(0).map(drop), Ok(()));
    assert!(matches!(run_with(1), Err(BigIntError::Memory { operation: 258, .. })));
}

/// A call may take 2^30 units of work: 8 for each operation, 512 for each word of a constant, and the product of the
/// lengths for a division.
#[test]
fn work_runs_out_exactly() {
    const LENGTHS: [u64; 4] = [1 << 14, 1 << 10, 1 << 5, 1];
    let mut operations: Vec<u64> = LENGTHS.iter().map(|words| op(CONST, 0, 0, *words)).collect();
    let mut left = (1 << 30) - LENGTHS.iter().map(|words| 8 + 512 * words).sum::<u64>();
    // Divisors from the longest down, until one takes 8 or 9 units.
    for (divisor, words) in LENGTHS.iter().enumerate() {
        let each = LENGTHS[0] * words + 8;
        let times = (left - 72) / each;
        operations.extend(vec![op(REM, 0, 0, divisor as u64); times as usize]);
        left -= times * each;
    }
    operations.extend(vec![op(REM, 0, 3, 3); (left % 8) as usize]);
    operations.extend(vec![op(CONST, 0, 0, 0); (left / 8 - left % 8) as usize]);
    let constants = vec![1; LENGTHS[0] as usize];
    assert_eq!(run(&assemble(&[], &constants, &operations)).map(drop), Ok(()));
    let index = operations.len() as u32;
    operations.push(op(CONST, 0, 0, 0));
    let error = run(&assemble(&[], &constants, &operations)).map(drop);
    assert_eq!(error, Err(BigIntError::Work { operation: index, limit: 1 << 30 }));
}

/// An inversion takes much longer than a product of the same numbers.
#[test]
fn inverses_are_dear() {
    let inverse = |words: u64| {
        let operations = [op(CONST, 0, 0, words), op(CONST, 0, 1, words), op(INV, 0, 0, 1)];
        run(&assemble(&[], &(1..=words + 1).collect::<Vec<_>>(), &operations)).map(drop)
    };
    assert_eq!(inverse(4096), Err(BigIntError::Work { operation: 2, limit: 1 << 30 }));
    assert!(matches!(inverse(512), Ok(()) | Err(BigIntError::NoInverse { .. })));
}

/// Each of these would cost the reference at least minutes, or all memory.
#[test]
fn no_program_runs_away() {
    let squarings = |count: u64| {
        let mut operations = vec![op(CONST, 0, 0, 8)];
        operations.extend((0..count).map(|at| op(MUL, 0, at, at)));
        run(&assemble(&[], &[u64::MAX; 8], &operations))
    };
    assert!(matches!(squarings(64), Err(BigIntError::Work { .. })));

    // Numbers of 800,000 bytes are cheap to add.
    let mut operations = vec![op(CONST, 0, 0, 100_000)];
    operations.extend(vec![op(ADD, 0, 0, 0); 200]);
    let sums = run(&assemble(&[], &vec![1; 100_000], &operations));
    assert!(matches!(sums, Err(BigIntError::Memory { operation: 83, .. })), "{sums:?}");

    let large = 2 << 20;
    let load = |bytes, count| {
        // Long numbers, not zeros.
        let program = assemble(&[bytes], &[], &vec![op(LOAD, 0, INPUT, 0); count]);
        evaluate(&Program::parse(&program)?, Mode::User, &registers(), |address| address, &mut Scratch::default())
            .map(Ran::from)
    };
    assert_eq!(load(large, 7).expect("they fit").loads.len(), 7);
    assert!(matches!(load(large, 8), Err(BigIntError::Work { operation: 7, .. })));
    assert!(matches!(load(0xffff_0000, 1), Err(BigIntError::Address { .. })));
    assert!(matches!(load(0xc000_0000, 1), Err(BigIntError::Work { .. })));

    let stores = |count| run(&assemble(&[large], &[], &vec![op(STORE, 0, OUTPUT, 0); count]));
    assert_eq!(stores(7).expect("they fit").witness.len(), 2 << 16);
    assert!(matches!(stores(8), Err(BigIntError::Work { operation: 7, .. })));

    let constants = vec![op(CONST, 0, 0, 100_000); 1_000];
    assert!(matches!(run(&assemble(&[], &vec![1; 100_000], &constants)), Err(BigIntError::Work { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_evaluated_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = run(&bytes);
        let mut begun = b"bibc\x01\0\0\0".to_vec();
        begun.extend(bytes);
        let _ = run(&begun);
    }

    #[test]
    fn any_operations_are_evaluated_or_refused(
        types in prop::collection::vec(prop_oneof![0..100u64, any::<u64>()], 0..3),
        constants in prop::collection::vec(any::<u64>(), 0..4),
        operations in prop::collection::vec((
            prop::sample::select(vec![CONST, LOAD, STORE, ADD, SUB, MUL, REM, QUO, INV]),
            0..3u64,
            prop_oneof![0..8u64, Just(INPUT), Just(OUTPUT), 0..1u64 << 24],
            prop_oneof![0..8u64, 0..1u64 << 24],
        ), 0..40),
        mode in prop::sample::select(vec![Mode::User, Mode::Machine]),
        seed in any::<u32>(),
    ) {
        let operations: Vec<u64> = operations.into_iter().map(|(code, kind, a, b)| op(code, kind, a, b)).collect();
        let bytes = assemble(&types, &constants, &operations);
        let program = Program::parse(&bytes).expect("it is a program");
        let peek = |address: u32| address.wrapping_mul(seed);
        if let Ok(evaluation) = evaluate(&program, mode, &registers(), peek, &mut Scratch::default()) {
            for address in Ran::from(evaluation).witness.keys() {
                prop_assert!(*address >= LOWEST_ADDRESS && *address <= 0xffff_fff0 && address.is_multiple_of(4));
            }
        }
    }
}
