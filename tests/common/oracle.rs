//! The third implementation of the instructions' semantics: written from the manual's sentences, in wide integers, and
//! without code of either engine. It judges rows one at a time, from their own columns.

use tachy::decode::{Instruction, decode};
use tachy::isa::{Op, Variant};
use tachy::trace::{Tee, VecSink};
use tachy::{Error, Row};

use super::engines::{Case, End, Outcome, Setup, run_with};

/// What a step must have done, given what it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub rd: u32,
    pub addr: u32,
    pub mem_after: u32,
    pub next_pc: u32,
}

/// Converts to a signed number.
fn signed(value: u32) -> i128 {
    if value >= 1 << 31 { value as i128 - (1 << 32) } else { value as i128 }
}

/// Converts to an unsigned number.
fn unsigned(value: u32) -> i128 {
    value as i128
}

/// Returns the lowest 32 bits of a number.
fn low(value: i128) -> u32 {
    value.rem_euclid(1 << 32) as u32
}

/// Sign-extends the lowest `bits` bits.
fn extend(value: u32, bits: u32) -> u32 {
    let range = 1i128 << bits;
    let part = unsigned(value) % range;
    low(if part >= range / 2 { part - range } else { part })
}

/// Returns 2 to the power of a shift amount, of which five bits count.
fn power(amount: u32) -> i128 {
    1 << (amount % 32)
}

/// Returns the result of an instruction that neither reads memory nor transfers control; `None` for any other.
pub fn compute(instruction: Instruction, pc: u32, rs1: u32, rs2: u32) -> Option<u32> {
    let imm = instruction.imm;
    Some(match instruction.op {
        Op::Lui => imm,
        Op::Auipc => low(unsigned(pc) + signed(imm)),
        Op::Addi => low(signed(rs1) + signed(imm)),
        Op::Add => low(signed(rs1) + signed(rs2)),
        Op::Sub => low(signed(rs1) - signed(rs2)),
        Op::Slti => u32::from(signed(rs1) < signed(imm)),
        Op::Slt => u32::from(signed(rs1) < signed(rs2)),
        Op::Sltiu => u32::from(unsigned(rs1) < unsigned(imm)),
        Op::Sltu => u32::from(unsigned(rs1) < unsigned(rs2)),
        // The logical operations in terms of sums: a + b = (a ^ b) + 2 (a & b), and (a | b) = (a ^ b) + (a & b).
        Op::Andi => and(rs1, imm),
        Op::And => and(rs1, rs2),
        Op::Ori => low(unsigned(rs1) + unsigned(imm) - unsigned(and(rs1, imm))),
        Op::Or => low(unsigned(rs1) + unsigned(rs2) - unsigned(and(rs1, rs2))),
        Op::Xori => low(unsigned(rs1) + unsigned(imm) - 2 * unsigned(and(rs1, imm))),
        Op::Xor => low(unsigned(rs1) + unsigned(rs2) - 2 * unsigned(and(rs1, rs2))),
        Op::Slli => low(unsigned(rs1) * power(imm)),
        Op::Sll => low(unsigned(rs1) * power(rs2)),
        Op::Srli => low(unsigned(rs1) / power(imm)),
        Op::Srl => low(unsigned(rs1) / power(rs2)),
        Op::Srai => low(signed(rs1).div_euclid(power(imm))),
        Op::Sra => low(signed(rs1).div_euclid(power(rs2))),
        Op::Mul => low(signed(rs1) * signed(rs2)),
        Op::Mulh => low((signed(rs1) * signed(rs2)).div_euclid(1 << 32)),
        Op::Mulhsu => low((signed(rs1) * unsigned(rs2)).div_euclid(1 << 32)),
        Op::Mulhu => low((unsigned(rs1) * unsigned(rs2)) / (1 << 32)),
        Op::Div if rs2 == 0 => u32::MAX,
        Op::Div => low(signed(rs1) / signed(rs2)),
        Op::Divu if rs2 == 0 => u32::MAX,
        Op::Divu => low(unsigned(rs1) / unsigned(rs2)),
        Op::Rem if rs2 == 0 => rs1,
        Op::Rem => low(signed(rs1) % signed(rs2)),
        Op::Remu if rs2 == 0 => rs1,
        Op::Remu => low(unsigned(rs1) % unsigned(rs2)),
        _ => return None,
    })
}

/// Works bit by bit, because `&` itself is under test.
fn and(a: u32, b: u32) -> u32 {
    (0..32).filter(|&bit| (a >> bit) % 2 == 1 && (b >> bit) % 2 == 1).map(|bit| 1 << bit).sum()
}

/// Returns whether a branch is taken; `None` if `op` is not a branch.
pub fn taken(op: Op, rs1: u32, rs2: u32) -> Option<bool> {
    Some(match op {
        Op::Beq => rs1 == rs2,
        Op::Bne => rs1 != rs2,
        Op::Blt => signed(rs1) < signed(rs2),
        Op::Bge => signed(rs1) >= signed(rs2),
        Op::Bltu => unsigned(rs1) < unsigned(rs2),
        Op::Bgeu => unsigned(rs1) >= unsigned(rs2),
        _ => return None,
    })
}

/// Returns what the step of `row` must have done, given what `row` says it read.
pub fn expect(instruction: Instruction, row: &Row) -> Expected {
    let Instruction { op, imm, .. } = instruction;
    let Row { pc, rs1, rs2, mem_before, .. } = *row;
    let fall = low(unsigned(pc) + 4);
    let nothing = Expected { rd: 0, addr: 0, mem_after: 0, next_pc: fall };
    if let Some(rd) = compute(instruction, pc, rs1, rs2) {
        return Expected { rd, ..nothing };
    }
    if let Some(taken) = taken(op, rs1, rs2) {
        return Expected { next_pc: if taken { low(unsigned(pc) + signed(imm)) } else { fall }, ..nothing };
    }
    let addr = low(signed(rs1) + signed(imm));
    // The accessed bytes as they lie in memory: little-endian, the lowest of the word first.
    let from = (addr % 4) as usize;
    let bytes = mem_before.to_le_bytes();
    let byte = u32::from(bytes[from]);
    let half = byte + 256 * u32::from(bytes[(from + 1) % 4]);
    let loaded = |rd| Expected { rd, addr, mem_after: mem_before, next_pc: fall };
    let stored = |count: usize| {
        let mut after = bytes;
        after[from..from + count].copy_from_slice(&rs2.to_le_bytes()[..count]);
        Expected { addr, mem_after: u32::from_le_bytes(after), ..nothing }
    };
    match op {
        Op::Lb => loaded(extend(byte, 8)),
        Op::Lbu => loaded(byte),
        Op::Lh => loaded(extend(half, 16)),
        Op::Lhu => loaded(half),
        Op::Lw => loaded(mem_before),
        Op::Sb => stored(1),
        Op::Sh => stored(2),
        Op::Sw => stored(4),
        Op::Jal => Expected { rd: fall, next_pc: low(unsigned(pc) + signed(imm)), ..nothing },
        Op::Jalr => Expected { rd: fall, next_pc: addr - addr % 2, ..nothing },
        // These have no effect that a row shows.
        Op::Fence | Op::FenceI | Op::Ecall | Op::Ebreak | Op::Mret => nothing,
        _ => unreachable!("{op:?} is computed or a branch"),
    }
}

/// Checks every row from its own columns, and that each leads to the next; `after` is the pc after the last. A replay
/// checks whether a row's operands are those of its registers and memory.
pub fn check_rows(rows: &[Row], after: u32, variant: Variant) -> Result<(), String> {
    for (step, row) in rows.iter().enumerate() {
        let next_pc = rows.get(step + 1).map_or(after, |next| next.pc);
        let Some(instruction) = decode(row.insn, variant) else {
            return Err(format!("step {step}: a row for an illegal word: {row:#x?}"));
        };
        let format = instruction.op.line().format;
        let expected = expect(instruction, row);
        let found = Expected { rd: row.rd, addr: row.addr, mem_after: row.mem_after, next_pc };
        if found != expected {
            return Err(format!("step {step}: {row:#x?}\nexpected {expected:#x?}\nbut went to {next_pc:#x}"));
        }
        if !format.has_rs1() && row.rs1 != 0 || !format.has_rs2() && row.rs2 != 0 {
            return Err(format!("step {step}: an operand that the instruction does not have: {row:#x?}"));
        }
        if instruction.op.line().access_bytes() == 0 && row.mem_before != 0 {
            return Err(format!("step {step}: memory in a row without access: {row:#x?}"));
        }
    }
    Ok(())
}

/// Interprets a case and judges the rows: each from its own columns, and all together with a replay, which knows the
/// value of every register and every word.
pub fn judged(case: &Case) -> Result<Outcome, String> {
    let mut sink = VecSink::default();
    let outcome = run_with(case, &Setup::interpreter(), |session| {
        let mut replay = session.replay(u64::MAX);
        let result = session.run(&mut Tee::new(&mut sink, &mut replay));
        let differs = |text: String| Error::Sink { location: session.location(), source: text.into() };
        if replay.registers() != session.registers() {
            return Err(differs("the replayed registers differ".to_string()));
        }
        match replay.words().find(|&(address, word)| session.word(address) != word) {
            Some((address, _)) => Err(differs(format!("the replayed word at {address:#x} differs"))),
            None => result,
        }
    });
    if let End::Failed { kind: "sink", text, .. } = &outcome.end {
        return Err(format!("replaying the interpreter's rows: {text}"));
    }
    let outcome = Outcome { rows: sink.rows, effects: sink.effects, ..outcome };
    let after = outcome.state.as_ref().map_or(0, |state| state.pc);
    check_rows(&outcome.rows, after, case.variant())
        .map_err(|text| format!("the interpreter against the oracle: {text}"))?;
    Ok(outcome)
}
