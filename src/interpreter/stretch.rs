//! Stretches of plain steps, which nobody but the interpreter has to look at: no machine is asked, no row is written, and
//! control stays in one page without a jump.
//!
//! A step that is not plain is left undone. This file must not know who does it.

use tachy_runtime::{HartState, Row, Stepping, page_of};

use super::decoded::{Code, Decoded};
use super::execute::{Accesses, Goes, Step, execute, loaded, stored};
use super::profile::PAGE_SLOTS;
use super::{ROW_ZERO, is_indirect_jump};
use crate::rules::Rules;

/// How a stretch ended. Its steps are counted.
pub(super) enum Stretch {
    /// Its last step went to another place, or to the next page.
    Left {
        /// The address of the last step.
        from: u32,
        /// The address of the next step, a multiple of 4.
        to: u32,
        /// Whether it was an indirect jump, as [`is_indirect_jump`] says.
        is_indirect: bool,
    },
    /// Before the step at this address, which is not plain or not in the slice.
    Stopped(u32),
}

/// Executes plain steps from `pc` on, which lies in `page`.
#[inline(always)]
pub(super) fn stretch(
    vm: &mut Stepping<'_, false>,
    page: &[Decoded; PAGE_SLOTS],
    rules: &'static Rules,
    pc: u32,
) -> Stretch {
    if !pc.is_multiple_of(4) {
        // R0VM may be there. Most instructions then trap, because the next one is misaligned, too.
        return Stretch::Stopped(pc);
    }
    let first = pc as usize / 4 % PAGE_SLOTS;
    let (_, ahead) = page.split_at(first);
    let left = usize::try_from(vm.steps_left()).unwrap_or(usize::MAX);
    // A loan whose base stays in a register.
    let mut hart = vm.lend();
    let mut at = pc;
    for now in ahead.iter().take(left) {
        let Code::Op(op) = now.code else { break };
        let row = Row { pc: at, rs1: hart.register(now.rs1), rs2: hart.register(now.rs2), ..ROW_ZERO };
        let next = at.wrapping_add(4);
        let mut step = Step { row, next, leave: false };
        match execute(op, *now, &mut step, &mut Plain { vm: &mut hart.lend(), rules }) {
            Ok(Goes::On) => {
                hart.set_register(now.rd, step.row.rd);
                at = next;
            }
            Ok(Goes::To) if step.next.is_multiple_of(4) => {
                hart.set_register(now.rd, step.row.rd);
                vm.count_steps(steps(pc, next));
                return Stretch::Left { from: at, to: step.next, is_indirect: is_indirect_jump(op, *now) };
            }
            Ok(Goes::To | Goes::Machine) | Err(Asks) => break,
        }
    }
    vm.count_steps(steps(pc, at));
    match page_of(at) != page_of(pc) {
        true => Stretch::Left { from: at.wrapping_sub(4), to: at, is_indirect: false },
        false => Stretch::Stopped(at),
    }
}

/// Returns the number of steps that led from one address to another, without a jump.
fn steps(from: u32, to: u32) -> u64 {
    u64::from(to.wrapping_sub(from) / 4)
}

/// Accesses that page states allow.
struct Plain<'step, 'vm> {
    vm: &'step mut HartState<'vm>,
    rules: &'static Rules,
}

/// The machine must be asked.
struct Asks;

impl Accesses for Plain<'_, '_> {
    type Refusal = Asks;

    #[inline(always)]
    fn load(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<u32, Asks> {
        let address = row.rs1.wrapping_add(imm);
        if !self.vm.page_state(address).contains(self.rules.read) || !address.is_multiple_of(bytes) {
            return Err(Asks);
        }
        Ok(loaded(row, address, self.vm.word(address)))
    }

    #[inline(always)]
    fn store(&mut self, row: &mut Row, imm: u32, bytes: u32) -> Result<bool, Asks> {
        let address = row.rs1.wrapping_add(imm);
        if !self.vm.page_state(address).contains(self.rules.write) || !address.is_multiple_of(bytes) {
            return Err(Asks);
        }
        let word = stored(row, address, bytes, self.vm.word(address));
        self.vm.set_word(address, word);
        Ok(false)
    }
}
