//! Tests fences, `ebreak`, illegal instructions, and the system calls of machine `bare` with all their effects.

use tachy::decode::{Instruction, decode, encode};
use tachy::isa::{Class, Op, Variant};
use tachy::program::{Permissions, Segment};
use tachy::trace::{Effect, EffectKind, Space};
use tachy::{Cause, Program, Status};

use super::{CODE, OPERANDS, Tested, assert_trap, lines, setups, states};
use crate::common::assembler::Assembler;
use crate::common::engines::{Case, End, Outcome, assert_same};
use crate::common::rng::Rng;

const READ: u32 = 63;
const WRITE: u32 = 64;
const EXIT: u32 = 93;
const BRK: u32 = 214;
const EBADF: u32 = -9i32 as u32;
const EFAULT: u32 = -14i32 as u32;
const ENOSYS: u32 = -38i32 as u32;

const A0: u8 = 10;
const A7: u8 = 17;

const DATA: u32 = 0x4_0000;
/// A page that the guest may not write.
const CONSTANTS: u32 = 0x4_4000;
/// The page after the last segment.
const HEAP: u32 = 0x4_4400;

fn word(op: Op) -> u32 {
    encode(Instruction { op, rd: 0, rs1: 0, rs2: 0, imm: 0 })
}

#[test]
fn every_line_is_tested() {
    for line in lines(Tested::System) {
        match (line.class, line.op) {
            (Class::Fence, Op::Fence | Op::FenceI) => fence_does_nothing(line.op),
            (Class::System, Op::Ecall) => {}
            (Class::System, Op::Ebreak) => {
                let case = Case::code(CODE, &[0x13, word(Op::Ebreak)], Vec::new());
                assert_eq!(assert_trap("ebreak", &case, Cause::Breakpoint, CODE + 4).rows.len(), 1);
            }
            // Not part of machine `bare`; tests/it/engine/machines.rs covers it.
            (Class::System, Op::Mret) => {
                let case = Case::code(CODE, &[0x13, word(Op::Mret)], Vec::new());
                assert_trap("mret", &case, Cause::IllegalInstruction, CODE + 4);
            }
            _ => panic!("{} has no test", line.mnemonic),
        }
    }
}

/// A fence has no effect and shows nothing, whatever its operand fields hold.
fn fence_does_nothing(op: Op) {
    let mut code: Vec<u32> = [0u32, 0x0ff0_0000, 0xffff_8f80].map(|fields| word(op) | fields).to_vec();
    code.push(word(Op::Ebreak));
    let outcome = assert_same("a fence", &Case::code(CODE, &code, Vec::new()), &setups());
    assert_eq!(outcome.rows.len(), 3);
    let state = outcome.state.expect("it ran");
    assert!((1..32).all(|register| register == 2 || state.registers[register] == 0), "{:x?}", state.registers);
}

/// Fences and unknown system calls change nothing but the call's result, whatever the registers hold.
#[test]
fn fences_and_unknown_calls_in_many_states() {
    const POINTER: u8 = 28;
    const END: u8 = 29;
    let mut rng = Rng::new(5);
    let mut number = || loop {
        let number = rng.word();
        if ![READ, WRITE, EXIT, BRK].contains(&number) {
            return number;
        }
    };
    // Each pass loads three registers and has four of each kind of step.
    let words: Vec<u32> = (0..3 * states().div_ceil(4)).map(|_| number()).collect();
    let mut asm = Assembler::new(CODE);
    asm.li(POINTER, OPERANDS);
    asm.li(END, OPERANDS + 4 * words.len() as u32);
    let top = asm.label_here();
    for (register, offset) in [(A7, 0), (A0, 4), (11, 8)] {
        asm.i(Op::Lw, register, POINTER, offset);
    }
    for _ in 0..4 {
        for op in [Op::Fence, Op::FenceI, Op::Ecall] {
            asm.word(word(op));
        }
    }
    asm.i(Op::Addi, POINTER, POINTER, 12);
    asm.branch(Op::Bltu, POINTER, END, top);
    asm.word(word(Op::Ebreak));
    let table = Segment::from_words(OPERANDS, &words, Permissions::R);
    let outcome = assert_same("fences and calls", &Case::code(CODE, &asm.finish().words, vec![table]), &setups());
    for op in [Op::Fence, Op::FenceI, Op::Ecall] {
        let count = outcome.rows.iter().filter(|row| row.insn == word(op)).count();
        assert!(count >= states(), "{op:?}: {count}");
    }
    // Each call reads a7 and writes a0. The replay has checked that the rows in between are consistent.
    assert_eq!(outcome.effects.len(), 2 * 4 * words.len() / 3);
    let results = outcome.effects.iter().filter(|effect| effect.kind() == EffectKind::Write);
    assert!(results.clone().count() >= states());
    for effect in results {
        assert_eq!((effect.space(), effect.addr, effect.after), (Space::Register, u32::from(A0), ENOSYS));
    }
}

#[test]
fn illegal_words_trap() {
    let words = [
        0x0000_0000, // what fresh memory holds
        0xffff_ffff,
        0x0000_4501, // compressed: c.li a0,0
        0x0000_8082, // compressed: ret
        0xc000_2573, // rdcycle
        0xc000_1073, // unimp
        0x3000_2573, // csrr mstatus
        0x1020_0073, // sret
        0x1050_0073, // wfi
        0x3020_0073, // mret
        0x0020_00f3, // uret with rd
        0x0000_00f3, // ecall with rd
        0x0000_8073, // ecall with rs1
        0x1000_202f, // lr.w
        0x0000_2007, // flw
        0x0000_0053, // fadd.s
        0x0000_3003, // ld
        0x0000_6003, // lwu
        0x0000_3023, // sd
        0x0000_7003, // a load of unknown size
        0x0000_2063, // a branch with funct3 2
        0x0000_1067, // jalr with funct3 1
        0x0200_1013, // slli by 32
        0x4000_1013, // slli with srai's bit
        0x4000_7033, // and with sub's bit
        0x0400_0033, // funct7 2
        0x0000_001b, // addiw
        0x0000_003b, // addw
        0x0000_200f, // fence with funct3 2
    ];
    for word in words {
        assert_eq!(decode(word, Variant::Standard), None, "{word:#010x}");
        let case = Case::code(CODE, &[0x13, word], Vec::new());
        let outcome = assert_trap(&format!("{word:#010x}"), &case, Cause::IllegalInstruction, CODE + 4);
        assert_eq!(outcome.rows.len(), 1);
    }
}

/// Runs system calls in sequence, each with a7 and a0 to a2, then `ebreak`.
fn calls(calls: &[[u32; 4]], stdin: &[u8]) -> Outcome {
    let mut asm = Assembler::new(CODE);
    for [number, arguments @ ..] in calls {
        asm.li(A7, *number);
        for (register, value) in (A0..).zip(arguments) {
            asm.li(register, *value);
        }
        asm.word(word(Op::Ecall));
        // The next row shows the result.
        asm.i(Op::Addi, 9, A0, 0);
    }
    asm.word(word(Op::Ebreak));
    let bytes: Vec<u8> = (0..2048).map(|index| b'a' + (index % 26) as u8).collect();
    let segments = vec![
        Segment::new(DATA, bytes.clone(), Permissions::RW),
        Segment::new(CONSTANTS, bytes[..1024].to_vec(), Permissions::R),
    ];
    let case = Case { stdin: stdin.to_vec(), ..Case::code(CODE, &asm.finish().words, segments) };
    assert_same("system calls", &case, &setups())
}

/// Returns the result of each call.
fn results(outcome: &Outcome) -> Vec<u32> {
    let steps = outcome.rows.iter().enumerate().filter(|(_, row)| row.insn == word(Op::Ecall));
    steps.filter_map(|(step, _)| outcome.rows.get(step + 1)).map(|row| row.rs1).collect()
}

/// Returns the effects of the outcome's only call, without their step.
fn effects(outcome: &Outcome) -> Vec<(EffectKind, Space, u32, u32, u32)> {
    let step = outcome.rows.iter().position(|row| row.insn == word(Op::Ecall)).expect("a call") as u64;
    assert!(outcome.effects.iter().all(|effect| effect.step == step), "{:?}", outcome.effects);
    let parts = |effect: &Effect| (effect.kind(), effect.space(), effect.addr, effect.before, effect.after);
    outcome.effects.iter().map(parts).collect()
}

#[test]
fn write() {
    let outcome = calls(
        &[
            [WRITE, 1, DATA, 5],
            [WRITE, 2, DATA + 1, 2],
            [WRITE, 1, DATA + 1020, 8],
            [WRITE, 1, CONSTANTS + 1023, 1],
            [WRITE, 1, 0, 0],
            [WRITE, 0, DATA, 1],
            [WRITE, 3, DATA, 1],
            [WRITE, 0xffff_ffff, 0, 1],
            [WRITE, 1, 0, 1],
            [WRITE, 1, DATA + 2047, 2],
            [WRITE, 1, CONSTANTS + 1024, 1],
            [WRITE, 1, 0xffff_fffe, 4],
            [WRITE, 1, DATA - 1, 2],
        ],
        b"",
    );
    let faults = [EFAULT; 5];
    assert_eq!(results(&outcome), [&[5, 2, 8, 1, 0, EBADF, EBADF, EBADF][..], &faults].concat());
    assert_eq!(outcome.stdout, [&b"abcde"[..], b"ghijklmn", b"j"].concat());
    assert_eq!(outcome.stderr, b"bc");

    let outcome = calls(&[[WRITE, 1, DATA + 3, 4]], b"");
    use EffectKind::{Read, Write};
    use Space::{Memory, Register};
    let abcd = u32::from_le_bytes(*b"abcd");
    let efgh = u32::from_le_bytes(*b"efgh");
    let expected = [
        (Read, Register, 17, WRITE, WRITE),
        (Read, Register, 10, 1, 1),
        (Read, Register, 11, DATA + 3, DATA + 3),
        (Read, Register, 12, 4, 4),
        (Read, Memory, DATA, abcd, abcd),
        (Read, Memory, DATA + 4, efgh, efgh),
        (Write, Register, 10, 1, 4),
    ];
    assert_eq!(effects(&outcome), expected);
}

#[test]
fn read() {
    let outcome = calls(
        &[
            [READ, 0, DATA, 4],
            [READ, 0, DATA + 5, 3],
            [READ, 0, DATA, 0],
            [READ, 1, DATA, 1],
            [READ, 0, CONSTANTS, 1],
            [READ, 0, CODE, 1],
            [READ, 0, DATA + 2047, 2],
            [READ, 0, 0, 1],
            [READ, 0, 0xffff_ffff, 2],
            // A read of more than is available returns what is available, and nothing after that.
            [READ, 0, DATA + 1020, 100],
            [READ, 0, DATA, 100],
            [WRITE, 1, DATA, 10],
            [WRITE, 1, DATA + 1019, 6],
        ],
        b"0123456789AB",
    );
    let expected = [4, 3, 0, EBADF, EFAULT, EFAULT, EFAULT, EFAULT, EFAULT, 5, 0, 10, 6];
    assert_eq!(results(&outcome), expected);
    assert_eq!(outcome.stdout, b"0123e456ijf789AB");

    let outcome = calls(&[[READ, 0, DATA + 2, 3]], b"012");
    use EffectKind::{Read, Write};
    use Space::{Memory, Register};
    let bytes = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
    let expected = [
        (Read, Register, 17, READ, READ),
        (Read, Register, 10, 0, 0),
        (Read, Register, 11, DATA + 2, DATA + 2),
        (Read, Register, 12, 3, 3),
        (Write, Memory, DATA, bytes(b"abcd"), bytes(b"ab01")),
        (Write, Memory, DATA + 4, bytes(b"efgh"), bytes(b"2fgh")),
        (Write, Register, 10, 0, 3),
    ];
    assert_eq!(effects(&outcome), expected);
}

/// What a read writes over code that ran is what executes next.
#[test]
fn read_over_code() {
    let add = |imm| encode(Instruction { op: Op::Addi, rd: 9, rs1: 9, rs2: 0, imm });
    let mut asm = Assembler::new(CODE);
    let (start, function) = (asm.label(), asm.label());
    asm.jal(0, start);
    asm.place(function);
    let written = asm.here();
    asm.word(add(1));
    asm.i(Op::Jalr, 0, 1, 0);
    asm.place(start);
    // The first call runs the original code, and each later one runs one more instruction of the input.
    asm.jal(1, function);
    for _ in 0..3 {
        for (register, value) in [(10, 0), (11, written), (12, 4), (17, READ)] {
            asm.li(register, value);
        }
        asm.word(word(Op::Ecall));
        asm.jal(1, function);
    }
    asm.i(Op::Addi, A0, 9, 0);
    asm.li(A7, EXIT);
    asm.word(word(Op::Ecall));
    let segment = Segment::from_words(CODE, &asm.finish().words, Permissions::RWX);
    let program = Program::from_segments(CODE, vec![segment]).expect("a test's own program");
    let stdin: Vec<u8> = [add(16), add(32), add(64)].iter().flat_map(|word| word.to_le_bytes()).collect();
    let outcome = assert_same("read over code", &Case { stdin, ..Case::new(program) }, &setups());
    assert_eq!(outcome.end, End::Done(Status::Exited { code: 1 + 16 + 32 + 64 }));
    let ran: Vec<_> = outcome.rows.iter().filter(|row| row.pc == written).map(|row| row.insn).collect();
    assert_eq!(ran, [1, 16, 32, 64].map(add));
}

#[test]
fn brk() {
    let top = 0xef7f_fc00;
    let outcome = calls(
        &[
            [BRK, 0, 0, 0],
            [BRK, HEAP + 1500, 0, 0],
            [READ, 0, HEAP + 1400, 4],
            [READ, 0, HEAP + 2048, 1],
            // Shrinking discards the contents; after growing again the memory is zero.
            [BRK, HEAP + 1402, 0, 0],
            [BRK, HEAP + 3000, 0, 0],
            [WRITE, 1, HEAP + 1400, 4],
            [BRK, HEAP - 1, 0, 0],
            [BRK, top + 1, 0, 0],
            [BRK, 0xffff_ffff, 0, 0],
            [BRK, top, 0, 0],
            [READ, 0, top - 1, 1],
            [READ, 0, top, 1],
            [BRK, HEAP, 0, 0],
            [READ, 0, HEAP, 1],
        ],
        b"wxyz0123",
    );
    let h = HEAP;
    let expected =
        [h, h + 1500, 4, EFAULT, h + 1402, h + 3000, 4, h + 3000, h + 3000, h + 3000, top, 1, EFAULT, h, EFAULT];
    assert_eq!(results(&outcome), expected);
    assert_eq!(outcome.stdout, b"wx\0\0");
}

#[test]
fn exit_and_unknown_calls() {
    for code in [0, 1, 255, 256, 0xffff_ffff] {
        let outcome = calls(&[[EXIT, code, 7, 8]], b"");
        assert_eq!(outcome.end, End::Done(tachy::Status::Exited { code }));
        let last = outcome.rows.last().expect("the exit has a row");
        assert_eq!((last.insn, last.rd), (word(Op::Ecall), 0));
        let state = outcome.state.as_ref().expect("it ran");
        assert_eq!((state.exit_code, state.steps), (Some(code), outcome.rows.len() as u64));
        let read = (EffectKind::Read, Space::Register);
        let expected = [(read.0, read.1, 17, EXIT, EXIT), (read.0, read.1, 10, code, code)];
        assert_eq!(effects(&outcome), expected);
    }
    let outcome = calls(&[[0, 5, 6, 7], [1, 0, 0, 0], [94, 0, 0, 0], [0xffff_ffff, 0, 0, 0], [BRK, 0, 0, 0]], b"");
    assert_eq!(results(&outcome), [ENOSYS, ENOSYS, ENOSYS, ENOSYS, HEAP]);
    assert_eq!(outcome.state.expect("it ran").ecalls, (5, 4));
}
