//! Panics in Rust after committing something: the run ends with an error and has no journal.
//!
//! Input: u32, the divisor.

use risc0_zkvm::guest::env;

fn main() {
    let divisor: u32 = env::read();
    env::commit(&divisor);
    env::commit(&(1000 / divisor));
}
