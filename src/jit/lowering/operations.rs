//! The lowering of each operation of the table. This is the only match over `Op` in the lowering, and it has no
//! wildcard: a new line of the table does not compile until it has a lowering.

use crate::isa::Op;

/// How an operation is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Produces a constant that the values pass knows.
    Constant,
    /// Computes rd from rs1 and from rs2 or the immediate.
    Compute(Compute),
    /// Loads this many bytes and extends them this way.
    Load(Width, Extension),
    /// Stores this many bytes.
    Store(Width),
    /// Branches if this comparison of rs1 and rs2 holds.
    Branch(Comparison),
    /// Jumps to a target encoded in the instruction.
    Jump,
    /// Jumps to rs1 plus the immediate.
    JumpIndirect,
    /// Does nothing.
    Fence,
    /// Belongs to the machine; never part of a region.
    System,
}

/// A computation on two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compute {
    Add,
    Subtract,
    Xor,
    Or,
    And,
    ShiftLeft,
    ShiftRight(Extension),
    Less(Extension),
    /// The low half of the product.
    Multiply,
    /// The high half of the product; each factor is extended this way.
    MultiplyHigh(Extension, Extension),
    Divide(Extension),
    Remainder(Extension),
}

/// Whether a value is treated as signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    Signed,
    Unsigned,
}

/// Bytes of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Byte,
    Half,
    Word,
}

impl Width {
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Width::Byte => 1,
            Width::Half => 2,
            Width::Word => 4,
        }
    }
}

/// The condition of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less(Extension),
    GreaterOrEqual(Extension),
}

impl Operation {
    pub(super) const fn of(op: Op) -> Operation {
        use Extension::{Signed, Unsigned};
        match op {
            Op::Lui | Op::Auipc => Operation::Constant,
            Op::Add | Op::Addi => Operation::Compute(Compute::Add),
            Op::Sub => Operation::Compute(Compute::Subtract),
            Op::Xor | Op::Xori => Operation::Compute(Compute::Xor),
            Op::Or | Op::Ori => Operation::Compute(Compute::Or),
            Op::And | Op::Andi => Operation::Compute(Compute::And),
            Op::Sll | Op::Slli => Operation::Compute(Compute::ShiftLeft),
            Op::Srl | Op::Srli => Operation::Compute(Compute::ShiftRight(Unsigned)),
            Op::Sra | Op::Srai => Operation::Compute(Compute::ShiftRight(Signed)),
            Op::Slt | Op::Slti => Operation::Compute(Compute::Less(Signed)),
            Op::Sltu | Op::Sltiu => Operation::Compute(Compute::Less(Unsigned)),
            Op::Mul => Operation::Compute(Compute::Multiply),
            Op::Mulh => Operation::Compute(Compute::MultiplyHigh(Signed, Signed)),
            Op::Mulhsu => Operation::Compute(Compute::MultiplyHigh(Signed, Unsigned)),
            Op::Mulhu => Operation::Compute(Compute::MultiplyHigh(Unsigned, Unsigned)),
            Op::Div => Operation::Compute(Compute::Divide(Signed)),
            Op::Divu => Operation::Compute(Compute::Divide(Unsigned)),
            Op::Rem => Operation::Compute(Compute::Remainder(Signed)),
            Op::Remu => Operation::Compute(Compute::Remainder(Unsigned)),
            Op::Lb => Operation::Load(Width::Byte, Signed),
            Op::Lbu => Operation::Load(Width::Byte, Unsigned),
            Op::Lh => Operation::Load(Width::Half, Signed),
            Op::Lhu => Operation::Load(Width::Half, Unsigned),
            Op::Lw => Operation::Load(Width::Word, Unsigned),
            Op::Sb => Operation::Store(Width::Byte),
            Op::Sh => Operation::Store(Width::Half),
            Op::Sw => Operation::Store(Width::Word),
            Op::Beq => Operation::Branch(Comparison::Equal),
            Op::Bne => Operation::Branch(Comparison::NotEqual),
            Op::Blt => Operation::Branch(Comparison::Less(Signed)),
            Op::Bge => Operation::Branch(Comparison::GreaterOrEqual(Signed)),
            Op::Bltu => Operation::Branch(Comparison::Less(Unsigned)),
            Op::Bgeu => Operation::Branch(Comparison::GreaterOrEqual(Unsigned)),
            Op::Jal => Operation::Jump,
            Op::Jalr => Operation::JumpIndirect,
            Op::Fence | Op::FenceI => Operation::Fence,
            Op::Ecall | Op::Ebreak | Op::Mret => Operation::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Class, TABLE};

    /// The table itself says which class an operation has, and how many bytes it moves.
    #[test]
    fn operations_are_of_the_class_that_the_table_says() {
        for line in TABLE {
            let (class, bytes) = match Operation::of(line.op) {
                Operation::Constant | Operation::Compute(_) => (Class::Compute, 0),
                Operation::Load(width, _) => (Class::Load, width.bytes()),
                Operation::Store(width) => (Class::Store, width.bytes()),
                Operation::Branch(_) => (Class::Branch, 0),
                Operation::Jump => (Class::Jump, 0),
                Operation::JumpIndirect => (Class::JumpIndirect, 0),
                Operation::Fence => (Class::Fence, 0),
                Operation::System => (Class::System, 0),
            };
            assert_eq!((line.class, line.access_bytes()), (class, bytes), "{:?}", line.op);
        }
    }
}
