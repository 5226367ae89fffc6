//! The reference engine: it executes one instruction after another, in the plainest Rust possible.
//!
//! The semantics of each instruction are written here once, and once more as IR in the JIT. Their comparison is
//! powerful because the two are independent, so nothing here is shared with the JIT. The interpreter must not know that
//! another engine exists: a [`Tier`] observes where control goes and which code is written.

mod decoded;
mod execute;
mod profile;
mod stretch;

use tachy_runtime::{Access, HartState, PageState, Row, Slot, Stepping, page_of};

#[cfg(feature = "jit")]
pub(crate) use decoded::ENTERED;
use decoded::{Code, Decoded};
pub(crate) use decoded::{DecodedPages, Held};
use execute::{Accesses, Goes, Step, execute, loaded, stored};
pub(crate) use profile::Profile;
#[cfg(feature = "jit")]
pub(crate) use profile::{PAGE_SLOTS, PageProfile};
use stretch::{Stretch, stretch};

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
            // Most steps are plain, and then only a jump is worth a look. Rows are written step by step.
            let plain = vm.without_rows().filter(|_| !asks_always);
            let plain = plain.map_or(Stretch::Stopped(pc), |vm| stretch(vm, pages.page(held), rules, pc));
            let (from, is_indirect) = match plain {
                Stretch::Left { from, to, is_indirect } => {
                    pc = to;
                    (from, is_indirect)
                }
                Stretch::Stopped(at) => {
                    // The first step is in the slice, whatever its fetch has cost.
                    if std::mem::replace(&mut pc, at) != at && vm.slice_over() {
                        break;
                    }
                    let done = step::<M, T, ROWS>(vm, machine, context, pages, tier, rules, held, at);
                    let (op, now, next) = match done {
                        Ok(Done::Next(op, now, next)) => (op, now, next),
                        Ok(Done::Leave(leave)) => return leave,
                        Err(error) => {
                            vm.set_pc(at);
                            return Leave::Refused(error);
                        }
                    };
                    pc = next;
                    if pc == at.wrapping_add(4) && page_of(pc) == page_of(at) {
                        if vm.slice_over() || asks_always {
                            break;
                        }
                        continue;
                    }
                    (at, is_indirect_jump(op, now))
                }
            };
            if is_indirect {
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
    let mut asking = Asking { vm: &mut vm.lend(), machine, context, pages, tier, rules };
    if execute(op, now, &mut step, &mut asking)? == Goes::Machine {
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

/// Accesses for which the machine is asked where page states do not allow them.
struct Asking<'step, 'vm, 'run, M: Machine, T> {
    vm: &'step mut HartState<'vm>,
    machine: &'step mut M,
    context: &'step mut Context<'run, M>,
    pages: &'step mut DecodedPages,
    tier: &'step mut T,
    rules: &'static Rules,
}

impl<M: Machine, T: Tier> Accesses for Asking<'_, '_, '_, M, T> {
    type Refusal = StepError;

    #[inline(always)]
    fn load(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<u32, StepError> {
        let address = row.rs1.wrapping_add(imm);
        if !self.vm.page_state(address).contains(self.rules.read) || !address.is_multiple_of(bytes) {
            let step = self.vm.steps();
            self.machine.access(&mut self.vm.lend(), self.context, step, address, Access::Load(bytes))?;
        }
        Ok(loaded(row, address, self.vm.word(address)))
    }

    #[inline(always)]
    fn store(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<bool, StepError> {
        let address = row.rs1.wrapping_add(imm);
        let asks = !self.vm.page_state(address).contains(self.rules.write) || !address.is_multiple_of(bytes);
        if asks {
            let step = self.vm.steps();
            self.machine.access(&mut self.vm.lend(), self.context, step, address, Access::Store(bytes))?;
            if self.vm.page_state(address).contains(PageState::CODE) {
                self.pages.forget(address);
                self.tier.code_written(self.pages, address);
            }
        }
        let word = stored(row, address, bytes, self.vm.word(address));
        self.vm.set_word(address, word);
        Ok(asks && self.machine.stored(&mut self.vm.lend(), self.context, address))
    }
}

/// Forgets code that a system instruction overwrote.
pub(crate) fn forget_written<S, T: Tier>(context: &mut ExecutionContext<S>, pages: &mut DecodedPages, tier: &mut T) {
    for word in context.code_written.drain(..) {
        pages.forget(word);
        tier.code_written(pages, word);
    }
}
