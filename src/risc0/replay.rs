//! How rows and effects of R0VM move a replayed state on. It must not know how a state is kept.

use super::layout::{ECALL_DISPATCH, MACHINE_BANK, MEPC};
use crate::decode::Instruction;
use crate::isa::Op;
use crate::trace::{Effect, EffectKind, ReplayRules, Row, Space};

/// See the module.
pub(super) const REPLAY: ReplayRules = ReplayRules { own_effects, mirrors_registers };

/// Effects before these were done between two steps, or by a trap that a handler took.
fn own_effects(row: &Row, instruction: Option<Instruction>, effects: &[Effect]) -> usize {
    let found = match instruction.map(|instruction| instruction.op) {
        // They begin with what says what to do: a register, or the word that names where to go on.
        Some(Op::Ecall | Op::Mret) => effects.iter().position(|effect| {
            let tells = effect.space() == Space::Register || [ECALL_DISPATCH, MEPC].contains(&effect.addr);
            effect.kind() == EffectKind::Read && tells
        }),
        // A store over a register changes it.
        Some(Op::Sb | Op::Sh | Op::Sw) => effects.iter().rposition(|effect| {
            let changes = (EffectKind::Write, Space::Register, row.mem_before, row.mem_after);
            (effect.kind(), effect.space(), effect.before, effect.after) == changes
                && MACHINE_BANK + 4 * (effect.addr & 31) == row.addr & !3
        }),
        _ => None,
    };
    found.unwrap_or(effects.len())
}

/// The banks of both modes and the shunts of x0.
fn mirrors_registers(address: u32) -> bool {
    let is_shunt = address & !0x83 == MACHINE_BANK + 0x100;
    (MACHINE_BANK..MACHINE_BANK + 0x100).contains(&address) || is_shunt
}
