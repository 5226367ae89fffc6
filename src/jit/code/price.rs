//! What a translation costs, in units of one interpreted step each, so that sessions can weigh it against what they run.
//! Pure. It must not know who pays.

use crate::trace::Level;

/// Units for what a region takes beside its instructions: 90 us.
pub(crate) const REGION: u64 = 22_000;

/// Units for a guest instruction: some 10 us, 15 with rows.
pub(crate) const fn instruction(level: Level) -> u64 {
    match level {
        Level::Off => 2_400,
        Level::Rows => 3_600,
    }
}

/// Units for a byte of machine code: what an instruction costs, over the bytes that it takes in code with many registers
/// and accesses. Regions made to be large cost as much more time as they have bytes.
const fn byte(level: Level) -> u64 {
    match level {
        Level::Off => 64,
        Level::Rows => 32,
    }
}

/// What a region of so many instructions and bytes of code costs.
pub(crate) fn price(instructions: usize, code_bytes: usize, level: Level) -> u64 {
    let by_instructions = REGION + instructions as u64 * instruction(level);
    by_instructions.max(code_bytes as u64 * byte(level))
}

/// What a region that is translated costs beyond what was spent for it beforehand.
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
