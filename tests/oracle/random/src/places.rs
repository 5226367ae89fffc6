//! Addresses worth an access, and what lies there at the start. It must not know instructions.

use std::collections::BTreeMap;

use crate::rng::Rng;

pub const MACHINE_BANK: u32 = 0xffff_0000;
pub const USER_BANK: u32 = 0xffff_0080;
pub const MEPC: u32 = 0xffff_0200;
pub const GLOBAL_OUTPUT: u32 = 0xffff_0240;
pub const ECALL_DISPATCH: u32 = 0xffff_1000;
pub const TRAP_DISPATCH: u32 = 0xffff_2000;

/// Calls that a program may name.
pub const NAMES: [&str; 4] = ["READ", "CYCLE_COUNT", "RANDOM", "ARGC"];

/// Where programs have data: some pages with contents, some without.
pub struct Places {
    /// Starts of pages.
    pub pages: Vec<u32>,
    /// Addresses of the names of calls, as in [`NAMES`].
    pub names: Vec<u32>,
    /// What lies there.
    pub words: BTreeMap<u32, u32>,
}

impl Places {
    /// Pages below `end`, half of them neighbours.
    pub fn new(rng: &mut Rng, count: usize, end: u32) -> Self {
        let mut pages = Vec::new();
        let mut words = BTreeMap::new();
        while pages.len() < count {
            let page = match rng.below(3) {
                0 => rng.within(0x40, 0x80),
                1 if end == u32::MAX => rng.within(0x3f_fb00, 0x3f_fc00),
                _ => rng.within(0x1000, 0x1000 + (end >> 12)),
            };
            let page = page.min((end >> 10) - 1) << 10;
            pages.push(page);
            if rng.one_in(2) {
                pages.push(page.wrapping_add(0x400).min((end - 0x400) & !0x3ff));
            }
            if rng.one_in(2) {
                let from = page + 4 * rng.below(200);
                words.extend((0..rng.below(40)).map(|at| (from + 4 * at, rng.operand())));
            }
        }
        let mut names = Vec::new();
        let mut at = 0x0009_8000 + 4 * rng.below(250);
        for name in NAMES {
            names.push(at);
            let mut text = format!("risc0_zkvm_platform::syscall::nr::SYS_{name}\0").into_bytes();
            text.resize(text.len().next_multiple_of(4), 0);
            for word in text.chunks_exact(4) {
                words.insert(at, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
                at += 4;
            }
        }
        Self { pages, names, words }
    }

    /// Some address in some page, of any alignment.
    pub fn anywhere(&self, rng: &mut Rng) -> u32 {
        rng.pick(&self.pages) + rng.below(0x400)
    }
}
