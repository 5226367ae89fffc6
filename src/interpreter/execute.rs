//! The meaning of every instruction: its row from the operands, and where it leads. This file must not know who else looks
//! at a step; an [`Accesses`] does its loads and stores.

use tachy_runtime::Row;

use super::decoded::Decoded;
use crate::isa::Op;

/// A step in progress: its row, with the operands read, and its successor.
pub(super) struct Step {
    pub(super) row: Row,
    pub(super) next: u32,
    /// Whether the engine must check something before the next step.
    pub(super) leave: bool,
}

/// How control goes on after a step.
#[derive(PartialEq, Eq)]
pub(super) enum Goes {
    /// To the instruction behind.
    On,
    /// To the step's `next`, which may be anywhere.
    To,
    /// The machine has to execute the instruction. Nothing was done.
    Machine,
}

/// Loads and stores of instructions.
pub(super) trait Accesses {
    /// Why an access was refused.
    type Refusal;

    /// Returns the word that holds the `bytes` bytes at rs1 + `imm`, shifted so that they are its lowest. Completes the row.
    ///
    /// # Errors
    /// Nothing was done then.
    fn load(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<u32, Self::Refusal>;

    /// Merges the low `bytes` bytes of rs2 into the word that holds rs1 + `imm`. Completes the row. Returns whether the
    /// engine must check something before the next step.
    ///
    /// # Errors
    /// Nothing was done then.
    fn store(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<bool, Self::Refusal>;
}

/// Executes the instruction into its row and `next`. The caller writes rd.
#[inline(always)]
pub(super) fn execute<A: Accesses>(
    op: Op,
    now: Decoded,
    step: &mut Step,
    accesses: &mut A,
) -> Result<Goes, A::Refusal> {
    let Row { pc, rs1: a, rs2: b, .. } = step.row;
    let imm = now.imm;
    let row = &mut step.row;
    match op {
        Op::Lui => row.rd = imm,
        Op::Auipc => row.rd = pc.wrapping_add(imm),

        Op::Addi => row.rd = a.wrapping_add(imm),
        Op::Slti => row.rd = ((a as i32) < imm as i32) as u32,
        Op::Sltiu => row.rd = (a < imm) as u32,
        Op::Xori => row.rd = a ^ imm,
        Op::Ori => row.rd = a | imm,
        Op::Andi => row.rd = a & imm,
        Op::Slli => row.rd = a << (imm & 31),
        Op::Srli => row.rd = a >> (imm & 31),
        Op::Srai => row.rd = (a as i32 >> (imm & 31)) as u32,

        Op::Add => row.rd = a.wrapping_add(b),
        Op::Sub => row.rd = a.wrapping_sub(b),
        Op::Sll => row.rd = a << (b & 31),
        Op::Slt => row.rd = ((a as i32) < b as i32) as u32,
        Op::Sltu => row.rd = (a < b) as u32,
        Op::Xor => row.rd = a ^ b,
        Op::Srl => row.rd = a >> (b & 31),
        Op::Sra => row.rd = (a as i32 >> (b & 31)) as u32,
        Op::Or => row.rd = a | b,
        Op::And => row.rd = a & b,

        Op::Mul => row.rd = a.wrapping_mul(b),
        Op::Mulh => row.rd = ((a as i32 as i64 * b as i32 as i64) >> 32) as u32,
        Op::Mulhsu => row.rd = ((a as i32 as i64 * b as i64) >> 32) as u32,
        Op::Mulhu => row.rd = ((a as u64 * b as u64) >> 32) as u32,
        // Division by zero and the one overflow have fixed results and never trap.
        Op::Div => row.rd = if b == 0 { u32::MAX } else { (a as i32).wrapping_div(b as i32) as u32 },
        Op::Divu => row.rd = a.checked_div(b).unwrap_or(u32::MAX),
        Op::Rem => row.rd = if b == 0 { a } else { (a as i32).wrapping_rem(b as i32) as u32 },
        Op::Remu => row.rd = a.checked_rem(b).unwrap_or(a),

        Op::Lb => row.rd = accesses.load(row, imm, 1)? as u8 as i8 as u32,
        Op::Lbu => row.rd = accesses.load(row, imm, 1)? as u8 as u32,
        Op::Lh => row.rd = accesses.load(row, imm, 2)? as u16 as i16 as u32,
        Op::Lhu => row.rd = accesses.load(row, imm, 2)? as u16 as u32,
        Op::Lw => row.rd = accesses.load(row, imm, 4)?,
        Op::Sb => step.leave = accesses.store(row, imm, 1)?,
        Op::Sh => step.leave = accesses.store(row, imm, 2)?,
        Op::Sw => step.leave = accesses.store(row, imm, 4)?,

        Op::Beq => return Ok(branch(step, imm, a == b)),
        Op::Bne => return Ok(branch(step, imm, a != b)),
        Op::Blt => return Ok(branch(step, imm, (a as i32) < b as i32)),
        Op::Bge => return Ok(branch(step, imm, a as i32 >= b as i32)),
        Op::Bltu => return Ok(branch(step, imm, a < b)),
        Op::Bgeu => return Ok(branch(step, imm, a >= b)),
        Op::Jal => {
            row.rd = step.next;
            step.next = pc.wrapping_add(imm);
            return Ok(Goes::To);
        }
        Op::Jalr => {
            row.rd = step.next;
            step.next = a.wrapping_add(imm) & !1;
            return Ok(Goes::To);
        }

        Op::Fence | Op::FenceI => {}
        Op::Ecall | Op::Ebreak | Op::Mret => return Ok(Goes::Machine),
    }
    Ok(Goes::On)
}

#[inline(always)]
fn branch(step: &mut Step, distance: u32, taken: bool) -> Goes {
    if !taken {
        return Goes::On;
    }
    step.next = step.row.pc.wrapping_add(distance);
    Goes::To
}

/// Completes the row of a load from `address`, and returns the word shifted as [`Accesses::load`] says.
#[inline(always)]
pub(super) fn loaded(row: &mut Row, address: u32, word: u32) -> u32 {
    row.addr = address;
    row.mem_before = word;
    row.mem_after = word;
    word >> (address % 4 * 8)
}

/// Completes the row of a store of `bytes` bytes to `address`, whose word was `before`, and returns the new word.
#[inline(always)]
pub(super) fn stored(row: &mut Row, address: u32, bytes: u32, before: u32) -> u32 {
    let mask = (u64::MAX >> (64 - 8 * bytes)) as u32;
    let shift = address % 4 * 8;
    row.addr = address;
    row.mem_before = before;
    row.mem_after = before & !(mask << shift) | (row.rs2 & mask) << shift;
    row.mem_after
}
