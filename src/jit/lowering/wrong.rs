//! Deliberately wrong lowerings, for the test that the tests catch them: `tests/isolated/wrong_lowerings.rs`.
//!
//! The module is only compiled with the feature `wrong-lowerings`, which exists for that test alone. One fault is
//! chosen for the whole process. It changes how an instruction is lowered, while its row keeps the word in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Lowering, RowParts};
use crate::isa::{Class, Format, Line, Op, TABLE};
use crate::jit::analysis::region::{End, Placed, Region, Target};
use crate::jit::analysis::values::{Form, Known, Values};

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Lowered as another operation: the opposite, a different width, a different sign.
    Op(Op),
    /// Lowered with rs1 and rs2 exchanged.
    Order,
    /// Lowered with this added to the immediate.
    Immediate(u32),
    /// Lowered without the immediate's sign.
    ImmediateSign,
    /// Another register is written.
    Destination,
    /// The row's operand columns are exchanged.
    RowOperands,
    /// The row has no rd.
    RowResult,
    /// The row has the address instead of the word before.
    RowMemory,
    /// The row has an rd although the instruction has none.
    RowExtra,
    /// An instruction without effect has one.
    Something,
    /// Continues this many bytes behind the instruction that native code leaves to the interpreter.
    Skip(u32),
    /// The `or` of two shifts by registers becomes their sum if the amounts add up to 32 before RISC-V takes their low
    /// five bits: a fault that was found by reading the code.
    UnmaskedJoin,
}

/// A wrong lowering of an operation, or of an instruction that is left to the interpreter.
#[derive(Debug, Clone, Copy)]
pub struct Wrong {
    /// The operation; `None` for the exit in front of a system instruction.
    pub op: Option<Op>,
    fault: Fault,
}

/// Index of the wrong lowering in [`all`], plus 1; 0 for a correct one.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Returns every wrong lowering.
pub fn all() -> Vec<Wrong> {
    let of_line = |line: &Line| {
        let op = line.op;
        faults(line).into_iter().map(move |fault| Wrong { op: Some(op), fault })
    };
    let skips = [4, 8].map(|bytes| Wrong { op: None, fault: Fault::Skip(bytes) });
    TABLE.iter().flat_map(of_line).chain(skips).collect()
}

/// Uses the wrong lowering with this index in [`all`] from now on, or the correct one again.
pub fn choose(number: Option<usize>) {
    CHOSEN.store(number.map_or(0, |number| number + 1), Ordering::SeqCst);
}

fn chosen() -> Option<Wrong> {
    let number = CHOSEN.load(Ordering::SeqCst).checked_sub(1)?;
    all().get(number).copied()
}

fn faults(line: &Line) -> Vec<Fault> {
    let mut faults: Vec<Fault> = others(line.op).iter().map(|&other| Fault::Op(other)).collect();
    faults.extend(match line.format {
        Format::R => vec![Fault::Order, Fault::RowOperands],
        Format::B => vec![Fault::Order, Fault::RowOperands],
        Format::S => vec![Fault::Order, Fault::Immediate(line.access_bytes()), Fault::ImmediateSign],
        Format::Shift => vec![Fault::Immediate(1)],
        Format::U => vec![Fault::Immediate(0x1000)],
        Format::I => vec![Fault::Immediate(line.access_bytes().max(4)), Fault::ImmediateSign],
        Format::J | Format::None => Vec::new(),
    });
    if line.format.has_rd() {
        faults.extend([Fault::Destination, Fault::RowResult]);
    }
    match line.class {
        Class::Load | Class::Store => faults.push(Fault::RowMemory),
        Class::Fence => faults.extend([Fault::RowExtra, Fault::Something]),
        _ => {}
    }
    if line.op == Op::Or {
        faults.push(Fault::UnmaskedJoin);
    }
    faults
}

/// Returns operations with the same operands that are easily confused with `op`.
fn others(op: Op) -> &'static [Op] {
    match op {
        Op::Lui => &[Op::Auipc],
        Op::Auipc => &[Op::Lui],
        Op::Beq => &[Op::Bne, Op::Bge],
        Op::Bne => &[Op::Beq, Op::Blt],
        Op::Blt => &[Op::Bltu, Op::Bge],
        Op::Bge => &[Op::Bgeu, Op::Blt],
        Op::Bltu => &[Op::Blt, Op::Bgeu],
        Op::Bgeu => &[Op::Bge, Op::Bltu],
        Op::Lb => &[Op::Lbu, Op::Lh],
        Op::Lh => &[Op::Lhu, Op::Lb],
        Op::Lw => &[Op::Lh, Op::Lhu],
        Op::Lbu => &[Op::Lb, Op::Lhu],
        Op::Lhu => &[Op::Lh, Op::Lbu],
        Op::Sb => &[Op::Sh, Op::Sw],
        Op::Sh => &[Op::Sb, Op::Sw],
        Op::Sw => &[Op::Sh, Op::Sb],
        Op::Addi => &[Op::Xori, Op::Ori],
        Op::Slti => &[Op::Sltiu],
        Op::Sltiu => &[Op::Slti],
        Op::Xori => &[Op::Ori],
        Op::Ori => &[Op::Xori, Op::Addi],
        Op::Andi => &[Op::Ori],
        Op::Slli => &[Op::Srli],
        Op::Srli => &[Op::Srai],
        Op::Srai => &[Op::Srli],
        Op::Add => &[Op::Sub, Op::Or],
        Op::Sub => &[Op::Add],
        Op::Sll => &[Op::Srl],
        Op::Slt => &[Op::Sltu],
        Op::Sltu => &[Op::Slt],
        Op::Xor => &[Op::Or],
        Op::Srl => &[Op::Sra],
        Op::Sra => &[Op::Srl],
        Op::Or => &[Op::Xor, Op::Add],
        Op::And => &[Op::Or],
        Op::Mul => &[Op::Mulhu],
        Op::Mulh => &[Op::Mulhu, Op::Mulhsu],
        Op::Mulhsu => &[Op::Mulh, Op::Mulhu],
        Op::Mulhu => &[Op::Mulhsu, Op::Mulh],
        Op::Div => &[Op::Divu, Op::Rem],
        Op::Divu => &[Op::Div, Op::Remu],
        Op::Rem => &[Op::Remu, Op::Div],
        Op::Remu => &[Op::Rem, Op::Divu],
        Op::Jal | Op::Jalr | Op::Fence | Op::FenceI | Op::Ecall | Op::Ebreak | Op::Mret => &[],
    }
}

/// Returns the region with the chosen fault.
pub(super) fn applied(region: &Region) -> Region {
    let mut region = region.clone();
    let Some(Wrong { op, fault }) = chosen() else { return region };
    for block in &mut region.blocks {
        for placed in block.instructions.iter_mut().filter(|placed| Some(placed.instruction.op) == op) {
            change(placed, fault);
        }
        if let (End::Goto(Target::System(pc)), Fault::Skip(bytes)) = (block.end, fault) {
            block.end = End::Goto(Target::Out(pc.wrapping_add(bytes)));
        }
    }
    region
}

fn change(placed: &mut Placed, fault: Fault) {
    let instruction = &mut placed.instruction;
    match fault {
        Fault::Op(other) => instruction.op = other,
        Fault::Order => std::mem::swap(&mut instruction.rs1, &mut instruction.rs2),
        // A shift amount stays below 32.
        Fault::Immediate(by) if instruction.op.line().format == Format::Shift => instruction.imm ^= by,
        Fault::Immediate(by) => instruction.imm = instruction.imm.wrapping_add(by),
        Fault::ImmediateSign => instruction.imm &= 0xfff,
        Fault::Destination => instruction.rd ^= 1,
        Fault::Something => (instruction.op, instruction.rd, instruction.imm) = (Op::Lui, 5, 0x1000),
        Fault::RowOperands | Fault::RowResult | Fault::RowMemory | Fault::RowExtra => {}
        Fault::Skip(_) | Fault::UnmaskedJoin => {}
    }
}

/// Returns the parts of a row with the chosen fault.
pub(super) fn row(lowering: &mut Lowering<'_>, placed: &Placed, row: &RowParts) -> RowParts {
    let mut row = *row;
    match chosen() {
        Some(Wrong { op, fault }) if op == Some(placed.instruction.op) => match fault {
            Fault::RowOperands => std::mem::swap(&mut row.rs1, &mut row.rs2),
            Fault::RowResult => row.rd = None,
            Fault::RowExtra => row.rd = Some(lowering.i32(1)),
            Fault::RowMemory => row.memory = row.memory.map(|[address, _, after]| [address, address, after]),
            _ => {}
        },
        _ => {}
    }
    row
}

/// Returns the results of the values pass for a block, with the chosen fault.
pub(super) fn known(instructions: &[Placed]) -> Vec<Known> {
    let mut known = Values::of_block(instructions);
    if !matches!(chosen(), Some(Wrong { fault: Fault::UnmaskedJoin, .. })) {
        return known;
    }
    // For each register, the shift that last wrote it, if any: whether to the left, and its amount before RISC-V takes
    // the low five bits.
    let mut shifts = [None; 32];
    for (index, placed) in instructions.iter().enumerate() {
        let instruction = placed.instruction;
        let is_shift = |ops: [Op; 2]| ops.contains(&instruction.op);
        let amount = if is_shift([Op::Slli, Op::Srli]) {
            Some(instruction.imm)
        } else {
            known[index].operands[1].as_constant().filter(|_| is_shift([Op::Sll, Op::Srl]))
        };
        if instruction.op == Op::Or
            && let [Some((left, a)), Some((right, b))] =
                [instruction.rs1, instruction.rs2].map(|it| shifts[it as usize])
            && left != right
            && a + b == 32u64
        {
            known[index].form = Form::Disjoint;
        }
        if instruction.op.line().format.has_rd() {
            let is_left = matches!(instruction.op, Op::Sll | Op::Slli);
            shifts[instruction.rd as usize] = amount.map(|amount| (is_left, u64::from(amount)));
        }
    }
    known
}
