//! Lowers a region to Cranelift IR, and IR to bytes: blocks, budgets, and one instruction after the other.
//!
//! ```text
//! operations   how each operation is lowered       compute      arithmetic
//! memory       page checks, loads, stores          rows         the 32 bytes of a step
//! registers    when they are stored                sums         which IR value stands for which sum
//! control      entries, transitions, exits         abi, stubs   what generated functions agree on
//! ```
//!
//! It must not know sessions, code memory, or any address of the host: generated code reaches everything from the base.

pub(crate) mod abi;
mod compute;
mod control;
pub(crate) mod explain;
pub(crate) mod listing;
mod memory;
mod operations;
pub(crate) mod refused;
mod registers;
mod rows;
pub(crate) mod stubs;
mod sums;
#[cfg(feature = "wrong-lowerings")]
pub mod wrong;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block as IrBlock, BlockArg, DebugTag, Function, InstBuilder, MemFlagsData, SigRef, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use tachy_runtime::{ROW_BYTES, layout, page_of};

use crate::invariant::{BrokenInvariant, broken};
use crate::jit::analysis::access_groups::{Group, Reached, groups};
use crate::jit::analysis::budget::{Share, shares};
use crate::jit::analysis::liveness::{RegisterSet, live_in};
use crate::jit::analysis::loop_carried::loop_carried;
use crate::jit::analysis::region::{Block, End, Placed, Region};
use crate::jit::analysis::values::Known;
#[cfg(not(feature = "wrong-lowerings"))]
use crate::jit::analysis::values::Values;
use crate::rules::Rules;
use crate::trace::Level;
use abi::{assist_signature, region_signature};

use operations::Operation;
use rows::RowParts;
use sums::Sums;

/// Context, page states and dispatch table: mapped, aligned, and never a reason to trap.
const TRUSTED: MemFlagsData = MemFlagsData::trusted();

/// The target of the lowering.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) level: Level,
    pub(crate) rules: &'static Rules,
    pub(crate) isa: &'a OwnedTargetIsa,
    pub(crate) marks: Marks,
}

/// Whether the IR records the guest instruction behind each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// It does not; for code that runs.
    None,
    /// It does, by a sequence point with the pc in front of each part. The mark takes no bytes, but may keep Cranelift
    /// from merging instructions on both sides of it.
    Pcs,
}

/// Fills `function` with the IR of `region`, whose number in the dispatch table is `number` (not 0). Returns the
/// accesses of the groups that its code requests, by their indices. After an error, `function` and `frontend` must not
/// be reused.
pub(crate) fn lower(
    region: &Region,
    number: u32,
    settings: Settings<'_>,
    function: &mut Function,
    frontend: &mut FunctionBuilderContext,
) -> Result<Vec<Vec<Reached>>, BrokenInvariant> {
    let Settings { level, rules, isa, marks } = settings;
    #[cfg(feature = "wrong-lowerings")]
    let region = &wrong::applied(region);
    function.signature = region_signature();
    function.name = UserFuncName::user(0, number);
    let mut builder = FunctionBuilder::new(function, frontend);
    let registers = std::array::from_fn(|_| builder.declare_var(types::I32));
    let progress = builder.declare_var(types::I64);
    let assist_signature = builder.import_signature(assist_signature(CallConv::PreserveAll));
    let region_signature = builder.import_signature(region_signature());
    let helper_signature = builder.import_signature(abi::assist_signature(isa.default_call_conv()));
    let start = builder.create_block();
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    let [base, word, before] = [0, 1, 2].map(|index| builder.block_params(start)[index]);
    let blocks = region.blocks.iter().map(|_| builder.create_block()).collect();
    let entries = region.entries.iter().map(|_| builder.create_block()).collect();
    let place = [types::I32, types::I64];
    let transition_params = [types::I64, types::I32, types::I64, types::I32];
    let [choose, transition, transition_indirect, leave_stop, out] =
        [&[types::I64; 2][..], &transition_params, &transition_params[1..], &place, &[]].map(|params| {
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
        marks,
        marked: None,
        entered_from_elsewhere: entered_from_elsewhere(region),
        shares: shares(region),
        reserved: 0,
        region,
        loop_carried: loop_carried(region, &live),
        live,
        number,
        base,
        registers,
        progress,
        assist_signature,
        region_signature,
        helper_signature,
        blocks,
        entries,
        choose,
        transition,
        transition_indirect,
        system: None,
        leave_stop,
        out,
        known: Vec::new(),
        groups: Vec::new(),
        requested_groups: Vec::new(),
        granted: 0,
        sums: Sums::default(),
        dirty: 0,
        lazy: false,
        after: base,
        after_parts: (base, 0),
        left: 0,
    };
    lowering.builder.ins().jump(choose, &[word, before].map(BlockArg::Value));
    lowering.go_to_entry()?;
    lowering.entry_loads();
    for (index, block) in region.blocks.iter().enumerate() {
        lowering.block(index, block)?;
    }
    lowering.marked = None;
    lowering.transition_blocks();
    lowering.system_block();
    lowering.leave_stop_block();
    lowering.builder.seal_all_blocks();
    lowering.builder.finalize(isa.frontend_config());
    Ok(lowering.requested_groups)
}

struct Lowering<'a> {
    builder: FunctionBuilder<'a>,
    level: Level,
    rules: &'static Rules,
    marks: Marks,
    /// The pc of the guest instruction that is being lowered, if any.
    marked: Option<u32>,
    /// For each block of the region, whether control may enter it from another page.
    entered_from_elsewhere: Vec<bool>,
    /// The budget that each block requests.
    shares: Vec<Share>,
    region: &'a Region,
    /// For each block, the registers that are live at its start, and those among them that need not be in the context
    /// then.
    live: Vec<RegisterSet>,
    loop_carried: Vec<RegisterSet>,
    /// The region's number in the dispatch table.
    number: u32,
    base: Value,
    registers: [Variable; 32],
    /// Number of the next step, or address of the next row; see `layout::PROGRESS`.
    progress: Variable,
    assist_signature: SigRef,
    region_signature: SigRef,
    helper_signature: SigRef,
    /// IR blocks by index of the region's blocks, and of its entries.
    blocks: Vec<IrBlock>,
    entries: Vec<IrBlock>,
    /// Continues at the entry in a dispatch word (word, progress).
    choose: IrBlock,
    /// Shared ends. They continue where a dispatch word leads (word, pc, progress), or at the pc's own word (pc,
    /// progress).
    transition: IrBlock,
    transition_indirect: IrBlock,
    /// Has the system instruction at the pc executed (pc, progress), if there is one.
    system: Option<IrBlock>,
    /// These leave native code (pc, progress); `out` does so if the context has both already.
    leave_stop: IrBlock,
    out: IrBlock,
    /// The results of the values pass for the current block, and its access groups.
    known: Vec<Known>,
    groups: Vec<Group>,
    /// The accesses of each group that the code so far may request.
    requested_groups: Vec<Vec<Reached>>,
    /// Number of the next accesses that a check of their group has already allowed.
    granted: usize,
    /// IR values of the current block.
    sums: Sums,
    /// Registers whose value is newer than the context's; x0 stands for its shunt.
    dirty: RegisterSet,
    /// Whether dirty registers are stored only where it is needed.
    lazy: bool,
    /// Progress at the end of the current block, and the same as a value and an addend.
    after: Value,
    after_parts: (Value, i64),
    /// Instructions of the current block not yet done, including the current one.
    left: i64,
    /// Maximum number of steps behind the current block that are already taken from the budget.
    reserved: i64,
}

impl Lowering<'_> {
    /// Returns what one step adds to progress.
    fn step_unit(&self) -> i64 {
        match self.level {
            Level::Off => 1,
            Level::Rows => ROW_BYTES as i64,
        }
    }

    /// Continues in a block that already has all its predecessors.
    fn open(&mut self, block: IrBlock) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
        self.mark();
    }

    /// Marks the guest instruction of the following IR, if marks are wanted.
    fn mark(&mut self) {
        if let (Marks::Pcs, Some(pc)) = (self.marks, self.marked) {
            let mark = self.builder.ins().sequence_point();
            self.builder.func.debug_tags.set(mark, [DebugTag::User(pc)]);
        }
    }

    fn mark_instruction(&mut self, pc: u32) {
        self.marked = Some(pc);
        self.mark();
    }

    /// Does [`Lowering::open`] for a block that is rarely needed.
    fn open_cold(&mut self, block: IrBlock) {
        self.builder.set_cold_block(block);
        self.open(block);
    }

    fn i32(&mut self, value: u32) -> Value {
        self.builder.ins().iconst(types::I32, value as i64)
    }

    fn block(&mut self, index: usize, block: &Block) -> Result<(), BrokenInvariant> {
        self.builder.switch_to_block(self.blocks[index]);
        self.mark_instruction(block.pc);
        self.left = block.instructions.len() as i64;
        self.dirty = self.loop_carried[index];
        self.lazy = self.dirty != 0;
        let share = self.shares[index];
        self.reserved = share.steps as i64 - self.left;
        self.take_budget(block.pc, share);
        if self.rules.asks_fetches() && self.entered_from_elsewhere[index] && self.left > 0 {
            self.check_fetch(block.pc);
        }
        #[cfg(not(feature = "wrong-lowerings"))]
        let known = Values::of_block(&block.instructions);
        #[cfg(feature = "wrong-lowerings")]
        let known = wrong::known(&block.instructions);
        self.known = known;
        self.groups = groups(&block.instructions);
        self.sums = Sums::default();
        for (index, placed) in block.instructions.iter().enumerate() {
            if index > 0 {
                self.mark_instruction(placed.pc);
            }
            self.instruction(index, placed, block.end)?;
            self.left -= 1;
        }
        self.end(block)
    }

    /// Counts the whole block's steps. A block that `asks` first checks that they and the reserved steps behind it fit
    /// into the budget, and requests more if they do not.
    fn take_budget(&mut self, pc: u32, share: Share) {
        let before = self.builder.use_var(self.progress);
        let change = self.left * self.step_unit();
        let after = self.plus(before, change);
        self.builder.def_var(self.progress, after);
        (self.after, self.after_parts) = (after, (before, change));
        if !share.asks || self.left + self.reserved == 0 {
            return;
        }
        let farthest = match self.reserved {
            0 => after,
            reserved => self.plus(before, change + reserved * self.step_unit()),
        };
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
        let after = self.plus(fresh, change);
        self.builder.def_var(self.progress, after);
        self.builder.ins().jump(body, &[]);

        self.open(body);
        self.after = self.builder.use_var(self.progress);
        self.after_parts = (self.after, 0);
    }

    /// Makes a request through the stub at `stub` in the context; the result is not 0 if the verdict is to stop. The
    /// context must be as the request requires.
    fn assist(&mut self, request: u32, stub: i32) -> Value {
        let request = self.i32(request);
        self.builder.ins().store(TRUSTED, request, self.base, layout::ASSIST_REQUEST);
        let stub = self.builder.ins().load(types::I64, TRUSTED, self.base, stub);
        self.builder.ins().call_indirect(self.assist_signature, stub, &[self.base]);
        self.builder.ins().load(types::I32, TRUSTED, self.base, layout::VERDICT)
    }

    /// Lowers the instruction with this index in its block.
    fn instruction(&mut self, index: usize, placed: &Placed, end: End) -> Result<(), BrokenInvariant> {
        let instruction = placed.instruction;
        let line = instruction.op.line();
        let known = self.known[index];
        let a = line.format.has_rs1().then(|| self.operand(instruction.rs1, known.operands[0]));
        let b = line.format.has_rs2().then(|| self.operand(instruction.rs2, known.operands[1]));
        // The row's columns for x0 are 0; no register is read for them.
        let mut row = RowParts {
            rs1: a.filter(|_| instruction.rs1 != 0),
            rs2: b.filter(|_| instruction.rs2 != 0),
            ..RowParts::default()
        };
        let operation = Operation::of(instruction.op);
        // An indirect jump writes rd after its target is read.
        let goes_elsewhere = operation == Operation::JumpIndirect && end == End::Indirect;
        match operation {
            Operation::Constant => {
                let value = self.known_value(known.form)?;
                row.rd = Some(value.ok_or_else(|| broken(format!("{placed:x?} gives no constant")))?);
            }
            Operation::Compute(compute) => row.rd = Some(self.compute(compute, placed, known.form, [a, b])?),
            Operation::Load(width, extension) => self.load(index, placed, (width, extension), &mut row)?,
            Operation::Store(width) => self.store(index, placed, width, b, &mut row)?,
            Operation::JumpIndirect if goes_elsewhere => row.rd = Some(self.jump_indirect_check(index, placed)?),
            Operation::Jump | Operation::JumpIndirect => row.rd = Some(self.i32(placed.pc.wrapping_add(4))),
            Operation::Branch(comparison) => {
                self.branch_check(placed, comparison, [a, b])?;
                if self.rules.shunt {
                    let zero = self.i32(0);
                    self.set_register(0, zero);
                }
            }
            Operation::Fence => {}
            Operation::System => return Err(broken(format!("a system instruction in a region: {placed:x?}"))),
        }
        self.write_row(placed, &row);
        self.sums.results.extend(row.rd.map(|value| (index, value)));
        if let Some(value) = row.rd
            && (instruction.rd != 0 || self.rules.shunt)
            && !goes_elsewhere
        {
            self.set_register(instruction.rd, value);
        }
        Ok(())
    }

    /// Returns pc and progress for leaving before the current instruction. The context's registers must be exact there.
    fn here(&mut self, pc: u32) -> [BlockArg; 2] {
        let pc = self.i32(pc);
        let (value, constant) = self.after_parts;
        let progress = self.plus(value, constant - self.left * self.step_unit());
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
}

/// For each block of `region`, returns whether control may enter it from another page: from outside, or from a block
/// that ends in another page.
fn entered_from_elsewhere(region: &Region) -> Vec<bool> {
    let mut elsewhere = vec![false; region.blocks.len()];
    for &entry in &region.entries {
        elsewhere[entry] = true;
    }
    for block in &region.blocks {
        let last = block.instructions.last().map_or(block.pc, |last| last.pc);
        for next in block.end.successors() {
            elsewhere[next] |= page_of(last) != page_of(region.blocks[next].pc);
        }
    }
    elsewhere
}

fn arguments(values: &[Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}
