//! The reference engine: one instruction after another, as plainly as Rust can say it.
//!
//! What each instruction does is written here once, and once more as IR in the JIT; two writings are what gives their
//! comparison its power, so nothing here is shared with the JIT. The interpreter must not know that another engine
//! exists: a [`Tier`] watches where control goes and which code is written.

mod decoded;

use tachy_runtime::{Access, PageState, Row, Slot, Vm, page_of};

use decoded::{Code, Decoded};
pub(crate) use decoded::{DecodedPages, mark_code};

use crate::error::Cause;
use crate::isa::Op;
use crate::machine::{Flow, Machine, Refusal, World};

/// Who watches the interpreter to run something else where it can.
pub(crate) trait Tier {
    /// Control came to `pc` by a jump, a taken branch or a fall into another page. True ends the interpretation there.
    fn arrive(&mut self, pages: &mut DecodedPages, pc: u32) -> bool;

    /// An indirect jump that is neither call nor return went from `from` to `to`.
    fn jumped(&mut self, from: u32, to: u32);

    /// The word at `address`, in a page with code, is about to change or has just changed.
    fn code_written(&mut self, address: u32);
}

/// Nobody watches: the interpreter alone.
pub(crate) struct Alone;

impl Tier for Alone {
    #[inline(always)]
    fn arrive(&mut self, _: &mut DecodedPages, _: u32) -> bool {
        false
    }

    #[inline(always)]
    fn jumped(&mut self, _: u32, _: u32) {}

    fn code_written(&mut self, _: u32) {}
}

/// Why the interpreter returned. The context is exact in each case.
#[derive(Debug)]
pub(crate) enum Leave {
    /// The slice is used up.
    SliceEnd,
    /// The tier said so, or effects wait to be handed over.
    Arrived,
    /// The program ended; the last step is done.
    Exit(u32),
    /// The next step cannot be done.
    Refused(Refusal),
}

/// Runs from the context's pc on until something says stop. With `ROWS`, each step writes a row.
pub(crate) fn run<M: Machine, T: Tier, const ROWS: bool>(
    vm: &mut Vm,
    machine: &mut M,
    world: &mut World<'_>,
    pages: &mut DecodedPages,
    tier: &mut T,
) -> Leave {
    let steps = vm.slice_left();
    let mut left = steps;
    let mut pc = vm.pc();
    let leave = run_slice::<M, T, ROWS>(vm, machine, world, pages, tier, &mut pc, &mut left);
    vm.set_pc(pc);
    if !ROWS {
        vm.count_steps(steps.min(vm.slice_left()) - left);
    }
    leave
}

/// The loop itself. `pc` and `left` are exact when it returns, and also whenever the machine is asked.
fn run_slice<M: Machine, T: Tier, const ROWS: bool>(
    vm: &mut Vm,
    machine: &mut M,
    world: &mut World<'_>,
    pages: &mut DecodedPages,
    tier: &mut T,
    pc_at: &mut u32,
    left: &mut u64,
) -> Leave {
    let mut pc = *pc_at;
    loop {
        // Here at each arrival: the page may have to be found, or its permission asked.
        if *left == 0 {
            return Leave::SliceEnd;
        }
        if !vm.page_state(pc).contains(PageState::FETCH)
            && let Err(refusal) = machine.access(vm, &mut world.budget, pc, Access::Fetch)
        {
            return Leave::Refused(refusal);
        }
        let held = pages.hold(pc);
        loop {
            if *left == 0 {
                return Leave::SliceEnd;
            }
            let mut now = pages.get(held, pc);
            if now.code == Code::Unknown {
                now = pages.decode(held, pc, vm);
            }
            let Code::Op(op) = now.code else {
                return Leave::Refused(Refusal::Trap(Cause::IllegalInstruction, pc));
            };
            let row = Row { pc, insn: vm.word(pc), rs1: vm.register(now.rs1), rs2: vm.register(now.rs2), ..ROW_ZERO };
            let mut step = Step { row, next: pc.wrapping_add(4) };
            let fall = step.next;
            match execute(op, now, &mut step, vm, machine, world, pages, tier) {
                Ok(Done::Usual) => {}
                Ok(Done::System) => {
                    vm.set_pc(pc);
                    match machine.system(op, vm, world) {
                        Ok(flow) => {
                            forget_written(world, pages, tier);
                            let leave = match flow {
                                Flow::Exit(code) => Some(Leave::Exit(code)),
                                Flow::Next if world.effects_full() => Some(Leave::Arrived),
                                Flow::Next => None,
                            };
                            if let Some(leave) = leave {
                                if ROWS {
                                    vm.push_row(step.row);
                                }
                                *left -= 1;
                                *pc_at = fall;
                                return leave;
                            }
                        }
                        Err(refusal) => return Leave::Refused(refusal),
                    }
                }
                Err(refusal) => return Leave::Refused(refusal),
            }
            if step.next != fall && !step.next.is_multiple_of(4) {
                return Leave::Refused(Refusal::Trap(Cause::InstructionMisaligned, step.next));
            }
            vm.set_register(now.rd, step.row.rd);
            if ROWS {
                vm.push_row(step.row);
            }
            *left -= 1;
            let from = pc;
            pc = step.next;
            *pc_at = pc;
            if pc != fall || page_of(pc) != page_of(from) {
                if op == Op::Jalr && now.rd == Slot::DISCARD && now.rs1 != RETURN_ADDRESS {
                    tier.jumped(from, pc);
                }
                if tier.arrive(pages, pc) {
                    return Leave::Arrived;
                }
                break;
            }
        }
    }
}

/// ra, through which functions return.
const RETURN_ADDRESS: Slot = Slot::x(1);

const ROW_ZERO: Row = Row { pc: 0, insn: 0, rs1: 0, rs2: 0, rd: 0, addr: 0, mem_before: 0, mem_after: 0 };

/// A step under way: its row, with the operands read, and where it goes.
struct Step {
    row: Row,
    next: u32,
}

/// Who does the rest of a step.
enum Done {
    /// Nobody: the row says it all.
    Usual,
    /// The machine.
    System,
}

/// What the instruction does, into its row and `next`; memory is written here, rd by the caller.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one engine, borrowed apart")]
fn execute<M: Machine, T: Tier>(
    op: Op,
    now: Decoded,
    step: &mut Step,
    vm: &mut Vm,
    machine: &mut M,
    world: &mut World<'_>,
    pages: &mut DecodedPages,
    tier: &mut T,
) -> Result<Done, Refusal> {
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

        Op::Lb => row.rd = load(row, imm, 1, vm, machine, world)? as u8 as i8 as u32,
        Op::Lbu => row.rd = load(row, imm, 1, vm, machine, world)? as u8 as u32,
        Op::Lh => row.rd = load(row, imm, 2, vm, machine, world)? as u16 as i16 as u32,
        Op::Lhu => row.rd = load(row, imm, 2, vm, machine, world)? as u16 as u32,
        Op::Lw => row.rd = load(row, imm, 4, vm, machine, world)?,
        Op::Sb => store(row, imm, 1, vm, machine, world, pages, tier)?,
        Op::Sh => store(row, imm, 2, vm, machine, world, pages, tier)?,
        Op::Sw => store(row, imm, 4, vm, machine, world, pages, tier)?,

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
        Op::Ecall | Op::Ebreak | Op::Mret => return Ok(Done::System),
    }
    Ok(Done::Usual)
}

#[inline(always)]
fn branch(step: &mut Step, distance: u32, taken: bool) {
    if taken {
        step.next = step.row.pc.wrapping_add(distance);
    }
}

/// The word that holds the addressed bytes, shifted so that they are its lowest.
#[inline(always)]
fn load<M: Machine>(
    row: &mut Row,
    imm: u32,
    bytes: u32,
    vm: &mut Vm,
    machine: &mut M,
    world: &mut World<'_>,
) -> Result<u32, Refusal> {
    let address = row.rs1.wrapping_add(imm);
    if !vm.page_state(address).contains(PageState::READ) || !address.is_multiple_of(bytes) {
        machine.access(vm, &mut world.budget, address, Access::Load(bytes))?;
    }
    let word = vm.word(address);
    row.addr = address;
    row.mem_before = word;
    row.mem_after = word;
    Ok(word >> (address % 4 * 8))
}

/// Merges the low bytes of rs2 into the word that holds the address.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the parts of one engine, borrowed apart")]
fn store<M: Machine, T: Tier>(
    row: &mut Row,
    imm: u32,
    bytes: u32,
    vm: &mut Vm,
    machine: &mut M,
    world: &mut World<'_>,
    pages: &mut DecodedPages,
    tier: &mut T,
) -> Result<(), Refusal> {
    let address = row.rs1.wrapping_add(imm);
    if !vm.page_state(address).contains(PageState::WRITE) || !address.is_multiple_of(bytes) {
        machine.access(vm, &mut world.budget, address, Access::Store(bytes))?;
        if vm.page_state(address).contains(PageState::CODE) {
            pages.forget(address);
            tier.code_written(address);
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
    Ok(())
}

/// Forgets code that a system instruction wrote over.
fn forget_written<T: Tier>(world: &mut World<'_>, pages: &mut DecodedPages, tier: &mut T) {
    for word in world.code_written.drain(..) {
        pages.forget(word);
        tier.code_written(word);
    }
}
