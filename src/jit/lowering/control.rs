//! Control flow: in at an entry, from block to block, on to other regions, and out.
//!
//! An entry loads the live registers. Exits find the registers already stored (`registers.rs`) and need only pc and
//! progress, so all exits of a kind share one block.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, JumpTableData, Value, types};
use tachy_runtime::{Entry, Slot, layout};

use super::abi::{REASON_NO_ENTRY, REASON_STOP};
use super::compute::operand;
use super::operations::{Comparison, Extension, Operation};
use super::registers::registers_of;
use super::stubs::{callee, count_transfer, look_up, look_up_constant};
use super::{Lowering, TRUSTED, arguments};
use crate::invariant::{BrokenInvariant, broken, invariant};
use crate::jit::analysis::liveness::RegisterSet;
use crate::jit::analysis::region::{Block, End, FEW_TARGETS, Placed, Target};
use crate::jit::analysis::returns::RETURN_ADDRESS;

impl Lowering<'_> {
    /// Goes to the entry in the dispatch word; unknown entry numbers go to the first.
    pub(super) fn go_to_entry(&mut self) -> Result<(), BrokenInvariant> {
        self.builder.switch_to_block(self.choose);
        let [word, progress] = [0, 1].map(|index| self.builder.block_params(self.choose)[index]);
        self.builder.def_var(self.progress, progress);
        let (first, others) = match *self.entries.clone() {
            [only] => {
                self.builder.ins().jump(only, &[]);
                return Ok(());
            }
            [first, ref others @ ..] => (first, others.to_vec()),
            [] => return Err(broken("a region without entries")),
        };
        let entry = self.builder.ins().ushr_imm_u(word, Entry::ENTRY_SHIFT as i64);
        let entry = self.builder.ins().ireduce(types::I32, entry);
        let entry = self.builder.ins().band_imm_s(entry, Entry::ENTRIES as i64 - 1);
        if others.len() < FEW_TARGETS {
            for (number, &block) in (1..).zip(&others) {
                let is_wanted = self.builder.ins().icmp_imm_s(IntCC::Equal, entry, number);
                let next = self.builder.create_block();
                self.builder.ins().brif(is_wanted, block, &[], next, &[]);
                self.open(next);
            }
            self.builder.ins().jump(first, &[]);
            return Ok(());
        }
        // Each entry has a call of its own, even if two lead to the same block: copies of a call share their list of
        // arguments.
        let calls: Vec<_> =
            [first, first].iter().chain(&others).map(|&block| self.builder.func.dfg.block_call(block, &[])).collect();
        let table = self.builder.create_jump_table(JumpTableData::new(calls[0], &calls[1..]));
        self.builder.ins().br_table(entry, table);
        Ok(())
    }

    /// Makes each entry load the live registers and go to its block.
    pub(super) fn entry_loads(&mut self) {
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

    pub(super) fn end(&mut self, block: &Block) -> Result<(), BrokenInvariant> {
        match (block.end, block.instructions.last()) {
            (End::Goto(target), _) => {
                invariant!(target != Target::Misaligned, "the block at {:#010x} goes on nowhere", block.pc);
                self.goto(target);
            }
            (End::Branch { taken, fall }, Some(last)) => self.branch(last, taken, fall)?,
            (End::Indirect, Some(last)) => {
                self.flush();
                self.jump_indirect(last, &block.known_targets)?;
            }
            (End::Interpret, _) => {
                self.flush();
                let arguments = self.here(block.end_pc());
                self.builder.ins().jump(self.leave_stop, &arguments);
            }
            (End::Branch { .. } | End::Indirect, None) => {
                return Err(broken(format!("the empty block at {:#010x} ends in a jump", block.pc)));
            }
        }
        Ok(())
    }

    /// Returns the registers that may be newer than the context when control reaches `target`.
    fn loop_carried_to(&self, target: Target) -> RegisterSet {
        match target {
            Target::Block(block) => self.loop_carried[block],
            Target::Out(_) | Target::System(_) | Target::Misaligned => 0,
        }
    }

    fn goto(&mut self, target: Target) {
        self.flush_but(self.loop_carried_to(target));
        match target {
            Target::Block(block) => {
                self.builder.ins().jump(self.blocks[block], &[]);
            }
            Target::Out(pc) => {
                let word = look_up_constant(&mut self.builder, self.base, pc);
                let [pc, progress] = self.here(pc);
                let no_jump = BlockArg::Value(self.i32(0));
                self.builder.ins().jump(self.transition, &[BlockArg::Value(word), pc, progress, no_jump]);
            }
            Target::System(pc) => {
                let arguments = self.here(pc);
                let builder = &mut self.builder;
                let system = *self.system.get_or_insert_with(|| {
                    let block = builder.create_block();
                    builder.append_block_param(block, types::I32);
                    builder.append_block_param(block, types::I64);
                    block
                });
                self.builder.ins().jump(system, &arguments);
            }
            // The taken side of a branch that traps: `branch_check` has left in front of it, so control never gets
            // here.
            Target::Misaligned => {
                let arguments = self.here(0);
                self.builder.ins().jump(self.leave_stop, &arguments);
            }
        }
    }

    fn branch(&mut self, last: &Placed, taken: Target, fall: Target) -> Result<(), BrokenInvariant> {
        let Operation::Branch(comparison) = Operation::of(last.instruction.op) else {
            return Err(broken(format!("{:?} at {:#010x} ends a block as a branch", last.instruction.op, last.pc)));
        };
        let a = self.register(last.instruction.rs1);
        let b = self.register(last.instruction.rs2);
        let condition = self.branch_condition(comparison, a, b);
        if self.lazy {
            self.flush_but(self.loop_carried_to(taken) | self.loop_carried_to(fall));
        } else {
            self.flush();
        }
        let dirty = self.dirty;
        let ways = [taken, fall].map(|target| match target {
            Target::Block(block) if dirty & !self.loop_carried[block] == 0 => (self.blocks[block], None),
            Target::Block(_) | Target::Out(_) | Target::System(_) | Target::Misaligned => {
                (self.builder.create_block(), Some(target))
            }
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
        Ok(())
    }

    fn branch_condition(&mut self, comparison: Comparison, a: Value, b: Value) -> Value {
        let condition = match comparison {
            Comparison::Equal => IntCC::Equal,
            Comparison::NotEqual => IntCC::NotEqual,
            Comparison::Less(Extension::Signed) => IntCC::SignedLessThan,
            Comparison::Less(Extension::Unsigned) => IntCC::UnsignedLessThan,
            Comparison::GreaterOrEqual(Extension::Signed) => IntCC::SignedGreaterThanOrEqual,
            Comparison::GreaterOrEqual(Extension::Unsigned) => IntCC::UnsignedGreaterThanOrEqual,
        };
        self.builder.ins().icmp(condition, a, b)
    }

    /// Makes a branch to a misaligned address trap when it is taken.
    pub(super) fn branch_check(
        &mut self,
        placed: &Placed,
        comparison: Comparison,
        [a, b]: [Option<Value>; 2],
    ) -> Result<(), BrokenInvariant> {
        let (a, b) = (operand(a, placed)?, operand(b, placed)?);
        if !placed.pc.wrapping_add(placed.instruction.imm).is_multiple_of(4) {
            let taken = self.branch_condition(comparison, a, b);
            self.stop_if(taken, placed.pc);
        }
        Ok(())
    }

    /// Jumps to one of the few known targets, each by a branch that is easily predicted, or otherwise to the computed
    /// address.
    fn jump_indirect(&mut self, last: &Placed, known: &[usize]) -> Result<(), BrokenInvariant> {
        let target = self.jump_indirect_target(self.known.len() - 1)?;
        if last.instruction.rd != 0 || self.rules.shunt {
            let link = self.i32(last.pc.wrapping_add(4));
            self.set_register(last.instruction.rd, link);
            self.flush();
        }
        for &block in known {
            let Some(entry) = self.region.entries.iter().position(|&entry| entry == block) else {
                return Err(broken(format!(
                    "the jump at {:#010x} is known to go to a block that is no entry",
                    last.pc
                )));
            };
            let pc = self.region.blocks[block].pc;
            let goes_there = self.builder.ins().icmp_imm_u(IntCC::Equal, target, pc as i64);
            let next = self.builder.create_block();
            self.builder.ins().brif(goes_there, self.entries[entry], &[], next, &[]);
            self.open(next);
        }
        // The targets of returns say nothing about which regions belong together.
        let from = self.i32(if last.instruction.rs1 == RETURN_ADDRESS { 0 } else { last.pc });
        self.builder.ins().jump(self.transition_indirect, &arguments(&[target, self.after, from]));
        Ok(())
    }

    /// Makes an indirect jump to a misaligned address trap before rd is written. Returns the return address.
    pub(super) fn jump_indirect_check(&mut self, index: usize, placed: &Placed) -> Result<Value, BrokenInvariant> {
        let target = self.jump_indirect_target(index)?;
        let misaligned = self.builder.ins().band_imm_s(target, 2);
        self.stop_if(misaligned, placed.pc);
        Ok(self.i32(placed.pc.wrapping_add(4)))
    }

    /// Returns the target of the indirect jump with this index in its block.
    fn jump_indirect_target(&mut self, index: usize) -> Result<Value, BrokenInvariant> {
        let sum = self.sum(self.known[index].address)?;
        Ok(self.builder.ins().band_imm_s(sum, -2))
    }

    /// Looks up the pc and continues in the region with an entry there. Leaves native code if there is none.
    pub(super) fn transition_blocks(&mut self) {
        self.builder.switch_to_block(self.transition_indirect);
        let [pc, progress, from] = [0, 1, 2].map(|index| self.builder.block_params(self.transition_indirect)[index]);
        let word = look_up(&mut self.builder, self.base, pc);
        let number = self.builder.ins().ushr_imm_u(word, Entry::REGION_SHIFT as i64);
        let is_own = self.builder.ins().icmp_imm_u(IntCC::Equal, number, self.number as i64);
        let [own, other] = [&[word, progress][..], &[word, pc, progress, from]].map(arguments);
        self.builder.ins().brif(is_own, self.choose, &own, self.transition, &other);

        self.builder.switch_to_block(self.transition);
        let [word, pc, progress, from] = [0, 1, 2, 3].map(|index| self.builder.block_params(self.transition)[index]);
        let [found, none] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(word, found, &[], none, &[]);
        self.open(found);
        let [last, before] = layout::TRANSFER_PCS;
        let previous = self.builder.ins().load(types::I32, TRUSTED, self.base, last);
        self.builder.ins().store(TRUSTED, previous, self.base, before);
        self.builder.ins().store(TRUSTED, pc, self.base, last);
        count_transfer(&mut self.builder, self.base);
        let callee = callee(&mut self.builder, self.base, word);
        self.builder.ins().return_call_indirect(self.region_signature, callee, &[self.base, word, progress]);
        self.open_cold(none);
        self.builder.ins().store(TRUSTED, from, self.base, layout::JUMP_PC);
        self.set_place(pc, progress);
        self.leave(REASON_NO_ENTRY);
    }

    /// Lets the machine execute a system instruction, and continues where that leads, in the code of the mode that it
    /// leads to.
    pub(super) fn system_block(&mut self) {
        let Some(system) = self.system else { return };
        self.builder.switch_to_block(system);
        let [pc, progress] = [0, 1].map(|index| self.builder.block_params(system)[index]);
        self.set_place(pc, progress);
        let helper = self.builder.ins().load(types::I64, TRUSTED, self.base, layout::SYSTEM_HELPER);
        self.builder.ins().call_indirect(self.helper_signature, helper, &[self.base]);
        let verdict = self.builder.ins().load(types::I32, TRUSTED, self.base, layout::VERDICT);
        let [go, found, none] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(verdict, self.out, &[], go, &[]);
        self.open(go);
        let pc = self.builder.ins().load(types::I32, TRUSTED, self.base, layout::PC);
        let word = look_up(&mut self.builder, self.base, pc);
        self.builder.ins().brif(word, found, &[], none, &[]);
        self.open(found);
        // The word is of the table that the helper has chosen, so even the region's own number says nothing here.
        let progress = self.builder.ins().load(types::I64, TRUSTED, self.base, layout::PROGRESS);
        let callee = callee(&mut self.builder, self.base, word);
        self.builder.ins().return_call_indirect(self.region_signature, callee, &[self.base, word, progress]);
        self.open_cold(none);
        self.leave(REASON_NO_ENTRY);
    }

    pub(super) fn leave_stop_block(&mut self) {
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
}
