//! The price of a compilation, in units of one interpreted step each, so that sessions can compare it with what they
//! run. Pure. It must not know who pays.

use crate::trace::Level;

/// Units for a region, apart from its instructions: 90 us.
pub(crate) const REGION: u64 = 33_000;

/// Units for a guest instruction: some 10 us, 15 with rows. An interpreted step takes half as long again with rows.
pub(crate) const fn instruction(level: Level) -> u64 {
    match level {
        Level::Off => 3_600,
        Level::Rows => 3_600,
    }
}

/// Units for a byte of machine code: the price of an instruction, spread over its bytes in code with many registers and
/// accesses. Regions crafted to be large take more time in proportion to their bytes.
const fn byte(level: Level) -> u64 {
    match level {
        Level::Off => 96,
        Level::Rows => 32,
    }
}

/// Returns the price of a region with this many instructions and bytes of code.
pub(crate) fn price(instructions: usize, code_bytes: usize, level: Level) -> u64 {
    let by_instructions = REGION + instructions as u64 * instruction(level);
    by_instructions.max(code_bytes as u64 * byte(level))
}

/// Returns the part of a compiled region's price that exceeds what was paid in advance.
pub(crate) fn beyond_price(instructions: usize, code_bytes: usize, level: Level) -> u64 {
    price(instructions, code_bytes, level) - price(instructions, 0, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cost_where_they_are_more_than_usual() {
        for (level, usual, most) in [(Level::Off, 35, 200), (Level::Rows, 110, 300)] {
            assert_eq!(
                [1, 20, 256].map(|instructions| beyond_price(instructions, instructions * usual, level)),
                [0; 3]
            );
            let large = beyond_price(256, 256 * most, level);
            assert!(large > 256 * instruction(level), "{large}");
        }
    }
}
