//! A region to Cranelift IR: blocks, control flow, budgets and exits.
//!
//! Registers are SSA values inside the region and *written through*: before anything that may leave (an access that
//! may need help, the end of a block) every register changed since the last such point is stored in the context. So
//! an exit stores nothing but pc and progress, all exits of a kind share one block, and an entry loads what is live.
//! Small loops are *lazy*: what they carry (`carry.rs`) they store on the ways out, which then are ways of their own.
//!
//! What instructions compute is in `compute`, how they reach memory in `memory`, how they are written down in `rows`, what
//! is known of values in `known`.
//! Nothing here may know an address of the host: everything is reached from the base.

mod compute;
mod known;
mod memory;
mod rows;
#[cfg(feature = "wrong-lowerings")]
pub mod wrong;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block as IrBlock, BlockArg, Function, InstBuilder, JumpTableData, MemFlagsData, SigRef, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use tachy_runtime::{Entry, ROW_BYTES, Slot, layout, page_of};

use super::abi::{REASON_NO_ENTRY, REASON_STOP, assist_signature, region_signature};
use super::budget::{Share, shares};
use super::carry::carried;
use super::liveness::{RegisterSet, live_in, successors};
use super::region::{Block, End, FEW_TARGETS, Placed, Region, Target};
use super::returns::RETURN_ADDRESS;
use super::stubs::{callee, look_up, look_up_constant};
use crate::isa::{Class, Op};
use crate::rules::Rules;
use crate::trace::Level;

use rows::RowParts;

/// Context, page states and dispatch table: mapped, aligned, and never a reason to trap.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

/// Fills `function` with the IR of `region`, which knows itself by `number` (not 0) in the dispatch table.
pub(super) fn lower(
    region: &Region,
    number: u32,
    level: Level,
    rules: &'static Rules,
    isa: &OwnedTargetIsa,
    function: &mut Function,
    frontend: &mut FunctionBuilderContext,
) {
    #[cfg(feature = "wrong-lowerings")]
    let region = &wrong::applied(region);
    function.signature = region_signature();
    function.name = UserFuncName::user(0, number);
    let mut builder = FunctionBuilder::new(function, frontend);
    let registers = std::array::from_fn(|_| builder.declare_var(types::I32));
    let progress = builder.declare_var(types::I64);
    let assist_signature = builder.import_signature(assist_signature(CallConv::PreserveAll));
    let region_signature = builder.import_signature(region_signature());
    let start = builder.create_block();
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    let [base, word, before] = [0, 1, 2].map(|index| builder.block_params(start)[index]);
    let blocks = region.blocks.iter().map(|_| builder.create_block()).collect();
    let entries = region.entries.iter().map(|_| builder.create_block()).collect();
    let place = [types::I32, types::I64];
    let hop_params = [types::I64, types::I32, types::I64, types::I32];
    let [choose, hop, hop_indirect, leave_stop, out] =
        [&[types::I64; 2][..], &hop_params, &hop_params[1..], &place, &[]].map(|params| {
            let block = builder.create_block();
            for &param in params {
                builder.append_block_param(block, param);
            }
            block
        });
    let live = live_in(region);
    let mut lowering = Lowering {
        builder,
        level,
        rules,
        entered_from_elsewhere: entered_from_elsewhere(region),
        shares: shares(region),
        reserved: 0,
        region,
        carried: carried(region, &live),
        live,
        number,
        base,
        registers,
        progress,
        assist_signature,
        region_signature,
        blocks,
        entries,
        choose,
        hop,
        hop_indirect,
        leave_stop,
        out,
        granted: 0,
        sums: Vec::new(),
        dirty: 0,
        lazy: false,
        after: base,
        left: 0,
    };
    lowering.builder.ins().jump(choose, &[word, before].map(BlockArg::Value));
    lowering.go_to_entry();
    lowering.entry_loads();
    for (index, block) in region.blocks.iter().enumerate() {
        lowering.block(index, block);
    }
    lowering.hop_blocks();
    lowering.leave_stop_block();
    lowering.builder.seal_all_blocks();
    lowering.builder.finalize(isa.frontend_config());
}

struct Lowering<'a> {
    builder: FunctionBuilder<'a>,
    level: Level,
    rules: &'static Rules,
    /// For each block of the region, whether control may come to it from another page.
    entered_from_elsewhere: Vec<bool>,
    /// What each block asks the budget for.
    shares: Vec<Share>,
    region: &'a Region,
    /// For each block, the registers that are live when it begins, and those among them that need not be in the context
    /// then.
    live: Vec<RegisterSet>,
    carried: Vec<RegisterSet>,
    /// What the dispatch table calls the region.
    number: u32,
    base: Value,
    registers: [Variable; 32],
    /// Number of the next step, or address of the next row; see `layout::PROGRESS`.
    progress: Variable,
    assist_signature: SigRef,
    region_signature: SigRef,
    /// IR blocks by index of the region's blocks, and of its entries.
    blocks: Vec<IrBlock>,
    entries: Vec<IrBlock>,
    /// On to the entry that a word of the dispatch table asks for (word, progress).
    choose: IrBlock,
    /// Shared ends. On to where a word of the dispatch table says (word, pc, progress), or to the pc's own word (pc,
    /// progress).
    hop: IrBlock,
    hop_indirect: IrBlock,
    /// Out of native code (pc, progress), or where the context has both already.
    leave_stop: IrBlock,
    out: IrBlock,
    /// Accesses ahead that were asked for already.
    granted: usize,
    /// Addresses that the current block computed, by value and what was added.
    sums: Vec<((Value, i64), Value)>,
    /// Registers whose value is newer than the context's; x0 stands for its shunt.
    dirty: RegisterSet,
    /// Whether that is stored only where it is needed.
    lazy: bool,
    /// Progress at the end of the current block.
    after: Value,
    /// Instructions of the current block not yet done, the current one included.
    left: i64,
    /// Steps behind the current block that are taken from the budget already, at the most.
    reserved: i64,
}

impl Lowering<'_> {
    /// What one step does to progress.
    fn step_unit(&self) -> i64 {
        match self.level {
            Level::Off => 1,
            Level::Rows => ROW_BYTES as i64,
        }
    }

    /// Goes on in a block to which nothing will jump that has not already.
    fn open(&mut self, block: IrBlock) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
    }

    /// As [`Lowering::open`], for a block that is rarely needed.
    fn open_cold(&mut self, block: IrBlock) {
        self.builder.set_cold_block(block);
        self.open(block);
    }

    fn i32(&mut self, value: u32) -> Value {
        self.builder.ins().iconst(types::I32, value as i64)
    }

    /// To the entry that the word asks for; unknown entry numbers go to the first.
    fn go_to_entry(&mut self) {
        self.builder.switch_to_block(self.choose);
        let [word, progress] = [0, 1].map(|index| self.builder.block_params(self.choose)[index]);
        self.builder.def_var(self.progress, progress);
        let (first, others) = match *self.entries.clone() {
            [only] => {
                self.builder.ins().jump(only, &[]);
                return;
            }
            [first, ref others @ ..] => (first, others.to_vec()),
            [] => return,
        };
        let entry = self.builder.ins().ushr_imm_u(word, Entry::ENTRY_SHIFT as i64);
        let entry = self.builder.ins().ireduce(types::I32, entry);
        let entry = self.builder.ins().band_imm_s(entry, Entry::ENTRIES as i64 - 1);
        if others.len() < FEW_TARGETS {
            for (number, &block) in (1..).zip(&others) {
                let is_asked = self.builder.ins().icmp_imm_s(IntCC::Equal, entry, number);
                let next = self.builder.create_block();
                self.builder.ins().brif(is_asked, block, &[], next, &[]);
                self.open(next);
            }
            self.builder.ins().jump(first, &[]);
            return;
        }
        // A call for each, though two lead to the same block: calls that are copies share their list of arguments.
        let calls: Vec<_> =
            [first, first].iter().chain(&others).map(|&block| self.builder.func.dfg.block_call(block, &[])).collect();
        let table = self.builder.create_jump_table(JumpTableData::new(calls[0], &calls[1..]));
        self.builder.ins().br_table(entry, table);
    }

    /// An entry loads what is live and goes to its block.
    fn entry_loads(&mut self) {
        for (entry, &block) in self.entries.clone().into_iter().zip(&self.region.entries) {
            self.builder.switch_to_block(entry);
            for register in registers_of(self.live[block]) {
                let slot = layout::register(Slot::x(register));
                let value = self.builder.ins().load(types::I32, TRUSTED, self.base, slot);
                self.builder.def_var(self.registers[register as usize], value);
            }
            self.builder.ins().jump(self.blocks[block], &[]);
        }
    }

    /// Looks the pc up and goes on in the region that has an entry there, out of native code if none has.
    fn hop_blocks(&mut self) {
        self.builder.switch_to_block(self.hop_indirect);
        let [pc, progress, from] = [0, 1, 2].map(|index| self.builder.block_params(self.hop_indirect)[index]);
        let word = look_up(&mut self.builder, self.base, pc);
        let number = self.builder.ins().ushr_imm_u(word, Entry::REGION_SHIFT as i64);
        let is_own = self.builder.ins().icmp_imm_u(IntCC::Equal, number, self.number as i64);
        let [own, other] = [&[word, progress][..], &[word, pc, progress, from]].map(arguments);
        self.builder.ins().brif(is_own, self.choose, &own, self.hop, &other);

        self.builder.switch_to_block(self.hop);
        let [word, pc, progress, from] = [0, 1, 2, 3].map(|index| self.builder.block_params(self.hop)[index]);
        let [found, none] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(word, found, &[], none, &[]);
        self.open(found);
        let [last, before] = layout::TRANSFER_PCS;
        let previous = self.builder.ins().load(types::I32, TRUSTED, self.base, last);
        self.builder.ins().store(TRUSTED, previous, self.base, before);
        self.builder.ins().store(TRUSTED, pc, self.base, last);
        let callee = callee(&mut self.builder, self.base, word);
        self.builder.ins().return_call_indirect(self.region_signature, callee, &[self.base, word, progress]);
        self.open_cold(none);
        self.builder.ins().store(TRUSTED, from, self.base, layout::JUMP_PC);
        self.set_place(pc, progress);
        self.leave(REASON_NO_ENTRY);
    }

    fn leave_stop_block(&mut self) {
        self.builder.switch_to_block(self.leave_stop);
        self.builder.set_cold_block(self.leave_stop);
        let [pc, progress] = [0, 1].map(|index| self.builder.block_params(self.leave_stop)[index]);
        self.set_place(pc, progress);
        self.builder.ins().jump(self.out, &[]);

        self.builder.switch_to_block(self.out);
        self.builder.set_cold_block(self.out);
        self.leave(REASON_STOP);
    }

    fn set_place(&mut self, pc: Value, progress: Value) {
        self.builder.ins().store(TRUSTED, pc, self.base, layout::PC);
        self.builder.ins().store(TRUSTED, progress, self.base, layout::PROGRESS);
    }

    fn leave(&mut self, reason: i64) {
        let reason = self.builder.ins().iconst(types::I32, reason);
        self.builder.ins().return_(&[reason]);
    }

    fn block(&mut self, index: usize, block: &Block) {
        self.builder.switch_to_block(self.blocks[index]);
        self.left = block.instructions.len() as i64;
        self.dirty = self.carried[index];
        self.lazy = self.dirty != 0;
        let share = self.shares[index];
        self.reserved = share.steps as i64 - self.left;
        self.take_budget(block.pc, share.asks);
        if self.rules.asks_fetches() && self.entered_from_elsewhere[index] && self.left > 0 {
            self.check_fetch(block.pc);
        }
        self.sums.clear();
        let mut rest = &block.instructions[..];
        while let [placed, behind @ ..] = rest {
            self.instruction(placed, rest, block.end);
            self.left -= 1;
            rest = behind;
        }
        self.end(block);
    }

    /// Counts the whole block's steps. A block that `asks` looks first whether they and those behind it fit into the
    /// budget, and asks for more if they do not.
    fn take_budget(&mut self, pc: u32, asks: bool) {
        let before = self.builder.use_var(self.progress);
        let change = self.left * self.step_unit();
        let after = self.add(before, change);
        self.builder.def_var(self.progress, after);
        self.after = after;
        if !asks || self.left + self.reserved == 0 {
            return;
        }
        let farthest = self.add(after, self.reserved * self.step_unit());
        let limit = self.builder.ins().load(types::I64, TRUSTED, self.base, layout::PROGRESS_LIMIT);
        let too_much = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, farthest, limit);
        let [refill, refilled, body] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(too_much, refill, &[], body, &[]);

        self.open_cold(refill);
        self.store_dirty();
        let pc = self.i32(pc);
        self.builder.ins().store(TRUSTED, pc, self.base, layout::PC);
        self.builder.ins().store(TRUSTED, before, self.base, layout::PROGRESS);
        let verdict = self.assist((self.left + self.reserved) as u32, layout::REFILL_STUB);
        let fresh = self.builder.ins().load(types::I64, TRUSTED, self.base, layout::PROGRESS);
        self.builder.ins().brif(verdict, self.out, &[], refilled, &[]);

        self.open_cold(refilled);
        let after = self.add(fresh, change);
        self.builder.def_var(self.progress, after);
        self.builder.ins().jump(body, &[]);

        self.open(body);
        self.after = self.builder.use_var(self.progress);
    }

    /// Asks through the stub at `stub` in the context; not 0 if the answer is to stop. The context must be as an answer
    /// needs it.
    fn assist(&mut self, asked: u32, stub: i32) -> Value {
        let asked = self.i32(asked);
        self.builder.ins().store(TRUSTED, asked, self.base, layout::ASKED);
        let stub = self.builder.ins().load(types::I64, TRUSTED, self.base, stub);
        self.builder.ins().call_indirect(self.assist_signature, stub, &[self.base]);
        self.builder.ins().load(types::I32, TRUSTED, self.base, layout::VERDICT)
    }

    fn instruction(&mut self, placed: &Placed, rest: &[Placed], end: End) {
        let instruction = placed.instruction;
        let line = instruction.op.line();
        let a = line.format.has_rs1().then(|| self.register(instruction.rs1));
        let b = line.format.has_rs2().then(|| self.register(instruction.rs2));
        // A row's column of x0 is 0 without looking.
        let mut row = RowParts {
            rs1: a.filter(|_| instruction.rs1 != 0),
            rs2: b.filter(|_| instruction.rs2 != 0),
            ..RowParts::default()
        };
        match line.class {
            Class::Compute => row.rd = Some(self.compute(placed, a, b)),
            Class::Load => self.load(rest, placed, a, &mut row),
            Class::Store => self.store(rest, placed, [a, b], &mut row),
            Class::JumpIndirect if end == End::Indirect => row.rd = Some(self.jump_indirect_check(placed, a)),
            Class::Jump | Class::JumpIndirect => row.rd = Some(self.i32(placed.pc.wrapping_add(4))),
            Class::Branch => {
                self.branch_check(placed, a, b);
                if self.rules.shunt {
                    let zero = self.i32(0);
                    self.set_register(0, zero);
                }
            }
            Class::Fence | Class::System => {}
        }
        self.write_row(placed, &row);
        if let Some(value) = row.rd
            && (instruction.rd != 0 || self.rules.shunt)
            && !(line.class == Class::JumpIndirect && end == End::Indirect)
        {
            self.set_register(instruction.rd, value);
        }
    }

    fn register(&mut self, number: u8) -> Value {
        match number {
            0 => self.i32(0),
            _ => self.builder.use_var(self.registers[number as usize & 31]),
        }
    }

    fn set_register(&mut self, number: u8, value: Value) {
        self.builder.def_var(self.registers[number as usize & 31], value);
        self.dirty |= 1 << number;
    }

    /// Stores what changed, so that the context's registers are exact.
    fn flush(&mut self) {
        self.flush_but(0);
    }

    /// Stores what changed, but for these.
    fn flush_but(&mut self, kept: RegisterSet) {
        let kept = self.dirty & kept;
        self.dirty &= !kept;
        self.store_dirty();
        self.dirty = kept;
    }

    /// Stores what changed, on a way on which that is needed.
    fn store_dirty(&mut self) {
        for register in registers_of(self.dirty) {
            let value = self.builder.use_var(self.registers[register as usize]);
            let slot = if register == 0 { Slot::SHUNT } else { Slot::x(register) };
            self.builder.ins().store(TRUSTED, value, self.base, layout::register(slot));
        }
    }

    /// Before a question: in a loop what changed is stored where it is asked, elsewhere for whatever comes next as well.
    fn flush_unless_lazy(&mut self) {
        if !self.lazy {
            self.flush();
        }
    }

    /// Pc and progress for leaving before the current instruction. The context's registers must be exact there.
    fn here(&mut self, pc: u32) -> [BlockArg; 2] {
        let pc = self.i32(pc);
        let undone = -self.left * self.step_unit();
        let progress = self.add(self.after, undone);
        [BlockArg::Value(pc), BlockArg::Value(progress)]
    }

    /// Leaves in front of the current instruction if `condition` is not zero.
    fn stop_if(&mut self, condition: Value, pc: u32) {
        self.flush_unless_lazy();
        let [stop, go] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(condition, stop, &[], go, &[]);
        self.open_cold(stop);
        self.store_dirty();
        let arguments = self.here(pc);
        self.builder.ins().jump(self.leave_stop, &arguments);
        self.open(go);
    }

    fn branch_condition(&mut self, op: Op, a: Value, b: Value) -> Value {
        let condition = match op {
            Op::Beq => IntCC::Equal,
            Op::Bne => IntCC::NotEqual,
            Op::Blt => IntCC::SignedLessThan,
            Op::Bge => IntCC::SignedGreaterThanOrEqual,
            Op::Bltu => IntCC::UnsignedLessThan,
            _ => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.builder.ins().icmp(condition, a, b)
    }

    /// A branch to a misaligned address traps when it is taken.
    fn branch_check(&mut self, placed: &Placed, a: Option<Value>, b: Option<Value>) {
        if let (Some(a), Some(b)) = (a, b)
            && !placed.pc.wrapping_add(placed.instruction.imm).is_multiple_of(4)
        {
            let taken = self.branch_condition(placed.instruction.op, a, b);
            self.stop_if(taken, placed.pc);
        }
    }

    /// An indirect jump to a misaligned address traps before rd is written. Gives the return address.
    fn jump_indirect_check(&mut self, placed: &Placed, a: Option<Value>) -> Value {
        let target = self.jump_indirect_target(placed, a);
        let misaligned = self.builder.ins().band_imm_s(target, 2);
        self.stop_if(misaligned, placed.pc);
        self.i32(placed.pc.wrapping_add(4))
    }

    fn jump_indirect_target(&mut self, placed: &Placed, a: Option<Value>) -> Value {
        let a = a.unwrap_or_else(|| self.i32(0));
        let sum = self.add(a, placed.instruction.imm as i32 as i64);
        self.builder.ins().band_imm_s(sum, -2)
    }

    fn end(&mut self, block: &Block) {
        match (block.end, block.instructions.last()) {
            (End::Goto(target), _) => self.goto(target),
            (End::Branch { taken, fall }, Some(last)) => self.branch(last, taken, fall),
            (End::Indirect, Some(last)) => {
                self.flush();
                self.jump_indirect(last, &block.known_targets);
            }
            (End::Interpret | End::Branch { .. } | End::Indirect, _) => {
                self.flush();
                let pc = block.instructions.last().map_or(block.pc, |last| last.pc.wrapping_add(4));
                let arguments = self.here(pc);
                self.builder.ins().jump(self.leave_stop, &arguments);
            }
        }
    }

    /// The registers that may be newer than the context where control comes to `target`.
    fn carried_to(&self, target: Target) -> RegisterSet {
        match target {
            Target::Block(block) => self.carried[block],
            Target::Out(_) | Target::Misaligned => 0,
        }
    }

    fn goto(&mut self, target: Target) {
        self.flush_but(self.carried_to(target));
        match target {
            Target::Block(block) => {
                self.builder.ins().jump(self.blocks[block], &[]);
            }
            Target::Out(pc) => {
                let word = look_up_constant(&mut self.builder, self.base, pc);
                let [pc, progress] = self.here(pc);
                let no_jump = BlockArg::Value(self.i32(0));
                self.builder.ins().jump(self.hop, &[BlockArg::Value(word), pc, progress, no_jump]);
            }
            // Checked before the row was written; no control comes here.
            Target::Misaligned => {
                let arguments = self.here(0);
                self.builder.ins().jump(self.leave_stop, &arguments);
            }
        }
    }

    fn branch(&mut self, last: &Placed, taken: Target, fall: Target) {
        let a = self.register(last.instruction.rs1);
        let b = self.register(last.instruction.rs2);
        let condition = self.branch_condition(last.instruction.op, a, b);
        if self.lazy {
            self.flush_but(self.carried_to(taken) | self.carried_to(fall));
        } else {
            self.flush();
        }
        let dirty = self.dirty;
        let ways = [taken, fall].map(|target| match target {
            Target::Block(block) if dirty & !self.carried[block] == 0 => (self.blocks[block], None),
            _ => (self.builder.create_block(), Some(target)),
        });
        let [(to, _), (or, _)] = ways;
        self.builder.ins().brif(condition, to, &[], or, &[]);
        for (block, target) in ways {
            if let Some(target) = target {
                self.open(block);
                self.dirty = dirty;
                self.goto(target);
            }
        }
    }

    /// To one of the few targets that are known, each a branch that is easily guessed, or to wherever it is.
    fn jump_indirect(&mut self, last: &Placed, known: &[usize]) {
        let a = Some(self.register(last.instruction.rs1));
        let target = self.jump_indirect_target(last, a);
        if last.instruction.rd != 0 || self.rules.shunt {
            let link = self.i32(last.pc.wrapping_add(4));
            self.set_register(last.instruction.rd, link);
            self.flush();
        }
        for &block in known {
            let Some(entry) = self.region.entries.iter().position(|&entry| entry == block) else { continue };
            let pc = self.region.blocks[block].pc;
            let goes_there = self.builder.ins().icmp_imm_u(IntCC::Equal, target, pc as i64);
            let next = self.builder.create_block();
            self.builder.ins().brif(goes_there, self.entries[entry], &[], next, &[]);
            self.open(next);
        }
        // Where returns go says nothing about what belongs together.
        let from = self.i32(if last.instruction.rs1 == RETURN_ADDRESS { 0 } else { last.pc });
        self.builder.ins().jump(self.hop_indirect, &arguments(&[target, self.after, from]));
    }
}

/// For each block of `region`, whether control may come to it from another page: from outside, or from a block that
/// ends in one.
fn entered_from_elsewhere(region: &Region) -> Vec<bool> {
    let mut elsewhere = vec![false; region.blocks.len()];
    for &entry in &region.entries {
        elsewhere[entry] = true;
    }
    for block in &region.blocks {
        let last = block.instructions.last().map_or(block.pc, |last| last.pc);
        for next in successors(block.end) {
            elsewhere[next] |= page_of(last) != page_of(region.blocks[next].pc);
        }
    }
    elsewhere
}

/// The numbers of the registers in a set.
fn registers_of(set: RegisterSet) -> impl Iterator<Item = u8> {
    (0..32).filter(move |&register| set & 1 << register != 0)
}

fn arguments(values: &[Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}
