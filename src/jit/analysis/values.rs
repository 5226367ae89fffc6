//! Values: facts about the values that a block computes, derived from its instructions alone. These are constants, sums
//! of a register and a constant, shifts by known amounts, and rotations. Pure.
//!
//! The pass reads guest instructions with RISC-V's semantics. It determines in which [`Form`] each result is best
//! computed, and the address of each access. The lowering follows these forms and uses no other source: in particular
//! not the IR that it has made, which knows nothing of RISC-V's rules. It must not know Cranelift, memory, or any
//! machine.
//!
//! ```text
//! registers = [x0: 0, x1: entry(x1), .., x31: entry(x31)]
//! for each instruction of the block:
//!     form = simplest form of its result, out of what `registers` says of rs1 and rs2
//!     registers[rd] = the constant or sum that the form is, else result(instruction)
//! ```
//!
//! A wrong form is wrong code, so `tests.rs` checks every form against the interpreter's rows.

#[cfg(test)]
mod tests;

use super::region::Placed;
use crate::isa::{Class, Format, Op};

/// A value that is not decomposed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Base {
    /// 0: the sum is a constant.
    Zero,
    /// The value of this register, not x0, at the start of the block.
    Entry(u8),
    /// The result of the instruction with this index in the block.
    Result(usize),
}

/// `base + offset`, modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sum {
    pub(crate) base: Base,
    pub(crate) offset: u32,
}

impl Sum {
    pub(crate) fn constant(value: u32) -> Sum {
        Sum { base: Base::Zero, offset: value }
    }

    fn of(base: Base) -> Sum {
        Sum { base, offset: 0 }
    }

    fn plus(self, constant: u32) -> Sum {
        Sum { offset: self.offset.wrapping_add(constant), ..self }
    }

    /// Returns the value, if it is a constant.
    pub(crate) fn as_constant(self) -> Option<u32> {
        (self.base == Base::Zero).then_some(self.offset)
    }
}

/// The best way to compute the result of an instruction of class Compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the instruction specifies, from its operands.
    Operation,
    /// It is this constant or sum; a copy of a register is a sum with 0.
    Sum(Sum),
    /// A shift of rs1 as the instruction specifies, by this number of bits, 1 to 31.
    Shift(u32),
    /// This value rotated right by this many bits, 1 to 31.
    RotateRight(Sum, u32),
    /// The sum of both operands, because they have no bit in common.
    Disjoint,
}

/// The pass's facts about one instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// How its result is computed; [`Form::Operation`] for every class but Compute.
    pub(crate) form: Form,
    /// The address of a load or store and the target of an indirect jump, before its lowest bit is cleared: rs1 + imm.
    pub(crate) address: Sum,
    /// The values of rs1 and rs2; a constant 0 for an absent operand.
    pub(crate) operands: [Sum; 2],
}

/// A shift by a known amount.
#[derive(Clone, Copy)]
enum Shift {
    Left(Sum, u32),
    /// Unsigned.
    Right(Sum, u32),
}

/// The values of x0 to x31 at a place in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers([Sum; 32]);

impl Registers {
    /// Returns the values at the start of a block.
    fn at_entry() -> Registers {
        let register = |number| if number == 0 { Sum::constant(0) } else { Sum::of(Base::Entry(number as u8)) };
        Registers(std::array::from_fn(register))
    }

    fn get(&self, number: u8) -> Sum {
        self.0[number as usize & 31]
    }

    /// Returns a register that holds a value with the base of `sum`, x0 for constants, and the amount to add to the
    /// register to get `sum`.
    pub(crate) fn holder(&self, sum: Sum) -> Option<(u8, u32)> {
        let number = (0..32).find(|&number| self.get(number).base == sum.base)?;
        Some((number, sum.offset.wrapping_sub(self.get(number).offset)))
    }
}

/// The state of the pass within a block.
pub(crate) struct Values {
    registers: Registers,
    /// For each instruction so far, the shift that it is, if any.
    shifts: Vec<Option<Shift>>,
}

impl Values {
    /// Starts a block.
    pub(crate) fn at_entry() -> Values {
        Values { registers: Registers::at_entry(), shifts: Vec::new() }
    }

    /// Returns the facts about each instruction of a block.
    pub(crate) fn of_block(instructions: &[Placed]) -> Vec<Known> {
        let mut values = Values::at_entry();
        instructions.iter().map(|placed| values.step(placed)).collect()
    }

    /// Returns the values of the registers before the next instruction.
    pub(crate) fn registers(&self) -> Registers {
        self.registers
    }

    /// Returns the facts about the next instruction, and advances past it.
    pub(crate) fn step(&mut self, placed: &Placed) -> Known {
        let instruction = placed.instruction;
        let line = instruction.op.line();
        let operand = |present, number| if present { self.registers.get(number) } else { Sum::constant(0) };
        let a = operand(line.format.has_rs1(), instruction.rs1);
        let b = operand(line.format.has_rs2(), instruction.rs2);
        let known = Known {
            form: if line.class == Class::Compute { self.form(placed, a, b) } else { Form::Operation },
            address: a.plus(instruction.imm),
            operands: [a, b],
        };
        let index = self.shifts.len();
        self.shifts.push(match (known.form, instruction.op) {
            (Form::Shift(bits), Op::Sll | Op::Slli) => Some(Shift::Left(a, bits)),
            (Form::Shift(bits), Op::Srl | Op::Srli) => Some(Shift::Right(a, bits)),
            _ => None,
        });
        if line.format.has_rd() && instruction.rd != 0 {
            self.registers.0[instruction.rd as usize & 31] = match (known.form, line.class) {
                (Form::Sum(sum), _) => sum,
                // The address behind a jump.
                (_, Class::Jump | Class::JumpIndirect) => Sum::constant(placed.pc.wrapping_add(4)),
                _ => Sum::of(Base::Result(index)),
            };
        }
        known
    }

    fn form(&self, placed: &Placed, a: Sum, b: Sum) -> Form {
        let instruction = placed.instruction;
        let imm = instruction.imm;
        // The second operand: rs2, or the immediate in its place.
        let b = if instruction.op.line().format == Format::R { b } else { Sum::constant(imm) };
        match instruction.op {
            Op::Lui => return Form::Sum(Sum::constant(imm)),
            Op::Auipc => return Form::Sum(Sum::constant(placed.pc.wrapping_add(imm))),
            _ => {}
        }
        match (instruction.op, a.as_constant(), b.as_constant()) {
            (op, Some(a), Some(b)) => match evaluate(op, a, b) {
                Some(value) => Form::Sum(Sum::constant(value)),
                None => Form::Operation,
            },
            (Op::Add | Op::Addi, _, Some(b)) => Form::Sum(a.plus(b)),
            (Op::Add, Some(a), _) => Form::Sum(b.plus(a)),
            (Op::Sub, _, Some(b)) => Form::Sum(a.plus(b.wrapping_neg())),
            (Op::Or | Op::Ori | Op::Xor | Op::Xori, _, Some(0)) => Form::Sum(a),
            (Op::Or | Op::Xor, Some(0), _) => Form::Sum(b),
            // RISC-V shifts by the low five bits.
            (Op::Sll | Op::Slli | Op::Srl | Op::Srli | Op::Sra | Op::Srai, _, Some(amount)) => match amount & 31 {
                0 => Form::Sum(a),
                bits => Form::Shift(bits),
            },
            (Op::Or, _, _) => self.joined(a, b).or_else(|| self.joined(b, a)).unwrap_or(Form::Operation),
            _ => Form::Operation,
        }
    }

    /// Returns the form of `left | right`, if these are values shifted left and right by amounts that add up to 32.
    ///
    /// It is a rotation if both are the same value. Otherwise it is their sum, which equals the `or` because they have
    /// no bit in common: both amounts are 1 to 31, so the lowest bits are 0 in one and the others in the other.
    /// (Cranelift would make a double shift of the `or`, and AMD's processors take several steps for that.)
    fn joined(&self, left: Sum, right: Sum) -> Option<Form> {
        let Shift::Left(value, left_bits) = self.shift(left)? else { return None };
        let Shift::Right(other, right_bits) = self.shift(right)? else { return None };
        (left_bits + right_bits == 32).then_some(match value == other {
            true => Form::RotateRight(value, right_bits),
            false => Form::Disjoint,
        })
    }

    /// Returns the shift by which `sum` was computed, if it was computed by one.
    fn shift(&self, sum: Sum) -> Option<Shift> {
        match sum {
            Sum { base: Base::Result(index), offset: 0 } => self.shifts[index],
            _ => None,
        }
    }
}

/// Returns the result of an operation of class Compute for two constants, as the manual defines it. Returns `None` for
/// `lui` and `auipc`, which have no operands, and for all other classes.
fn evaluate(op: Op, a: u32, b: u32) -> Option<u32> {
    let (signed_a, signed_b) = (a as i32, b as i32);
    Some(match op {
        Op::Add | Op::Addi => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Xor | Op::Xori => a ^ b,
        Op::Or | Op::Ori => a | b,
        Op::And | Op::Andi => a & b,
        // These shift by the low five bits of their argument.
        Op::Sll | Op::Slli => a.wrapping_shl(b),
        Op::Srl | Op::Srli => a.wrapping_shr(b),
        Op::Sra | Op::Srai => signed_a.wrapping_shr(b) as u32,
        Op::Slt | Op::Slti => u32::from(signed_a < signed_b),
        Op::Sltu | Op::Sltiu => u32::from(a < b),
        Op::Mul => a.wrapping_mul(b),
        Op::Mulh => ((i64::from(signed_a) * i64::from(signed_b)) >> 32) as u32,
        Op::Mulhsu => ((i64::from(signed_a) * i64::from(b)) >> 32) as u32,
        Op::Mulhu => ((u64::from(a) * u64::from(b)) >> 32) as u32,
        // Nothing traps: a division by zero returns all ones and the dividend as remainder, and the one that overflows
        // wraps.
        Op::Div if b == 0 => u32::MAX,
        Op::Div => signed_a.wrapping_div(signed_b) as u32,
        Op::Divu => a.checked_div(b).unwrap_or(u32::MAX),
        Op::Rem if b == 0 => a,
        Op::Rem => signed_a.wrapping_rem(signed_b) as u32,
        Op::Remu => a.checked_rem(b).unwrap_or(a),
        Op::Lui | Op::Auipc => return None,
        Op::Jal | Op::Jalr | Op::Beq | Op::Bne | Op::Blt | Op::Bge | Op::Bltu | Op::Bgeu => return None,
        Op::Lb | Op::Lh | Op::Lw | Op::Lbu | Op::Lhu | Op::Sb | Op::Sh | Op::Sw => return None,
        Op::Fence | Op::FenceI | Op::Ecall | Op::Ebreak | Op::Mret => return None,
    })
}
