//! R0VM's rules for replaying rows and effects. This file must not know how a state is kept.

use super::layout::{ECALL_DISPATCH, MACHINE_BANK, MEPC};
use crate::decode::Instruction;
use crate::isa::Op;
use crate::trace::{Effect, EffectKind, ReplayRules, Row, Space};

/// R0VM's rules; see the module.
pub(super) const REPLAY: ReplayRules = ReplayRules { own_effects, mirrors_registers };

/// Returns the index of the row's own effects. Earlier ones happened between two steps, or in a trap that a handler
/// took.
fn own_effects(row: &Row, instruction: Option<Instruction>, effects: &[Effect]) -> usize {
    let found = match instruction.map(|instruction| instruction.op) {
        // The instruction's own effects begin with the read that selects its action: of a register, or of the word with
        // the jump target.
        Some(Op::Ecall | Op::Mret) => effects.iter().position(|effect| {
            let tells = effect.space() == Space::Register || [ECALL_DISPATCH, MEPC].contains(&effect.addr);
            effect.kind() == EffectKind::Read && tells
        }),
        // A store to a register's word changes the register.
        Some(Op::Sb | Op::Sh | Op::Sw) => effects.iter().rposition(|effect| {
            let changes = (EffectKind::Write, Space::Register, row.mem_before, row.mem_after);
            (effect.kind(), effect.space(), effect.before, effect.after) == changes
                && MACHINE_BANK + 4 * (effect.addr & 31) == row.addr & !3
        }),
        _ => None,
    };
    found.unwrap_or(effects.len())
}

/// Returns whether the address belongs to a bank of either mode or to a shunt of x0.
fn mirrors_registers(address: u32) -> bool {
    let is_shunt = address & !0x83 == MACHINE_BANK + 0x100;
    (MACHINE_BANK..MACHINE_BANK + 0x100).contains(&address) || is_shunt
}
