//! Runs random users of machine `r0vm` under random kernels in both engines and compares every row, effect, register
//! and byte, whole and in parts, like `random_programs.rs` for machine `bare`. The programs make calls and traps, and
//! have segments that end anywhere and pcs in the middle of words, hot and cold.
//!
//! `TACHY_SEED=n` runs only program n; `TACHY_PROGRAMS=m` runs m programs from there on. Without them, the same 300 run
//! each time.

use std::env;

use crate::common::comparison::{Comparison, setups};
use crate::common::engines::repeat_command;
use crate::common::generator::kernel::generate_user;
use crate::common::regression::Regression;

const PROGRAMS: u64 = 300;
/// Number of steps at one pc that make it hot in most configurations.
const HOT: u64 = 10;

#[test]
fn random_users_run_alike() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("TACHY_SEED");
    let count = number("TACHY_PROGRAMS").unwrap_or(if first.is_some() { 1 } else { PROGRAMS });
    let first = first.unwrap_or(0);
    let mut comparison = Comparison::new(false);
    let mut reached = Reached::default();
    for seed in first..first + count {
        let program = generate_user(seed);
        match comparison.check(&program) {
            Ok(compared) => {
                reached.native += compared.stats.iter().map(|stats| stats.entries).sum::<u64>();
                reached.add(comparison.reference_rows());
            }
            Err(text) => {
                let Regression { found, listing, .. } = Regression::shrunk(program, &setups(seed), &text);
                let again = repeat_command(Some(seed));
                panic!("seed {seed}: {text}\nshrunk to:\n{}\n{found}\n{again}", listing.join("\n"));
            }
        }
    }
    println!("{count} programs: {reached:?}");
    if count >= PROGRAMS {
        reached.assert_wide(count);
    }
}

/// What the programs did; counts are steps unless stated otherwise.
#[derive(Debug, Default)]
struct Reached {
    rows: u64,
    user: u64,
    misaligned: u64,
    returns: u64,
    /// Programs in which a misaligned pc is hot.
    hot: u64,
    /// Number of entries into native code.
    native: u64,
}

impl Reached {
    fn add(&mut self, rows: &[tachy::Row]) {
        const KERNEL: u32 = 0xc000_0000;
        const MRET: u32 = 0x3020_0073;
        let mut misaligned = std::collections::HashMap::<u32, u64>::new();
        for row in rows {
            self.user += u64::from(row.pc < KERNEL);
            self.returns += u64::from(row.insn == MRET);
            if !row.pc.is_multiple_of(4) {
                *misaligned.entry(row.pc).or_default() += 1;
            }
        }
        self.rows += rows.len() as u64;
        self.misaligned += misaligned.values().sum::<u64>();
        self.hot += u64::from(misaligned.values().any(|&times| times >= HOT));
    }

    /// A generator that no longer reaches odd addresses must not go unnoticed.
    fn assert_wide(&self, programs: u64) {
        assert!(self.hot >= programs / 10, "hardly any misaligned pc is hot: {self:?}");
        assert!(self.misaligned >= self.rows / 300, "few steps at misaligned pcs: {self:?}");
        assert!(self.returns >= 20 * programs, "few returns to users: {self:?}");
        assert!(self.user >= self.rows / 4, "few steps of users: {self:?}");
        assert!(self.native >= 20 * programs, "native code is hardly used: {self:?}");
    }
}
