//! Identifies an ecall of machine mode and its cycles from its effects. This file must not know what the ecall
//! computes.

use crate::trace::{Effect, EffectKind, Space};

const A0: u32 = 10;
const A1: u32 = 11;
const A3: u32 = 13;
const A7: u32 = 17;

const READ: u32 = 1;

/// An ecall.
pub(super) struct Ecall {
    /// Cycles after the first.
    pub(super) extra_cycles: u64,
    /// Whether page events are flushed at cycles after the first.
    pub(super) flushes: bool,
    /// Address and number of the bytes that a read stored.
    stored: Option<(u32, u32)>,
}

impl Ecall {
    /// Identifies the ecall with these effects.
    pub(super) fn of(effects: &[Effect]) -> Ecall {
        let register = |number, kind| {
            let found = effects
                .iter()
                .find(|effect| (effect.space(), effect.kind(), effect.addr) == (Space::Register, kind, number));
            found.map_or(0, |effect| effect.after)
        };
        let argument = |number| register(number, EffectKind::Read);
        let number = argument(A7);
        let mut stored = None;
        let extra_cycles = match number {
            READ => {
                let (address, bytes) = (argument(A1), register(A0, EffectKind::Write));
                stored = Some((address, bytes));
                let [head, groups, tail] = shape(address, bytes);
                1 + u64::from(head + groups + tail)
            }
            3 => {
                let block = if argument(A3) >> 31 != 0 { 11 } else { 10 };
                2 + if argument(A0) != 0 { 2 } else { 0 } + u64::from(argument(A3) & 0xffff) * block
            }
            4 => 5 + 68 * u64::from(argument(A3) & 0xffff),
            5 => {
                let loads = effects
                    .iter()
                    .filter(|effect| (effect.space(), effect.kind()) == (Space::Memory, EffectKind::Read));
                // The blob's three sizes: the first program, the verify program, and the constants.
                1 + loads.map(|load| u64::from(load.after)).nth(1).unwrap_or(0)
            }
            _ => 1,
        };
        Ecall { extra_cycles, flushes: number < 3, stored }
    }
}

/// Returns the number of bytes up to a word boundary, of groups of up to four words, and of remaining bytes.
fn shape(address: u32, bytes: u32) -> [u32; 3] {
    let head = bytes.min(address.wrapping_neg() & 3);
    let rest = bytes - head;
    [head, (rest / 4).div_ceil(4), rest % 4]
}

/// Counts the stores of a read, to detect which of them end a cycle.
pub(super) struct StoreCycles {
    head: u32,
    groups: u32,
    tail: u32,
    in_group: u32,
}

impl StoreCycles {
    pub(super) fn new(ecall: &Ecall) -> StoreCycles {
        let [head, groups, tail] = ecall.stored.map_or([0; 3], |(address, bytes)| shape(address, bytes));
        StoreCycles { head, groups, tail, in_group: 0 }
    }

    /// Counts a store, and returns whether it was the last of its cycle.
    pub(super) fn ends_with_store(&mut self) -> bool {
        if self.head > 0 {
            self.head -= 1;
            return true;
        }
        if self.groups > 0 {
            self.in_group += 1;
            if self.in_group < 4 {
                return false;
            }
            (self.in_group, self.groups) = (0, self.groups - 1);
            return true;
        }
        let byte = self.tail > 0;
        self.tail = self.tail.saturating_sub(1);
        byte
    }
}
