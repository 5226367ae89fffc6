//! The reference engine: it executes one instruction after another, in the plainest Rust possible.
//!
//! The semantics of each instruction are written here once, and once more as IR in the JIT. Their comparison is
//! powerful because the two are independent, so nothing here is shared with the JIT. The interpreter must not know that
//! another engine exists: a [`Tier`] observes where control goes and which code is written.

mod decoded;
mod profile;

use tachy_runtime::{Access, HartState, PageState, Row, Slot, Stepping, page_of};

#[cfg(feature = "jit")]
pub(crate) use decoded::ENTERED;
use decoded::{Code, Decoded};
pub(crate) use decoded::{DecodedPages, Held};
pub(crate) use profile::Profile;
#[cfg(feature = "jit")]
pub(crate) use profile::{PAGE_SLOTS, PageProfile};

use crate::error::Cause;
use crate::isa::{Class, Op};
use crate::machine::{Context, End, ExecutionContext, Flow, Machine, StepError};
use crate::rules::Rules;

/// An observer of the interpreter that takes over where it can.
pub(crate) trait Tier {
    /// Called when control enters `pc`, in the page `held`, by a jump, a taken branch or a fall into another page.
    /// Returning true ends the interpretation there.
    fn block_entered(&mut self, pages: &mut DecodedPages, held: Held, pc: u32) -> bool;

    /// Called when an indirect jump that is neither call nor return went from `from` to `to`.
    fn jumped(&mut self, from: u32, to: u32);

    /// Called when the word at `address`, in a page with code, is about to change or has just changed.
    fn code_written(&mut self, pages: &mut DecodedPages, address: u32);
}

/// No observer: the interpreter runs alone.
pub(crate) struct NoTier;

impl Tier for NoTier {
    #[inline(always)]
    fn block_entered(&mut self, _: &mut DecodedPages, _: Held, _: u32) -> bool {
        false
    }

    #[inline(always)]
    fn jumped(&mut self, _: u32, _: u32) {}

    fn code_written(&mut self, _: &mut DecodedPages, _: u32) {}
}

/// Why the interpreter returned. The context is exact in each case.
#[derive(Debug)]
pub(crate) enum Leave {
    /// The slice is exhausted.
    SliceEnd,
    /// The tier asked for it, effects wait to be handed over, or the machine has changed its rules.
    Arrived,
    /// The machine continues elsewhere, maybe under other rules. Nobody has counted that control enters there.
    Jumped,
    /// The program ended; the last step is done.
    Exit(End),
    /// The next step cannot be done.
    Refused(StepError),
}

/// Runs from the context's pc until there is a reason to stop. With `ROWS`, each step writes a row.
pub(crate) fn run<M: Machine, T: Tier, const ROWS: bool>(
    vm: &mut Stepping<'_, ROWS>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    pages: &mut DecodedPages,
    tier: &mut T,
) -> Leave {
    let rules = machine.rules();
    let mut pc = vm.pc();
    let mut arrived = None;
    loop {
        // The loop gets here whenever control enters a block, and at each step in a page that requires asking every
        // time.
        if vm.slice_over() {
            vm.set_pc(pc);
            return Leave::SliceEnd;
        }
        let mut asks_always = false;
        if !vm.page_state(pc).contains(rules.fetch) {
            vm.set_pc(pc);
            let step = vm.steps();
            if let Err(error) = machine.access(&mut vm.lend(), context, step, pc, Access::Fetch) {
                return Leave::Refused(error);
            }
            asks_always = !vm.page_state(pc).contains(rules.fetch);
            if asks_always {
                pages.forget(pc);
            }
        }
        let held = arrived.take().unwrap_or_else(|| pages.hold(pc));
        loop {
            let from = pc;
            let done = step::<M, T, ROWS>(vm, machine, context, pages, tier, rules, held, from);
            let (op, now, next) = match done {
                Ok(Done::Next(op, now, next)) => (op, now, next),
                Ok(Done::Leave(leave)) => return leave,
                Err(error) => {
                    vm.set_pc(from);
                    return Leave::Refused(error);
                }
            };
            pc = next;
            if pc != from.wrapping_add(4) || page_of(pc) != page_of(from) {
                if is_indirect_jump(op, now) {
                    tier.jumped(from, pc);
                }
                let there = if page_of(pc) == page_of(from) { held } else { pages.hold(pc) };
                if tier.block_entered(pages, there, pc) {
                    vm.set_pc(pc);
                    return Leave::Arrived;
                }
                arrived = Some(there);
                break;
            }
            if vm.slice_over() || asks_always {
                break;
            }
        }
    }
}

/// How a completed step ended.
enum Done {
    /// The instruction that ran, and the address of the next one.
    Next(Op, Decoded, u32),
    /// The interpretation ends after it. The context is exact.
    Leave(Leave),
}

/// Executes the step at `pc`, in the page `held`. After an error nothing was done.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one engine, borrowed apart")]
fn step<M: Machine, T: Tier, const ROWS: bool>(
    vm: &mut Stepping<'_, ROWS>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    pages: &mut DecodedPages,
    tier: &mut T,
    rules: &'static Rules,
    held: Held,
    pc: u32,
) -> Result<Done, StepError> {
    let mut now = pages.get(held, pc);
    if now.code == Code::Unknown {
        now = pages.decode(held, pc, &mut vm.lend());
    }
    let Code::Op(op) = now.code else {
        return Err(StepError::Trap(Cause::IllegalInstruction, pc));
    };
    let row = Row { pc, insn: vm.word(pc), rs1: vm.register(now.rs1), rs2: vm.register(now.rs2), ..ROW_ZERO };
    let fall = pc.wrapping_add(4);
    let mut step = Step { row, next: fall, leave: false };
    if execute(op, now, &mut step, vm, machine, context, pages, tier, rules)? == By::Machine {
        vm.set_pc(pc);
        let flow = system(op, step.row, vm, machine, context)?;
        forget_written(context, pages, tier);
        return Ok(match flow {
            Flow::Next if context.effects_full() => Done::Leave(Leave::Arrived),
            Flow::Next => Done::Next(op, now, fall),
            Flow::Jump(_) => Done::Leave(Leave::Jumped),
            Flow::Exit(end) => Done::Leave(Leave::Exit(end)),
        });
    }
    // Loads and stores leave their target unchecked; the check matters only where a program could reach a misaligned
    // pc.
    if !step.next.is_multiple_of(4) && !matches!(op.line().class, Class::Load | Class::Store) {
        return Err(StepError::Trap(Cause::InstructionMisaligned, step.next));
    }
    vm.set_register(now.rd, step.row.rd);
    vm.count(step.row);
    if step.leave {
        vm.set_pc(step.next);
        return Ok(Done::Leave(Leave::Arrived));
    }
    Ok(Done::Next(op, now, step.next))
}

/// Lets the machine execute the system instruction at the context's pc, which then leads on.
fn system<M: Machine, const ROWS: bool>(
    op: Op,
    row: Row,
    vm: &mut Stepping<'_, ROWS>,
    machine: &mut M,
    context: &mut Context<'_, M>,
) -> Result<Flow, StepError> {
    let flow = machine.system(op, &mut vm.lend(), context)?;
    vm.count(row);
    vm.set_pc(match flow {
        Flow::Next | Flow::Exit(_) => row.pc.wrapping_add(4),
        Flow::Jump(target) => target,
    });
    Ok(flow)
}

/// Executes the step at the context's pc, if it is a system instruction that may be fetched and the slice has room for
/// it. The caller does [`forget_written`] afterwards. After an error nothing was done.
#[cfg(feature = "jit")]
pub(crate) fn system_step<M: Machine, const ROWS: bool>(
    vm: &mut Stepping<'_, ROWS>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    pages: &mut DecodedPages,
) -> Option<Result<Flow, StepError>> {
    let pc = vm.pc();
    if vm.slice_over() || !vm.page_state(pc).contains(machine.rules().fetch) {
        return None;
    }
    let held = pages.hold(pc);
    let mut now = pages.get(held, pc);
    if now.code == Code::Unknown {
        now = pages.decode(held, pc, &mut vm.lend());
    }
    match now.code {
        Code::Op(op) if op.line().class == Class::System => {
            let row = Row { pc, insn: vm.word(pc), rs1: vm.register(now.rs1), rs2: vm.register(now.rs2), ..ROW_ZERO };
            Some(system(op, row, vm, machine, context))
        }
        Code::Op(_) | Code::Illegal | Code::Unknown => None,
    }
}

/// Returns whether an instruction is an indirect jump or call, but neither a return nor a call of a distant address.
#[inline(always)]
fn is_indirect_jump(op: Op, now: Decoded) -> bool {
    op == Op::Jalr && now.rs1 != RETURN_ADDRESS
}

/// ra, which holds return addresses.
const RETURN_ADDRESS: Slot = Slot::x(1);

const ROW_ZERO: Row = Row { pc: 0, insn: 0, rs1: 0, rs2: 0, rd: 0, addr: 0, mem_before: 0, mem_after: 0 };

/// A step in progress: its row, with the operands read, and its successor.
struct Step {
    row: Row,
    next: u32,
    /// Whether the engine must check something before the next step.
    leave: bool,
}

/// Who executes a step.
#[derive(PartialEq, Eq)]
enum By {
    /// The interpreter: the row is complete.
    Interpreter,
    /// The machine.
    Machine,
}

/// Executes the instruction into its row and `next`. It writes memory itself; the caller writes rd.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one engine, borrowed apart")]
fn execute<M: Machine, T: Tier>(
    op: Op,
    now: Decoded,
    step: &mut Step,
    vm: &mut HartState<'_>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    pages: &mut DecodedPages,
    tier: &mut T,
    rules: &'static Rules,
) -> Result<By, StepError> {
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

        Op::Lb => row.rd = load(row, imm, 1, vm, machine, context, rules)? as u8 as i8 as u32,
        Op::Lbu => row.rd = load(row, imm, 1, vm, machine, context, rules)? as u8 as u32,
        Op::Lh => row.rd = load(row, imm, 2, vm, machine, context, rules)? as u16 as i16 as u32,
        Op::Lhu => row.rd = load(row, imm, 2, vm, machine, context, rules)? as u16 as u32,
        Op::Lw => row.rd = load(row, imm, 4, vm, machine, context, rules)?,
        Op::Sb => step.leave = store(row, imm, 1, vm, machine, context, pages, tier, rules)?,
        Op::Sh => step.leave = store(row, imm, 2, vm, machine, context, pages, tier, rules)?,
        Op::Sw => step.leave = store(row, imm, 4, vm, machine, context, pages, tier, rules)?,

        Op::Beq => branch(step, imm, a == b),
        Op::Bne => branch(step, imm, a != b),
        Op::Blt => branch(step, imm, (a as i32) < b as i32),
        Op::Bge => branch(step, imm, a as i32 >= b as i32),
        Op::Bltu => branch(step, imm, a < b),
        Op::Bgeu => branch(step, imm, a >= b),
        Op::Jal => {
            row.rd = step.next;
            step.next = pc.wrapping_add(imm);
        }
        Op::Jalr => {
            row.rd = step.next;
            step.next = a.wrapping_add(imm) & !1;
        }

        Op::Fence | Op::FenceI => {}
        Op::Ecall | Op::Ebreak | Op::Mret => return Ok(By::Machine),
    }
    Ok(By::Interpreter)
}

#[inline(always)]
fn branch(step: &mut Step, distance: u32, taken: bool) {
    if taken {
        step.next = step.row.pc.wrapping_add(distance);
    }
}

/// Returns the word that holds the addressed bytes, shifted so that they are its lowest.
#[inline(always)]
fn load<M: Machine>(
    row: &mut Row,
    imm: u32,
    bytes: u32,
    vm: &mut HartState<'_>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    rules: &'static Rules,
) -> Result<u32, StepError> {
    let address = row.rs1.wrapping_add(imm);
    if !vm.page_state(address).contains(rules.read) || !address.is_multiple_of(bytes) {
        let step = vm.steps();
        machine.access(&mut vm.lend(), context, step, address, Access::Load(bytes))?;
    }
    let word = vm.word(address);
    row.addr = address;
    row.mem_before = word;
    row.mem_after = word;
    Ok(word >> (address % 4 * 8))
}

/// Merges the low bytes of rs2 into the word that holds the address. Returns whether the engine must check something
/// before the next step.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one engine, borrowed apart")]
fn store<M: Machine, T: Tier>(
    row: &mut Row,
    imm: u32,
    bytes: u32,
    vm: &mut HartState<'_>,
    machine: &mut M,
    context: &mut Context<'_, M>,
    pages: &mut DecodedPages,
    tier: &mut T,
    rules: &'static Rules,
) -> Result<bool, StepError> {
    let address = row.rs1.wrapping_add(imm);
    let asks = !vm.page_state(address).contains(rules.write) || !address.is_multiple_of(bytes);
    if asks {
        let step = vm.steps();
        machine.access(&mut vm.lend(), context, step, address, Access::Store(bytes))?;
        if vm.page_state(address).contains(PageState::CODE) {
            pages.forget(address);
            tier.code_written(pages, address);
        }
    }
    let mask = (u64::MAX >> (64 - 8 * bytes)) as u32;
    let shift = address % 4 * 8;
    let before = vm.word(address);
    let after = before & !(mask << shift) | (row.rs2 & mask) << shift;
    vm.set_word(address, after);
    row.addr = address;
    row.mem_before = before;
    row.mem_after = after;
    Ok(asks && machine.stored(&mut vm.lend(), context, address))
}

/// Forgets code that a system instruction overwrote.
pub(crate) fn forget_written<S, T: Tier>(context: &mut ExecutionContext<S>, pages: &mut DecodedPages, tier: &mut T) {
    for word in context.code_written.drain(..) {
        pages.forget(word);
        tier.code_written(pages, word);
    }
}
